//! `gregor plugin check`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::plugin::{Engine, Version};

/// Check whether a host would take a component, without running it
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin check plugins/last-location.wasm")]
pub struct CheckArgs {
    /// The component, a .wasm file
    file: PathBuf,
}

/// Plenty for a look at any component; a host's own limit is in its configuration.
const MAX_SIZE: u64 = 1 << 30;
/// Of memory an instance may have; nothing is instantiated here.
const MEMORY: u64 = 64 << 20;

pub fn run(CheckArgs { file }: &CheckArgs) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let engine = Engine::new(1, MEMORY).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let started = std::time::Instant::now();
    match Version::compile(&engine, &name, &bytes, MAX_SIZE) {
        Ok(version) => {
            println!("{}: fine, digest {}", file.display(), version.digest());
            println!("  {} bytes, compiled in {:.0?}", bytes.len(), started.elapsed());
            let imports: Vec<&str> = version.interfaces().iter().map(String::as_str).collect();
            println!("  imports {}", if imports.is_empty() { "nothing".to_owned() } else { imports.join(", ") });
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => {
            eprintln!("error: {} would be refused: {refused}", file.display());
            Ok(ExitCode::from(super::REFUSED))
        }
    }
}
