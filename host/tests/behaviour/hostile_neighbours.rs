//! How long records of a good plugin take while others fail all the time, on
//! another worker of the same host.

use std::thread::sleep;
use std::time::{Duration, Instant};

use gregor::clock::wall_ms;

use crate::support::extra::stage;
use crate::support::{Host, Pipeline, Record, Settings, Setup, kafka, send, until};

/// What each of the bad ones does with its word.
const BAD: [(&str, &str); 3] = [("loops", "loop"), ("traps", "panic"), ("eats-memory", "eat")];
/// Between two records of the good one.
const PACE: Duration = Duration::from_millis(2);
/// Records of the good one for each that a bad one fails on.
const GOOD_FOR_A_BAD: u64 = 20;
/// Half of them without the bad ones, after one that is not counted.
const TURNS: u64 = 4;
/// More records say nothing more.
const MOST: u64 = 20_000;

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
    // One after the other and again, so that what else the machine does strikes both.
    let (mut quiet, mut beside, mut failed) = (Vec::new(), Vec::new(), 0_u64);
    for turn in 0..=TURNS {
        let loud = turn % 2 == 1;
        let mut due = Instant::now();
        for nth in 0..settings.records.min(MOST) / TURNS {
            if loud && nth % GOOD_FOR_A_BAD == 0 {
                let (_, word) = BAD[(failed % 3) as usize];
                send(&producer, &bad, &Record::new("bad", word).partition(to_bad));
                failed += 1;
            }
            let key = match turn {
                0 => "before",
                _ if loud => "beside",
                _ => "quiet",
            };
            send(&producer, &good, &Record::new(key, wall_ms().to_string()).partition(to_good));
            due += PACE;
            sleep(due.saturating_duration_since(Instant::now()));
        }
        until("all is processed", || kafka().is_settled(&setup.app, &good) && kafka().is_settled(&setup.app, &bad));
    }
    kafka().read_each(&sink, |output| {
        let sent: i64 = output.text().parse().expect("a time");
        let took = u64::try_from(output.timestamp - sent).unwrap_or(0);
        match output.key() {
            "beside" => beside.push(took),
            "quiet" => quiet.push(took),
            _ => {}
        }
    });
    assert_eq!(quiet.len(), beside.len(), "each record comes out once");
    // Each bad record fails one plugin, on both of its tries.
    assert_eq!(host.metric("gregor_plugin_traps_total", &[]), 2.0 * failed as f64);
    assert!(host.answers("/healthz"));
    println!(
        "p50 and p99 of {} records each: {:?} ms alone, {:?} ms beside {failed} failures",
        quiet.len(),
        percentiles(&mut quiet),
        percentiles(&mut beside),
    );
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

fn percentiles(took: &mut [u64]) -> (u64, u64) {
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}
