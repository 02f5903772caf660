//! `gregor demo`: the main job with nothing else running. The cluster is
//! librdkafka's mock, in this process; the host is the one that `gregor run` starts.

mod cluster;
mod ledger;

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;
use comfy_table::{Table, presets};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::producer::{DefaultProducerContext, ThreadedProducer};
use tempfile::TempDir;

use self::cluster::{Cluster, PARTITIONS, Patients};
use self::ledger::{Ledger, Verdict};
use super::run::stop_signals;
use crate::config::Config;
use crate::files::private;
use crate::host::{Host, Options};
use crate::kafka;

const WORKERS: usize = 3;
const PLUGIN: &str = "last-location";
/// How long anything in the demo may take before it says that it failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two records of `--keep-running`.
const WALK: Duration = Duration::from_millis(500);
/// Of the workers' membership, in milliseconds. The mock cluster lets each rebalance
/// but the first take a second less, even when all have joined again: with Kafka's
/// 45 s, one worker that starts more than 3 s late outlasts [`PATIENCE`].
const SESSION_MS: u32 = 10_000;
/// Enriched records that are printed, before and after the swap.
const SHOWN: usize = 6;
/// Exit codes of a command that SIGINT ended, and of one that SIGPIPE ended, as
/// shells report them.
const INTERRUPTED: u8 = 130;
const READER_GONE: u8 = 141;

/// As `println!`, where nobody who reads is an error and no panic: the demo has
/// to clean up.
macro_rules! say {
    ($($text:tt)*) => { writeln!(io::stdout(), $($text)*)? };
}

#[derive(clap::Args)]
#[command(after_help = "Example: gregor demo --records 100000 --keep-running")]
pub struct DemoArgs {
    /// Generated records, besides those of examples/locations/locations.jsonl
    #[arg(long, default_value_t = 6_000, value_name = "N")]
    records: u64,
    /// Records a second
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// Leave cluster and host up afterwards, and patients walking, until Ctrl-C
    #[arg(long)]
    keep_running: bool,
}

pub fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let folder = private::folder("gregor-demo-")?;
    let left = folder.path().to_owned();
    let stop = Stop(stop_signals(None, move || private::remove(&left))?);
    match show(args, &stop, &folder) {
        Ok(code) => Ok(code),
        Err(error) if error.is::<Interrupted>() => Ok(ExitCode::from(INTERRUPTED)),
        // Whoever reads the output has seen enough.
        Err(error) if is_unread(&error) => Ok(ExitCode::from(READER_GONE)),
        Err(error) => Err(error),
    }
}

/// Runs the demo in its folder; its host is stopped however it ends.
fn show(args: &DemoArgs, stop: &Stop, folder: &TempDir) -> anyhow::Result<ExitCode> {
    let plugins = folder.path().join("plugins");
    DirBuilder::new().mode(private::FOLDER).create(&plugins)?;
    drop_in(&plugins, crate::demo_plugins()[1].1)?;

    let token = admin_token()?;
    let cluster = Cluster::start()?;
    say!("A Kafka cluster runs in this process at {} (librdkafka's mock).", cluster.bootstrap());
    say!("Topic {}: {PARTITIONS} partitions, key patientId.\n", cluster::SOURCE);
    let host = Host::start(
        config(&text(&cluster, "127.0.0.1:0", &token), folder.path())?,
        Options { apart: true, ..Options::default() },
    )?;
    let shown = show_on(args, stop, &host, &cluster, &plugins, &token);
    let stopped = host.stop();
    let code = shown?;
    stopped?;
    Ok(code)
}

