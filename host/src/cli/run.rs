//! `gregor run`

use std::process::ExitCode;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvError};

use super::{ConfigArgs, bars};
use crate::config::Config;
use crate::host::HostError;
use crate::host::{Begin, End, Host, Options};

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
    let stop = stop_signals(Some(config.host.shutdown_timeout), || ())?;
    tracing::info!(app = config.app, host = config.host.id, workers = config.host.workers, "starting");
    let (host, asked) = start(config, args.bounded, &stop)?;
    tracing::info!("running; SIGTERM or Ctrl-C ends it");
    let ended = if asked { Ok(End::Asked) } else { wait(&host, &stop) };
    if let Ok(end) = &ended {
        tracing::info!(reason = ?end, "ending: finishing records, committing, leaving the group");
    }
    let stopped = host.stop();
    if let Err(error @ HostError::ShutdownTimeout(_)) = &stopped {
        // Why it ends at all says more than that it took too long.
        if let Err(cause) = &ended {
            complain!("error: {cause}");
        }
        complain!("error: {error}");
        // Threads that hang would keep a return from main from ending the process.
        std::process::exit(i32::from(ended.as_ref().err().unwrap_or(error).exit_code()));
    }
    ended?;
    stopped?;
    tracing::info!("ended");
    Ok(ExitCode::SUCCESS)
}

/// Starts the host; whether `stop` has said something meanwhile. Where it does so
/// before the first worker starts, the process ends here, and with it what the
/// start waits for: brokers, a compiler.
fn start(config: Config, bounded: bool, stop: &Receiver<()>) -> anyhow::Result<(Host, bool)> {
    let begin = Begin::default();
    let options = Options { bounded, apart: true, begin: begin.clone() };
    let (started, host) = crossbeam_channel::bounded(1);
    // Nobody listens where the start was cancelled.
    let run = move || drop(started.send(Host::start(config, options)));
    std::thread::Builder::new().name("start".into()).spawn(run)?;
    let host_of = |started: Result<Result<Host, HostError>, _>| -> anyhow::Result<Host> {
        Ok(started.map_err(|_: RecvError| HostError::StartPanicked)??)
    };
    crossbeam_channel::select! {
        recv(host) -> started => return Ok((host_of(started)?, false)),
        recv(stop) -> _ => {}
    }
    if begin.cancel() {
        tracing::info!("ended before the first worker started: nothing was processed");
        // The client library's threads are in the middle of something.
        signal_hook::low_level::exit(0);
    }
    // Its workers start just now: it is stopped as one that runs.
    Ok((host_of(host.recv())?, true))
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

/// Says something on SIGTERM, SIGINT or Ctrl-C; a second one calls
/// `at_last` and ends the process. Where `within` is given, the process ends at most that
/// long after the first signal, even if a thread hangs.
pub fn stop_signals(within: Option<Duration>, at_last: impl Fn() + Send + 'static) -> std::io::Result<Receiver<()>> {
    let (say, stop) = crossbeam_channel::bounded(1);
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for (nth, _) in signals.forever().enumerate() {
            if nth > 0 {
                complain!("ended without committing: a second signal");
                at_last();
                std::process::exit(130);
            }
            // Full only when nobody has looked at the first yet.
            let _ = say.try_send(());
            if let Some(timeout) = within {
                end_within(timeout);
            }
        }
    })?;
    Ok(stop)
}

/// Ends the process after `timeout`, unless it has ended by then.
fn end_within(timeout: Duration) {
    let end = move || {
        std::thread::sleep(timeout);
        let error = HostError::ShutdownTimeout(timeout);
        complain!("error: {error}");
        signal_hook::low_level::exit(i32::from(error.exit_code()));
    };
    if let Err(error) = std::thread::Builder::new().name("deadline".into()).spawn(end) {
        tracing::warn!(%error, "nothing bounds the time that the end takes");
    }
}
