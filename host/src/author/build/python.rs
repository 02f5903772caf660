//! Python: componentize-py puts the interpreter and `app.py` into a component.

use std::fs;
use std::process::Command;

use crate::author::{AuthorError, Project, contract, tool};

const REMEDY: &str = "run `pip install componentize-py==0.25.1`";

pub fn build(project: &Project) -> Result<Vec<u8>, AuthorError> {
    let generated = project.generated()?;
    let (wit, out) = (generated.join("wit"), generated.join("component.wasm"));
    contract::lay_out(&wit)?;
    let program = tool::find("componentize-py", &[project.dir.join(".venv/bin")]);
    let mut command = Command::new(program.as_deref().unwrap_or("componentize-py".as_ref()));
    command.current_dir(&project.dir).arg("-d").arg(&wit).args(["-w", project.world.name(), "componentize", "app"]);
    tool::run(command.arg("-o").arg(&out), REMEDY)?;
    fs::read(&out).map_err(AuthorError::file(&out))
}
