//! `gregor plugin new`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::author::{self, Language};

/// Start a plugin: a project that builds, with a test that passes
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin new ward-watch --lang rust")]
pub struct NewArgs {
    /// The plugin's name: a to z, 0 to 9 and -
    name: String,
    /// What it is written in
    #[arg(long, value_enum)]
    lang: Language,
    /// The project's folder, missing or empty [default: the name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(args: &NewArgs) -> ExitCode {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    match author::new(&args.name, args.lang, &dir) {
        Ok(project) => {
            println!("{} is in {}. Next:\n  cd {}", args.name, project.dir.display(), dir.display());
            if let Some(install) = args.lang.install() {
                println!("  {install}");
            }
            println!("  gregor plugin test");
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
