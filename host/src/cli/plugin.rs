//! `gregor plugin check`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

use super::plugin_test::{self, TestArgs};
use crate::plugin::{Engine, Version};

#[derive(Subcommand)]
pub enum PluginCommand {
    /// Check whether this host would take a component, without running it
    #[command(after_help = "Example: gregor plugin check plugins/last-location.wasm")]
    Check {
        /// The component, a .wasm file
        file: PathBuf,
    },
    /// Repeat a call that failed, from the capsule that a host kept of it
    Test(TestArgs),
}

/// Plenty for a look at any component; a host's own limit is in its configuration.
const MAX_SIZE: u64 = 1 << 30;
/// Of memory an instance may have; nothing is instantiated here.
const MEMORY: u64 = 64 << 20;
const REFUSED: u8 = 4;

pub fn run(command: &PluginCommand) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::Check { file } => check(file),
        PluginCommand::Test(args) => plugin_test::run(args),
    }
}

fn check(file: &Path) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let engine = Engine::new(1, MEMORY).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let started = std::time::Instant::now();
    match Version::compile(&engine, &name, &bytes, MAX_SIZE) {
        Ok(version) => {
            println!("{}: fine, digest {}", file.display(), version.digest());
            println!("  {} bytes, compiled in {:.0?}", bytes.len(), started.elapsed());
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => {
            eprintln!("error: {} would be refused: {refused}", file.display());
            Ok(ExitCode::from(REFUSED))
        }
    }
}