fn show_on(
    args: &DemoArgs,
    stop: &Stop,
    host: &Host,
    cluster: &Cluster,
    plugins: &Path,
    token: &str,
) -> anyhow::Result<ExitCode> {
    stop.wait_for("every partition to have a worker", || host.views().len() == PARTITIONS as usize)?;
    say!("{WORKERS} workers joined the group; each partition has one home:");
    say!("{}\n", homes(host));

    let ledger = Ledger::follow(cluster)?;
    let mut patients = Patients::new();
    let produced = produce(args, stop, cluster, &mut patients, host, &ledger, plugins)?;
    stop.wait_for("the last enriched record", || ledger.distinct() >= produced)?;
    stop.wait_for("the last commit", || committed(host) == produced)?;
    let verdict = ledger.settle(&cluster.ends()?);
    say!("\n{}", summary(&verdict, produced));

    if args.keep_running {
        keep_running(stop, host, cluster, plugins, token, patients)?;
    }
    Ok(if verdict.is_clean(produced) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn keep_running(
    stop: &Stop,
    host: &Host,
    cluster: &Cluster,
    plugins: &Path,
    token: &str,
    patients: Patients,
) -> anyhow::Result<()> {
    say!("\nStill up, and patients go on walking. Bootstrap servers: {}", cluster.bootstrap());
    say!("Plugins are watched in {}", plugins.display());
    if let Some(admin) = host.admin() {
        // As the host has it, its port now known: for `gregor plugin dev`.
        let file = plugins.with_file_name("gregor.toml");
        private::write(&file, text(cluster, &admin.to_string(), token).as_bytes())?;
        say!("Its configuration is {}:", file.display());
        say!("  GREGOR_ADMIN_TOKEN={token} gregor status --admin http://{admin}");
        say!("  gregor plugin dev --config {} --plugin {PLUGIN}", file.display());
    }
    say!("Ctrl-C ends it.");
    let walk = std::thread::Builder::new().name("patients".into());
    let (done, over) = crossbeam_channel::bounded::<()>(0);
    std::thread::scope(|scope| {
        let producer = cluster.producer();
        walk.spawn_scoped(scope, move || walk_on(&producer, patients, &over))?;
        let ended = host.wait(&stop.0);
        drop(done);
        ended?;
        Ok(())
    })
}

/// Patients who move every now and then, until `over` hangs up.
fn walk_on(producer: &ThreadedProducer<DefaultProducerContext>, mut patients: Patients, over: &Receiver<()>) {
    while over.recv_timeout(WALK) == Err(RecvTimeoutError::Timeout) {
        if let Err(error) = cluster::produce(producer, &patients.next_line()) {
            tracing::warn!("a record could not be produced: {error:#}");
        }
    }
}

/// Whoever knows it may deploy to the demo's host: a new one for each run.
fn admin_token() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| anyhow::anyhow!("the machine gives no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn config(text: &str, folder: &Path) -> anyhow::Result<Config> {
    Ok(Config::parse(text, "demo", folder, [], &kafka::check_property)?)
}

/// The configuration that a user would write, for this cluster.
fn text(cluster: &Cluster, admin: &str, token: &str) -> String {
    format!(
        r#"app = "gregor-demo"
[kafka]
"bootstrap.servers" = "{bootstrap}"
# Where a worker joins late, the mock waits almost this long for those that have joined.
"session.timeout.ms" = "{SESSION_MS}"
[host]
id = "demo"
workers = {WORKERS}
admin = "{admin}"
admin-token = "{token}"
[[pipeline]]
name = "locations"
source = "{source}"
sink = "{sink}"
dead-letter = "{dead_letter}"
provenance = true
[[pipeline.stage]]
plugin = "{PLUGIN}"
"#,
        bootstrap = cluster.bootstrap(),
        source = cluster::SOURCE,
        sink = cluster::SINK,
        dead_letter = cluster::DEAD_LETTER,
    )
}

/// Puts a component into the watched folder as a careful deployer does: whole,
/// by a rename.
fn drop_in(plugins: &Path, component: &[u8]) -> io::Result<()> {
    let partial: PathBuf = plugins.join(".partial");
    private::write(&partial, component)?;
    fs::rename(partial, plugins.join(format!("{PLUGIN}.wasm")))
}

/// Produces the example's records and the generated ones, and swaps the plugin
/// half-way, while they flow. How many records there were.
fn produce(
    args: &DemoArgs,
    stop: &Stop,
    cluster: &Cluster,
    patients: &mut Patients,
    host: &Host,
    ledger: &Ledger,
    plugins: &Path,
) -> anyhow::Result<usize> {
    let examples = include_str!("../../../../examples/locations/locations.jsonl");
    let mut produced = 0;
    for line in examples.lines().filter(|line| !line.trim().is_empty()) {
        cluster.produce_line(line)?;
        produced += 1;
    }
    say!("Enriched records, as version {} makes them:", running(host));
    stop.wait_for("the first enriched records", || ledger.distinct() >= SHOWN)?;
    tell_latest(ledger)?;
    say!();

    let bar = ProgressBar::new(args.records);
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} records")?);
    let started = Instant::now();
    let mut old = Some(running(host)).filter(|_| args.records > 0);
    for n in 0..args.records {
        cluster.produce_line(&patients.next_line())?;
        produced += 1;
        bar.set_position(n + 1);
        if n == args.records / 2 {
            drop_in(plugins, crate::demo_plugin_with_speed())?;
        }
        if let Some(before) = old.take_if(|before| *before != running(host)) {
            let after = ledger.distinct();
            bar.suspend(|| {
                say!("Swapped while records flow, after {after} of them: {before} -> {}.", running(host));
                anyhow::Ok(())
            })?;
        }
        let due = started + Duration::from_secs_f64((n + 1) as f64 / args.rate as f64);
        stop.pause(due.saturating_duration_since(Instant::now()))?;
    }
    bar.finish_and_clear();
    if let Some(before) = old {
        // Few records, or a slow machine: the new version comes after the last of them.
        stop.wait_for("the new version", || running(host) != before)?;
        say!("Swapped: {before} -> {}.", running(host));
        cluster.produce_line(&patients.next_line())?;
        produced += 1;
    }
    if args.records > 0 {
        stop.wait_for("the last enriched record", || ledger.distinct() >= produced)?;
        say!("Enriched records, as version {} makes them:", running(host));
        tell_latest(ledger)?;
    }
    Ok(produced)
}

fn tell_latest(ledger: &Ledger) -> anyhow::Result<()> {
    for line in ledger.latest(SHOWN) {
        say!("  {line}");
    }
    Ok(())
}

/// The running version, `plugin@digest`.
fn running(host: &Host) -> String {
    let digest = host.plugins().get(PLUGIN).map(|status| status.digest.clone()).unwrap_or_default();
    format!("{PLUGIN}@{}", digest.get(..12).unwrap_or_default())
}

fn homes(host: &Host) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["worker", "partitions of locations"]);
    for worker in 0..WORKERS {
        let mut owned: Vec<i32> =
            host.views().iter().filter(|view| view.worker == worker).map(|view| view.key().partition).collect();
        owned.sort_unstable();
        let owned: Vec<String> = owned.iter().map(i32::to_string).collect();
        table.add_row([worker.to_string(), owned.join(", ")]);
    }
    table
}

