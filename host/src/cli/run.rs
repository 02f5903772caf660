//! `gregor run`

use std::process::ExitCode;

use crossbeam_channel::Receiver;

use super::{ConfigArgs, bars};
use crate::error::HostError;
use crate::host::{End, Host, Options};

#[derive(clap::Args)]
#[command(after_help = "Example: gregor run --config gregor.toml")]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Process up to the end offsets found at start, commit and exit with 0, or with 6
    /// where a held partition keeps it from that
    #[arg(long)]
    bounded: bool,
}

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    let stop = stop_signals()?;
    tracing::info!(app = config.app, host = config.host.id, workers = config.host.workers, "starting");
    let host = Host::start(config, Options { bounded: args.bounded, apart: true })?;
    tracing::info!("running; SIGTERM or Ctrl-C ends it");
    let ended = wait(&host, &stop);
    if let Ok(end) = &ended {
        tracing::info!(reason = ?end, "ending: finishing records, committing, leaving the group");
    }
    let stopped = host.stop();
    if let Err(error @ HostError::ShutdownTimeout(_)) = &stopped {
        // Why it ends at all says more than that it took too long.
        if let Err(cause) = &ended {
            eprintln!("error: {cause}");
        }
        eprintln!("error: {error}");
        // Threads that hang would keep a return from main from ending the process.
        std::process::exit(i32::from(ended.as_ref().err().unwrap_or(error).exit_code()));
    }
    ended?;
    stopped?;
    tracing::info!("ended");
    Ok(ExitCode::SUCCESS)
}

/// Waits as [`Host::wait`], with progress on a terminal.
fn wait(host: &Host, stop: &Receiver<()>) -> Result<End, HostError> {
    std::thread::scope(|scope| {
        let (done, over) = crossbeam_channel::bounded::<()>(0);
        scope.spawn(move || bars::show(host, &over));
        let ended = host.wait(stop);
        drop(done);
        ended
    })
}

/// Says something on SIGTERM, SIGINT or Ctrl-C; a second one ends the process at once.
pub fn stop_signals() -> std::io::Result<Receiver<()>> {
    let (say, stop) = crossbeam_channel::bounded(1);
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for (nth, _) in signals.forever().enumerate() {
            if nth > 0 {
                eprintln!("ended without committing: a second signal");
                std::process::exit(130);
            }
            // Full only when nobody has looked at the first yet.
            let _ = say.try_send(());
        }
    })?;
    Ok(stop)
}
