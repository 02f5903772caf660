//! The same records through the Flink job of `examples/flink` and through
//! `patient-location` and `average-location`, compared window by window.

use std::time::{Duration, Instant};

use rdkafka::producer::Producer;

use crate::support::flink::Job;
use crate::support::rounds::{BOUND_MS, PARTITIONS, Rounds, WINDOW_MS, late_of, means_of, sentences_of};
use crate::support::{
    Backend, Guarantee, PATIENCE, Pipeline, Settings, Setup, Stage, kafka, send, until, until_within,
};

/// Of records and of windows, both in a time long gone.
const KEPT: (&str, &str) = ("retention.ms", "-1");

/// Where one side's results go.
struct Results {
    averages: String,
    late: String,
    sentences: String,
}

impl Results {
    fn new() -> Results {
        let topic = || kafka().topic_with(PARTITIONS, &[KEPT]);
        Results { averages: topic(), late: topic(), sentences: topic() }
    }
}

/// A host that does as the job does.
fn host(source: &str, results: &Results) -> Setup {
    let Results { averages, late, sentences } = results;
    let config = format!(r#"{{ window = "{}s", late-topic = {late:?} }}"#, WINDOW_MS / 1_000);
    let average = Stage::new("average-location")
        .set("on-failure", "\"skip\"")
        .set("topics", &format!("[{late:?}]"))
        .set("state", Backend::Disk.state())
        .set("config", &config);
    let bound = format!("\"{}s\"", BOUND_MS / 1_000);
    Setup::new()
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .delivery("guarantee", Guarantee::ExactlyOnce.toml())
        .delivery("commit-interval", "\"100ms\"")
        .pipeline(
            Pipeline::named("sentences", source)
                .sink(sentences)
                .stage(Stage::new("patient-location").set("on-failure", "\"skip\"")),
        )
        .pipeline(Pipeline::named("averages", source).sink(averages).set("max-out-of-orderness", &bound).stage(average))
}

/// Both on the same records, and beside them what an onlooker computes.
#[track_caller]
fn side_by_side(watermarks: &str, some_are_late: bool) {
    let settings = Settings::or(20_000, 1);
    let patience = PATIENCE + Duration::from_millis(settings.records / 5);
    let source = kafka().topic_with(PARTITIONS, &[KEPT]);
    let mut rounds = Rounds::new(settings.seed, settings.records, some_are_late);
    kafka().produce(&source, rounds.by_ref());
    let expected = rounds.expected();

    let (flinks, ours) = (Results::new(), Results::new());
    let started = Instant::now();
    let job = Job::start(&[
        ("source", &source),
        ("averages", &flinks.averages),
        ("late", &flinks.late),
        ("sentences", &flinks.sentences),
        ("watermarks", watermarks),
        ("window", &format!("{WINDOW_MS} ms")),
        ("max-out-of-orderness", &format!("{BOUND_MS} ms")),
        // A machine that is busy elsewhere makes no partition idle.
        ("idle-timeout", "1 h"),
    ]);
    job.finish(patience);
    let of_flink = started.elapsed();
    let started = Instant::now();
    let setup = host(&source, &ours);
    let mut host = setup.spawn_as("one", &["--bounded"]);
    assert_eq!(host.wait_exit_within(patience), Some(0));
    let of_host = started.elapsed();

    let means = expected.means();
    assert!(expected.sentences.count > settings.records * 9 / 10 && means.len() > 500);
    assert_eq!(expected.late.count > settings.records / 100, some_are_late, "{} are late", expected.late.count);
    for (side, results) in [("Flink", &flinks), ("Gregor", &ours)] {
        let told = means_of(kafka().read(&results.averages));
        assert_eq!(told.len(), means.len(), "means of {side}");
        for (window, mean) in &means {
            assert_eq!(told.get(window), Some(mean), "{side}: {window:?}");
        }
        assert_eq!(late_of(kafka().read(&results.late)), expected.late, "late locations of {side}");
        assert_eq!(sentences_of(kafka().read(&results.sentences)), expected.sentences, "sentences of {side}");
    }
    println!(
        "{} records, {} means, {} late: Flink {:.1} s, Gregor {:.1} s, starts and ends included",
        settings.records,
        means.len(),
        expected.late.count,
        of_flink.as_secs_f64(),
        of_host.as_secs_f64()
    );
}

#[test]
fn means_and_late_records_are_those_of_flink() {
    side_by_side("partition", true);
}

#[test]
fn means_are_those_of_flink_with_the_event_time_of_all_partitions_where_nothing_is_late() {
    side_by_side("merged", false);
}

#[test]
fn a_host_that_is_killed_in_mid_window_gives_every_mean_once() {
    const ROUND: u64 = 4;
    let settings = Settings::or(20_000, 3);
    let mut chance = settings.chance();
    let source = kafka().topic_with(PARTITIONS, &[KEPT]);
    let results = Results::new();
    let setup = host(&source, &results);
    let mut rounds = Rounds::new(settings.seed, settings.records, true);

    let (pace, started) = (settings.pace(ROUND), Instant::now());
    let producer = kafka().producer(&[("linger.ms", "20")]);
    let (source, records) = (&source, rounds.by_ref());
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            for (record, sent) in records.zip(0_u64..) {
                while started.elapsed().as_secs_f64() * (pace as f64) < sent as f64 {
                    std::thread::sleep(Duration::from_millis(10));
                }
                send(&producer, source, &record);
            }
            producer.flush(PATIENCE).expect("every record is acknowledged");
        });
        for _ in 0..settings.rounds {
            if chance.one_in(4) {
                setup.lose_data("one");
            }
            let written = || kafka().ends(&results.sentences).into_iter().sum::<i64>();
            let before = written();
            let mut host = setup.spawn_as("one", &[]);
            until("records flow", || written() > before + 50 || sending.is_finished());
            chance.pass(Duration::from_secs(1));
            host.kill9();
        }
        sending.join().expect("the sending thread");
    });
    let expected = rounds.expected();
    let mut host = setup.spawn_as("one", &[]);
    let patience = PATIENCE + Duration::from_millis(settings.records / 5);
    until_within(patience, "everything is committed", || kafka().is_settled(&setup.app, source));
    assert_eq!(host.term(), Some(0));

    assert_eq!(means_of(kafka().read(&results.averages)), expected.means());
    assert_eq!(late_of(kafka().read(&results.late)), expected.late);
    assert_eq!(sentences_of(kafka().read(&results.sentences)), expected.sentences);
    println!("{} records, {} kills, {} means once each", settings.records, settings.rounds, expected.means().len());
}
