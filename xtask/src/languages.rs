//! `cargo xtask languages`: the plugins that are not in Rust, as components.
//!
//! Needs Node 20 with npm, Python 3.11 with venv, and Go 1.25. What else it takes
//! is pinned in `xtask/languages` and is installed below `target/guests/tools`, once.
//! Sources are copied to `target/guests/build` and built there, so that no tool
//! leaves anything in `plugins/`; the components are `target/guests/<language>/
//! <plugin>.wasm`. A language whose sources, tools and WIT are those of the last
//! run is left as it is.

mod bindings;
mod build;
#[path = "../../host/src/author/component.rs"]
mod component;
mod sources;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Result, anyhow, ensure};
use clap::ValueEnum;

use crate::cargo::Tally;

/// The plugins that there are in each language.
const PLUGINS: [&str; 2] = ["patient-location", "last-location"];

#[derive(clap::Args)]
pub struct Args {
    /// Only these languages, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LANGUAGES")]
    only: Vec<Language>,
    /// Run each language's own tests too
    #[arg(long)]
    test: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Javascript,
    Typescript,
    Python,
    Go,
    C,
}

impl Language {
    const ALL: [Language; 5] =
        [Language::Python, Language::Go, Language::C, Language::Javascript, Language::Typescript];

    /// Its folder in `plugins/` and in `target/guests`.
    fn name(self) -> &'static str {
        match self {
            Language::Javascript => "javascript",
            Language::Typescript => "typescript",
            Language::Python => "python",
            Language::Go => "go",
            Language::C => "c",
        }
    }
}

/// Builds what is not built yet.
///
/// # Errors
/// When a tool is missing, cannot be installed or fails.
pub fn run(args: &Args) -> Result<ExitCode> {
    let wanted = |language: &Language| args.only.is_empty() || args.only.contains(language);
    let languages: Vec<_> = Language::ALL.into_iter().filter(wanted).collect();
    let tally = build_all(&languages, args.test)?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds every language's plugins: one check for each.
///
/// # Errors
/// When a tool cannot be installed.
pub fn build() -> Result<Tally> {
    build_all(&Language::ALL, false)
}

/// Builds every language's plugins and runs its own tests: one check for each.
///
/// # Errors
/// When a tool cannot be installed.
pub fn check() -> Result<Tally> {
    build_all(&Language::ALL, true)
}

/// A plugin in Python, built where it is not yet.
///
/// # Errors
/// When it cannot be built.
pub fn python(plugin: &str) -> Result<PathBuf> {
    ensure!(build_all(&[Language::Python], false)?.failed == 0, "the plugins in Python do not build: see above");
    Ok(sources::components(Language::Python).join(format!("{plugin}.wasm")))
}

fn build_all(languages: &[Language], test: bool) -> Result<Tally> {
    let _lock = tools::lock()?;
    let mut tally = Tally::default();
    // Each tool is a program with one thread or two, and mostly waits at first.
    let outcomes: Vec<Result<bool>> = thread::scope(|scope| {
        let running: Vec<_> = languages.iter().map(|language| scope.spawn(|| build_one(*language, test))).collect();
        running.into_iter().map(|one| one.join().unwrap_or_else(|_| Err(anyhow!("it panicked")))).collect()
    });
    if outcomes.iter().any(|built| !matches!(built, Ok(false))) {
        sources::forget_code()?;
    }
    for (language, outcome) in languages.iter().zip(outcomes) {
        match outcome {
            Ok(_) => tally += Tally::PASSED,
            Err(error) => {
                eprintln!("error: {}: {error:#}", language.name());
                tally += Tally::FAILED;
            }
        }
    }
    Ok(tally)
}

/// Whether there was anything to build.
fn build_one(language: Language, test: bool) -> Result<bool> {
    let state = sources::State::of(language)?;
    let stale = !state.is_built();
    if stale {
        eprintln!("Building the plugins in {}", language.name());
        let stage = sources::stage(language)?;
        build::plugins(language, &stage)?;
        state.remember_built()?;
    }
    if test && !state.is_tested() {
        build::test(language, &sources::staged(language))?;
        state.remember_tested()?;
    }
    Ok(stale)
}