/// Records up to which the group has committed.
fn committed(host: &Host) -> usize {
    let committed = host.views().iter().filter_map(|view| view.committed).sum::<i64>();
    usize::try_from(committed).unwrap_or(0)
}

fn summary(verdict: &Verdict, produced: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.add_row(["records produced to locations".to_owned(), produced.to_string()]);
    table.add_row(["consumed and enriched".to_owned(), verdict.enriched.to_string()]);
    table.add_row(["lost".to_owned(), verdict.lost.to_string()]);
    table.add_row(["repeated".to_owned(), verdict.repeated.to_string()]);
    table.add_row(["patients".to_owned(), verdict.patients.to_string()]);
    table.add_row(["patients seen by more than one worker".to_owned(), verdict.wanderers.to_string()]);
    table.add_row(["records out of order for their patient".to_owned(), verdict.disordered.to_string()]);
    table.add_row(["versions of the plugin that ran".to_owned(), verdict.versions.to_string()]);
    table.add_row(["partitions that went back to an older version".to_owned(), verdict.went_back.to_string()]);
    table
}

/// Someone asked the demo to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

/// Says something when someone asks the demo to end.
struct Stop(Receiver<()>);

impl Stop {
    /// Waits that long.
    ///
    /// # Errors
    /// [`Interrupted`], at once.
    fn pause(&self, time: Duration) -> anyhow::Result<()> {
        match self.0.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Interrupted.into()),
        }
    }

    fn wait_for(&self, what: &str, done: impl Fn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            ensure!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
            self.pause(Duration::from_millis(10))?;
        }
        Ok(())
    }
}

/// Whether an error is that nobody reads the output any more.
fn is_unread(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
