//! `gregor plugin build`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::author::{self, AuthorError, Built, Project, World};

/// Build a plugin's component, in whatever language its project is
///
/// Runs the language's own tool, makes a component of what comes out, and writes it
/// to <name>.wasm in the project's folder. What is generated on the way is in .gregor,
/// the WIT in .gregor/wit.
///
/// Exit codes: 0 it is built; 1 a part of the toolchain is missing or failed; 2 no
/// project; 4 it is built, but a host would refuse it.
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin build ward-watch")]
pub struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The WIT's world, for languages whose sources do not say it
    /// [default: what plugin.toml says, else plugin]
    #[arg(long, value_enum)]
    world: Option<World>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &BuildArgs) -> anyhow::Result<ExitCode> {
    let opened =
        Project::open(&args.dir).map(|project| Project { world: args.world.unwrap_or(project.world), ..project });
    match opened.and_then(|project| project_built(&project)) {
        Ok(built) if args.json => println!("{}", serde_json::to_string_pretty(&built)?),
        Ok(built) => tell(&built),
        Err(error) => {
            complain!("error: {error}");
            return Ok(ExitCode::from(error.exit_code()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds `project`, with a line of progress.
///
/// # Errors
/// As [`author::build`].
pub fn project_built(project: &Project) -> Result<Built, AuthorError> {
    complain!("Building {} in {} …", project.name, project.dir.display());
    author::build(project)
}

fn tell(built: &Built) {
    let Built { plugin, file, bytes, world, exports, imports, .. } = built;
    println!("{}", file.display());
    println!("  {bytes} bytes, world {world}, exports {}", exports.join(", "));
    let own: Vec<&str> = imports.iter().map(String::as_str).filter(|name| !is_wasi_runtime(name)).collect();
    let runtime = imports.len() - own.len();
    println!("  imports {}, and {runtime} interfaces of WASI for its language's runtime", own.join(", "));
    println!("Next: `gregor plugin test`, `gregor plugin deploy {}`, or copy it to a host's plugins", file.display());
    println!("folder as {plugin}.wasm.");
}

/// What language runtimes import to start, and what leads nowhere here.
fn is_wasi_runtime(interface: &str) -> bool {
    interface.starts_with("wasi:") && !interface.starts_with("wasi:logging/") && !interface.starts_with("wasi:config/")
}
