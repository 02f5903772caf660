//! How long records of a good plugin take while others fail all the time, on
//! another worker of the same host.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use gregor::clock::wall_ms;
use nix::time::{ClockId, clock_gettime};

use crate::support::extra::stage;
use crate::support::{Host, Pipeline, Record, Settings, Setup, kafka, send, until};

/// What each of the bad ones does with its word.
const BAD: [(&str, &str); 3] = [("loops", "loop"), ("traps", "panic"), ("eats-memory", "eat")];
/// Between two records of the good one.
const PACE: Duration = Duration::from_millis(2);
/// Records of the good one for each that a bad one fails on.
const GOOD_FOR_A_BAD: u64 = 20;
/// How often each of [`Around`] has its turn.
const TURNS: u64 = 3;
/// More records say nothing more.
const MOST: u64 = 40_000;

/// What happens besides the good one's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Around {
    /// Nothing, and nothing is counted: the first records after a start.
    Start,
    Nothing,
    /// The bad ones fail on the other worker.
    Failures,
    /// A thread outside the host uses the processor as much as those failures
    /// did: what the host lets through is the difference.
    Burns,
}

#[test]
fn records_of_a_neighbour_come_out_while_plugins_fail_all_the_time() {
    let settings = Settings::or(2_000, 1);
    let (good, bad) = (kafka().topic(2), kafka().topic(2));
    let sink = kafka().topic_with(1, &[("message.timestamp.type", "LogAppendTime")]);
    let mut setup =
        Setup::new().workers(2).pipeline(Pipeline::named("good", &good).sink(&sink).stage(stage("echo", "")));
    for (plugin, _) in BAD {
        let lines = "timeout = \"20ms\"\nmemory = \"16MiB\"\non-failure = \"skip\"";
        setup = setup.pipeline(Pipeline::named(plugin, &bad).sink(&kafka().topic(1)).stage(stage(plugin, lines)));
    }
    let host = setup.start();
    until("both workers have their partitions", || host.answers("/readyz") && host.owns(4));
    let (to_good, to_bad) = apart(&host, &good, &bad);

    let producer = kafka().producer(&[("linger.ms", "0")]);
    let (burn, burnt) = burner();
    let mut used: BTreeMap<Around, Duration> = BTreeMap::new();
    let mut failed = 0_u64;
    // One after the other and again, so that what else the machine does strikes all.
    let turns = (0..TURNS).flat_map(|_| [Around::Nothing, Around::Failures, Around::Burns]);
    for around in std::iter::once(Around::Start).chain(turns) {
        let per_failure = match (used.get(&Around::Failures), used.get(&Around::Nothing)) {
            (Some(beside), Some(alone)) => beside.saturating_sub(*alone) / u32::try_from(failed).expect("few"),
            _ => Duration::ZERO,
        };
        let before = host.cpu();
        let mut due = Instant::now();
        for nth in 0..settings.records.min(MOST) / TURNS / 2 {
            if nth % GOOD_FOR_A_BAD == 0 {
                match around {
                    Around::Start | Around::Nothing => {}
                    Around::Failures => {
                        let (_, word) = BAD[(failed % 3) as usize];
                        send(&producer, &bad, &Record::new("bad", word).partition(to_bad));
                        failed += 1;
                    }
                    Around::Burns => burn.send(per_failure).expect("it burns"),
                }
            }
            send(&producer, &good, &Record::new(format!("{around:?}"), wall_ms().to_string()).partition(to_good));
            due += PACE;
            sleep(due.saturating_duration_since(Instant::now()));
        }
        until("all is processed", || kafka().is_settled(&setup.app, &good) && kafka().is_settled(&setup.app, &bad));
        *used.entry(around).or_default() += host.cpu() - before;
    }
    drop(burn);
    let mut took: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    kafka().read_each(&sink, |output| {
        let sent: i64 = output.text().parse().expect("a time");
        let took = took.entry(output.key().to_owned()).or_default();
        took.push(u64::try_from(output.timestamp - sent).unwrap_or(0));
    });
    let [quiet, beside, burning] = [Around::Nothing, Around::Failures, Around::Burns]
        .map(|around| took.remove(&format!("{around:?}")).unwrap_or_default());
    assert_eq!([quiet.len(); 2], [beside.len(), burning.len()], "each record comes out once");
    // Each bad record fails one plugin, on both of its tries.
    assert_eq!(host.metric("gregor_plugin_traps_total", &[]), 2.0 * failed as f64);
    assert!(host.answers("/healthz"));
    println!(
        "p50 and p99 of {} records each: {:?} ms alone, {:?} ms beside {failed} failures, which used the processor \
         for {:?}, {:?} ms beside a thread outside the host that used it for {:?}",
        quiet.len(),
        percentiles(quiet),
        percentiles(beside),
        used[&Around::Failures].saturating_sub(used[&Around::Nothing]),
        percentiles(burning),
        burnt.join().expect("the thread that burns"),
    );
}

/// A thread that uses the processor for as long as it is told, again and again;
/// how long that was in all.
fn burner() -> (Sender<Duration>, JoinHandle<Duration>) {
    let (burn, told) = channel();
    let thread = spawn(move || {
        told.into_iter().fold(Duration::ZERO, |total, time: Duration| {
            let until = thread_cpu() + time;
            while thread_cpu() < until {}
            total + time
        })
    });
    (burn, thread)
}

/// CPU that this thread has used.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

/// A partition of each topic that different workers have.
fn apart(host: &Host, good: &str, bad: &str) -> (i32, i32) {
    let views = host.partitions();
    let of = |topic: &str| {
        let of_topic = views.iter().filter(|view| view["topic"] == topic);
        of_topic.map(|view| (view["partition"].as_i64().expect("a number") as i32, view["worker"].clone())).collect()
    };
    let (goods, bads): (Vec<_>, Vec<_>) = (of(good), of(bad));
    let pairs = goods.iter().flat_map(|good| bads.iter().map(move |bad| (good, bad)));
    let mut pairs = pairs.filter(|((_, one), (_, other))| one != other);
    let ((good, _), (bad, _)) = pairs.next().expect("two workers have two partitions each");
    (*good, *bad)
}

fn percentiles(mut took: Vec<u64>) -> (u64, u64) {
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}
