//! `gregor demo`: the main job with nothing else running. The cluster is
//! librdkafka's mock, in this process; the host is the one that `gregor run` starts.

mod cluster;
mod ledger;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;
use comfy_table::{Table, presets};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::producer::{DefaultProducerContext, ThreadedProducer};

use self::cluster::{Cluster, PARTITIONS, Patients};
use self::ledger::{Ledger, Verdict};
use super::run::stop_signals;
use crate::config::Config;
use crate::host::{Host, Options};
use crate::worker;

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
    let stop = stop_signals()?;
    let folder = tempfile::Builder::new().prefix("gregor-demo-").tempdir()?;
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins)?;
    drop_in(&plugins, crate::demo_plugins()[1].1)?;

    let token = admin_token()?;
    let cluster = Cluster::start()?;
    println!("A Kafka cluster runs in this process at {} (librdkafka's mock).", cluster.bootstrap());
    println!("Topic {}: {PARTITIONS} partitions, key patientId.\n", cluster::SOURCE);
    let host = Host::start(
        config(&text(&cluster, "127.0.0.1:0", &token), folder.path())?,
        Options { apart: true, ..Options::default() },
    )?;
    wait_for("every partition to have a worker", || host.views().len() == PARTITIONS as usize)?;
    println!("{WORKERS} workers joined the group; each partition has one home:");
    println!("{}\n", homes(&host));

    let ledger = Ledger::follow(&cluster)?;
    let mut patients = Patients::new();
    let produced = produce(args, &cluster, &mut patients, &host, &ledger, &plugins)?;
    wait_for("the last enriched record", || ledger.distinct() >= produced)?;
    wait_for("the last commit", || committed(&host) == produced)?;
    let verdict = ledger.settle(&cluster.ends()?);
    println!("\n{}", summary(&verdict, produced));

    if args.keep_running {
        println!("\nStill up, and patients go on walking. Bootstrap servers: {}", cluster.bootstrap());
        println!("Plugins are watched in {}", plugins.display());
        if let Some(admin) = host.admin() {
            // As the host has it, its port now known: for `gregor plugin dev`.
            let file = folder.path().join("gregor.toml");
            fs::write(&file, text(&cluster, &admin.to_string(), &token))?;
            println!("Its configuration is {}:", file.display());
            println!("  GREGOR_ADMIN_TOKEN={token} gregor status --admin http://{admin}");
            println!("  gregor plugin dev --config {} --plugin {PLUGIN}", file.display());
        }
        println!("Ctrl-C ends it.");
        let walk = std::thread::Builder::new().name("patients".into());
        let (done, over) = crossbeam_channel::bounded::<()>(0);
        std::thread::scope(|scope| {
            let producer = cluster.producer();
            walk.spawn_scoped(scope, move || walk_on(&producer, patients, &over))?;
            let ended = host.wait(&stop);
            drop(done);
            anyhow::Ok(ended?)
        })?;
    }
    host.stop()?;
    Ok(if verdict.is_clean(produced) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    Ok(Config::parse(text, "demo", folder, [], &worker::check_property)?)
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
fn drop_in(plugins: &Path, component: &[u8]) -> std::io::Result<()> {
    let partial: PathBuf = plugins.join(".partial");
    fs::write(&partial, component)?;
    fs::rename(partial, plugins.join(format!("{PLUGIN}.wasm")))
}

/// Produces the example's records and the generated ones, and swaps the plugin
/// half-way, while they flow. How many records there were.
fn produce(
    args: &DemoArgs,
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
    println!("Enriched records, as version {} makes them:", running(host));
    wait_for("the first enriched records", || ledger.distinct() >= SHOWN)?;
    ledger.latest(SHOWN).iter().for_each(|line| println!("  {line}"));
    println!();

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
                println!("Swapped while records flow, after {after} of them: {before} -> {}.", running(host));
            });
        }
        let due = started + Duration::from_secs_f64((n + 1) as f64 / args.rate as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    bar.finish_and_clear();
    if let Some(before) = old {
        // Few records, or a slow machine: the new version comes after the last of them.
        wait_for("the new version", || running(host) != before)?;
        println!("Swapped: {before} -> {}.", running(host));
        cluster.produce_line(&patients.next_line())?;
        produced += 1;
    }
    if args.records > 0 {
        wait_for("the last enriched record", || ledger.distinct() >= produced)?;
        println!("Enriched records, as version {} makes them:", running(host));
        ledger.latest(SHOWN).iter().for_each(|line| println!("  {line}"));
    }
    Ok(produced)
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

fn wait_for(what: &str, done: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        ensure!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
