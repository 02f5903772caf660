//! Go: bindings of wit-bindgen in the author's module, the standard toolchain, then the
//! component.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use wit_bindgen_go::{Format, Opts};
use wit_component::{StringEncoding, embed_component_metadata};

use super::super::files::{self, Embedded};
use super::super::project::{BINDINGS, module};
use super::super::{AuthorError, Project, component, contract, tool};

const SUPPORT: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/support.rs"));
const REMEDY: &str = "install Go 1.25 or newer from https://go.dev/dl";

pub fn build(project: &Project) -> Result<Vec<u8>, AuthorError> {
    let mod_file = project.dir.join("go.mod");
    let text = fs::read_to_string(&mod_file).map_err(AuthorError::file(&mod_file))?;
    let module = module(&text).ok_or_else(|| AuthorError::File {
        file: mod_file,
        problem: "names no module: begin it with `module example.com/my-plugin`".into(),
    })?;
    lay_out(project, &module)?;

    let core = project.generated()?.join("core.wasm");
    let mut go = go(project);
    if !is_in_workspace(project) {
        go.env("GOWORK", "off");
    }
    go.env("GOOS", "wasip1").env("GOARCH", "wasm");
    // The runtime support of the bindings names functions of Go's own runtime.
    go.args(["build", "-buildmode=c-shared", "-ldflags=-s -w -checklinkname=0", "-o"]).arg(&core).arg(".");
    tool::run(&mut go, REMEDY)?;
    let mut core = fs::read(&core).map_err(AuthorError::file(&core))?;
    // Its tool does not say which world the module was written for.
    let (resolve, world) = contract::resolve(project.world)?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)?;
    Ok(component::encode(&core)?)
}

fn go(project: &Project) -> Command {
    let mut go = Command::new("go");
    go.current_dir(&project.dir);
    go
}

/// Whether the `go.work` that Go finds for the project, in a folder above or by GOWORK, uses
/// its module. In one that does not, Go builds nothing.
fn is_in_workspace(project: &Project) -> bool {
    let Ok(work) = tool::output(go(project).args(["env", "GOWORK"]), REMEDY) else { return false };
    let file = PathBuf::from(String::from_utf8_lossy(&work).trim());
    let Some(folder) = file.parent().filter(|_| file.is_file()) else { return false };
    let Ok(document) = tool::output(go(project).args(["work", "edit", "-json"]).arg(&file), REMEDY) else {
        return false;
    };
    let document: Value = serde_json::from_slice(&document).unwrap_or_default();
    let used = document["Use"].as_array().into_iter().flatten().filter_map(|module| module["DiskPath"].as_str());
    used.map(|path| folder.join(path).canonicalize()).any(|path| path.is_ok_and(|path| path == project.dir))
}

/// Writes the package that the author's own imports: bindings, and on top of them what
/// keeps Go's collector from running in the midst of a call of the host.
fn lay_out(project: &Project, module: &str) -> Result<(), AuthorError> {
    let (mut resolve, world) = contract::resolve(project.world)?;
    let mut bindings = wit_bindgen_core::Files::default();
    let package = format!("{module}/{BINDINGS}");
    Opts { format: Format::False, pkg_name: Some(package.clone()), ..Opts::default() }
        .build()
        .generate(&mut resolve, world, &mut bindings)
        .map_err(|error| AuthorError::Component(format!("bindings: {error:#}")))?;
    let folder = project.bindings();
    files::write(&folder.join(".gitignore"), b"*\n")?;
    for (path, content) in bindings.iter() {
        files::write(&folder.join(path), content)?;
    }
    for (path, content) in SUPPORT.iter().filter_map(|(path, content)| Some((path.strip_prefix("go/")?, content))) {
        let text = String::from_utf8_lossy(content).replace("{{package}}", &package);
        files::write(&folder.join(path.strip_suffix(".tmpl").unwrap_or(path)), text.as_bytes())?;
    }
    Ok(())
}
