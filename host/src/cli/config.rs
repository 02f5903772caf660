//! `gregor config check`

use std::process::ExitCode;

use clap::Subcommand;

use super::ConfigArgs;

#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file, all of it at once, without connecting anywhere
    #[command(after_help = "Example: gregor config check --config gregor.toml")]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

pub fn run(command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    let ConfigCommand::Check { config: args } = command;
    let config = super::read(&args.config)?;
    for warning in &config.warnings {
        complain!("warning: {warning}");
    }
    println!("{} is fine", args.config.display());
    for pipeline in &config.pipelines {
        let stages: Vec<_> = pipeline.stages.iter().map(|stage| stage.name.as_str()).collect();
        let sink = pipeline.sink.as_deref().unwrap_or("(topics of its stages)");
        println!("  {}: {} -> {} -> {sink}", pipeline.name, pipeline.source, stages.join(" -> "));
    }
    Ok(ExitCode::SUCCESS)
}
