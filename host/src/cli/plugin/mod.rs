//! `gregor plugin`: a project and a component of it, a look at a component, records through
//! it, a failed call once more, keys and signatures, and what is asked of a running host
//! about versions.

mod build;
mod check;
mod dev;
mod keys;
mod new;
mod test;
mod tryout;
mod versions;

use std::process::ExitCode;

use clap::Subcommand;

pub use versions::{HostArgs, answer};

use super::api::REFUSED;
use crate::plugin::compiler;

#[derive(Subcommand)]
pub enum PluginCommand {
    New(new::NewArgs),
    Build(build::BuildArgs),
    Check(check::CheckArgs),
    Test(test::TestArgs),
    Try(tryout::TryArgs),
    Dev(dev::DevArgs),
    Keygen(keys::KeygenArgs),
    Sign(keys::SignArgs),
    Verify(keys::VerifyArgs),
    List(versions::ListArgs),
    Deploy(versions::DeployArgs),
    History(versions::HistoryArgs),
    Rollback(versions::RollbackArgs),
}

pub fn run(command: PluginCommand) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::New(args) => Ok(new::run(&args)),
        PluginCommand::Build(args) => build::run(&args),
        PluginCommand::Check(args) => check::run(&args),
        PluginCommand::Test(args) => test::run(&args),
        PluginCommand::Try(args) => tryout::run(&args),
        PluginCommand::Dev(args) => dev::run(&args),
        PluginCommand::Keygen(args) => keys::keygen(&args),
        PluginCommand::Sign(args) => keys::sign(&args),
        PluginCommand::Verify(args) => keys::verify(&args),
        PluginCommand::List(args) => versions::list(&args),
        PluginCommand::Deploy(args) => versions::deploy(&args),
        PluginCommand::History(args) => versions::history(&args),
        PluginCommand::Rollback(args) => versions::roll_back(&args),
    }
}

/// What the compiling process is told; the component is its standard input.
#[derive(clap::Args)]
pub struct CompileArgs {
    code_id: u64,
    memory: u64,
    cpu_seconds: u64,
    niceness: i32,
}

pub fn compile(args: &CompileArgs) -> ExitCode {
    match compiler::serve(args.code_id, args.memory, args.cpu_seconds, args.niceness) {
        Ok(()) => ExitCode::SUCCESS,
        Err(compiler::Unserved::Component(problem)) => {
            complain!("{problem}");
            ExitCode::from(compiler::REFUSED)
        }
        Err(compiler::Unserved::Host(problem)) => {
            complain!("{problem}");
            ExitCode::from(compiler::NOT_WRITTEN)
        }
    }
}
