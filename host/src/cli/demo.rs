use std::process::ExitCode;
#[derive(clap::Args)]
pub struct DemoArgs {}
pub fn run(_: &DemoArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
