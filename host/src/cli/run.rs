//! `gregor run`

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use crossbeam_channel::Receiver;
use indicatif::{ProgressBar, ProgressStyle};

use super::ConfigArgs;
use crate::error::HostError;
use crate::host::{End, Host, Options};

#[derive(clap::Args)]
#[command(after_help = "Example: gregor run --config gregor.toml")]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Process up to the end offsets found at start, commit and exit with 0
    #[arg(long)]
    bounded: bool,
}

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    let stop = stop_signals()?;
    tracing::info!(app = config.app, host = config.host.id, workers = config.host.workers, "starting");
    let host = Host::start(config, Options { bounded: args.bounded, apart: true })?;
    tracing::info!("running; SIGTERM or Ctrl-C ends it");
    let ended = match progress(&host) {
        None => host.wait(&stop),
        Some(bar) => with_progress(&host, &stop, &bar),
    };
    if let Ok(end) = &ended {
        tracing::info!(reason = ?end, "ending: finishing records, committing, leaving the group");
    }
    let stopped = host.stop();
    if let Err(error @ HostError::ShutdownTimeout(_)) = &stopped {
        // Threads that hang would keep a return from main from ending the process.
        eprintln!("error: {error}");
        std::process::exit(i32::from(error.exit_code()));
    }
    ended?;
    stopped?;
    tracing::info!("ended");
    Ok(ExitCode::SUCCESS)
}

/// A bar on a terminal, for a run that has an end.
fn progress(host: &Host) -> Option<ProgressBar> {
    let total: i64 = host.bounds()?.values().sum();
    let bar = ProgressBar::new(u64::try_from(total).ok()?);
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} offsets, {per_sec}").ok()?);
    std::io::stderr().is_terminal().then_some(bar)
}

fn with_progress(host: &Host, stop: &Receiver<()>, bar: &ProgressBar) -> Result<End, HostError> {
    std::thread::scope(|scope| {
        let (done, over) = crossbeam_channel::bounded::<()>(0);
        scope.spawn(move || {
            while over.recv_timeout(Duration::from_millis(100)) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
                let positions: i64 = host.views().iter().map(|view| view.position).sum();
                bar.set_position(u64::try_from(positions).unwrap_or(0));
            }
            bar.finish_and_clear();
        });
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
