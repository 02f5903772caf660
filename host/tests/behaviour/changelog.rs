//! A stage's changelog topic is fit for use or refused, and gives back the
//! entries as of the committed position: no more, no less, and in no other case.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use gregor::config::Config;
use gregor::state::changelog::{
    Changelog, ChangelogError, Malformed, Progress, Reader, Replay, ReplayError, Replayed, Wanted, encode, ensure,
};
use gregor::state::{Checkpoint, Entry, MemoryStore, Origin, Page, StateStore};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::support::{PATIENCE, Record, eventually, kafka, produce_with_header, send, unique, until};

const DAY: Duration = Duration::from_hours(24);
const NOW: u64 = 1_800_000_000_000;

fn compacted(partitions: i32) -> String {
    kafka().topic_with(partitions, &[("cleanup.policy", "compact")])
}

/// What a commit up to `position` writes for `key`.
fn change(key: &str, entry: Option<&Entry>, position: i64) -> Record {
    let value = entry.map(|entry| entry.value.clone());
    let record = Record { key: Some(key.into()), value, ..Record::default() };
    record.partition(0).header("gregor", Some(&encode(entry, position)))
}

fn set(key: &str, value: &str, position: i64) -> Record {
    change(key, Some(&Entry::durable(value.into(), None, Origin::Same)), position)
}

fn deleted(key: &str, position: i64) -> Record {
    change(key, None, position)
}

fn whole(topic: &str, position: i64) -> Replay<'_> {
    Replay { topic, partition: 0, checkpoint: None, position, delete_retention: DAY, now: NOW }
}

fn after(topic: &str, changelog: i64, at: u64, position: i64) -> Replay<'_> {
    Replay { checkpoint: Some(Checkpoint { position: 0, changelog, at }), ..whole(topic, position) }
}

fn replayed(replay: &Replay<'_>, store: &mut MemoryStore) -> Result<Replayed, ReplayError> {
    Reader::new(&kafka().config())?.replay(replay, store, &Progress::default(), &AtomicBool::new(false))
}

/// What a store has after `replay`, and the keys that were ahead.
#[track_caller]
fn restored(replay: &Replay<'_>) -> (Vec<(String, String)>, Vec<String>) {
    let mut store = MemoryStore::default();
    let replayed = replayed(replay, &mut store).expect("the replay ends well");
    (entries(&mut store), replayed.ahead)
}

fn entries(store: &mut MemoryStore) -> Vec<(String, String)> {
    let page = Page { prefix: "", after: None, now: 0, limit: usize::MAX, bytes: usize::MAX };
    let found = store.scan(&page).expect("memory is there");
    found.into_iter().map(|(key, entry)| (key, String::from_utf8(entry.value).expect("a value of text"))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A producer with an open transaction that holds `records`.
fn open_transaction(topic: &str, records: &[Record]) -> BaseProducer {
    let producer = kafka().producer(&[("transactional.id", &unique()), ("transaction.timeout.ms", "60000")]);
    producer.init_transactions(PATIENCE).expect("a transactional producer");
    producer.begin_transaction().expect("a transaction");
    records.iter().for_each(|record| send(&producer, topic, record));
    producer.flush(PATIENCE).expect("every record is acknowledged");
    producer
}

fn config() -> Config {
    let text = format!(
        "app = \"app\"\n[kafka]\n\"bootstrap.servers\" = {:?}\n[[pipeline]]\nname = \"p\"\nsource = \"s\"\n\
         [[pipeline.stage]]\nplugin = \"echo\"\non-failure = \"hold\"\n",
        kafka().bootstrap()
    );
    Config::parse(&text, "test", Path::new(""), [], &|_, _| Ok(())).expect("a configuration")
}

fn wanted(topic: &str, partitions: i32) -> Wanted {
    Wanted {
        topic: topic.to_owned(),
        pipeline: "locations".to_owned(),
        stage: "last".to_owned(),
        source: "source-of-locations".to_owned(),
        partitions,
        replication: -1,
        max_value: 2 << 20,
    }
}

fn setting(topic: &str, name: &str) -> String {
    let admin: AdminClient<DefaultClientContext> = kafka().config().create().expect("an admin client");
    let described = block_on(admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &AdminOptions::new()));
    let described = described.expect("an answer").remove(0).expect("the topic exists");
    described.get(name).and_then(|entry| entry.value.clone()).expect("the setting has a value")
}

#[track_caller]
fn refused(wanted: &Wanted) -> String {
    ensure(&config(), std::slice::from_ref(wanted)).expect_err("the topic is not fit").to_string()
}

#[test]
fn a_missing_changelog_topic_is_created_fit_for_use() {
    let (one, other) = (unique(), unique());
    let wanted = [wanted(&one, 3), wanted(&other, 2)];

    let created = ensure(&config(), &wanted).expect("topics can be created");

    assert_eq!((kafka().partitions(&one), kafka().partitions(&other)), (3, 2));
    assert_eq!(setting(&one, "cleanup.policy"), "compact");
    assert_eq!(setting(&one, "min.compaction.lag.ms"), "600000");
    let largest = 2 << 20;
    assert!(setting(&one, "max.message.bytes").parse::<u64>().unwrap() > largest);
    let topics: Vec<_> = created.iter().map(|changelog| &*changelog.topic).collect();
    assert_eq!(topics, [&*one, &*other]);
    assert!(created.iter().all(|changelog| changelog.delete_retention == DAY && changelog.max_batch_bytes > largest));
    assert_eq!(ensure(&config(), &wanted).expect("they are fit"), created, "a second start finds them so");
}

#[test]
fn hosts_that_start_at_once_create_a_topic_once() {
    let topic = unique();
    let made: Vec<Result<Vec<Changelog>, ChangelogError>> = thread::scope(|scope| {
        let hosts: Vec<_> = (0..4).map(|_| scope.spawn(|| ensure(&config(), &[wanted(&topic, 2)]))).collect();
        hosts.into_iter().map(|host| host.join().unwrap()).collect()
    });
    made.into_iter().for_each(|made| assert_eq!(made.expect("each finds the topic")[0].topic, topic));
}

#[test]
fn another_number_of_partitions_is_refused_with_the_way_out() {
    let topic = compacted(6);
    let error = refused(&wanted(&topic, 8));
    for part in [&*topic, "has 6 partitions", "has 8", "`gregor state export`", "`gregor state import`"] {
        assert!(error.contains(part), "{part} in: {error}");
    }
}

#[test]
fn a_setting_that_would_lose_entries_is_refused_with_the_command_that_mends_it() {
    let roomy = ("max.message.bytes", "8000000");
    let compact = ("cleanup.policy", "compact");
    let lag = ("min.compaction.lag.ms", "600000");
    let cases = [
        ([("cleanup.policy", "delete"), lag, roomy], "cleanup.policy=delete", "--add-config cleanup.policy=compact"),
        ([("cleanup.policy", "compact,delete"), lag, roomy], "cleanup.policy=compact,delete", "cleanup.policy=compact"),
        ([compact, ("min.compaction.lag.ms", "200"), roomy], "lag.ms=200", "--add-config min.compaction.lag.ms=600000"),
        ([compact, lag, ("max.message.bytes", "2097152")], "bytes=2097152", "--add-config max.message.bytes=2162688"),
    ];
    for (settings, found, command) in cases {
        let topic = kafka().topic_with(1, &settings);
        let error = refused(&wanted(&topic, 1));
        assert!(error.contains(found) && error.contains(command) && error.contains(&topic), "{error}");
    }
    let fit = kafka().topic_with(1, &[compact, lag, roomy]);
    assert!(ensure(&config(), &[wanted(&fit, 1)]).is_ok());
}

#[test]
fn a_topic_that_cannot_be_created_says_why() {
    let error = refused(&Wanted { replication: 7, ..wanted(&unique(), 1) });
    assert!(error.contains("could not be created") && error.contains("kafka-topics.sh"), "{error}");
}

#[test]
fn the_last_entry_of_each_key_comes_back_with_all_its_parts() {
    let topic = compacted(1);
    let full = Entry::durable(b"v".to_vec(), Some(NOW + 1), Origin::Key((*b"\xff\x00").into()));
    let keyless = Entry::durable(Vec::new(), None, Origin::Null);
    let records = [set("a", "1", 10), set("b", "1", 10), change("ключ", Some(&full), 20), set("a", "2", 20)];
    kafka().produce(&topic, records);
    kafka().produce(&topic, [change("empty", Some(&keyless), 30), deleted("b", 30), deleted("never", 30)]);

    let mut store = MemoryStore::default();
    let progress = Progress::default();
    let reader = Reader::new(&kafka().config()).unwrap();
    let replayed = reader.replay(&whole(&topic, 30), &mut store, &progress, &AtomicBool::new(false)).unwrap();

    assert_eq!(entries(&mut store), pairs(&[("a", "2"), ("empty", ""), ("ключ", "v")]));
    assert_eq!(store.find("ключ"), Some(&full));
    assert_eq!(store.find("empty"), Some(&keyless));
    let bytes = 2 + 2 + 9 + 2 + 5 + 1 + 5;
    assert_eq!(replayed, Replayed { end: 7, checkpoint: 7, ahead: Vec::new(), furthest: 30, records: 7, bytes });
    assert_eq!(progress.remaining.load(Relaxed), 0);
    assert_eq!((progress.records.load(Relaxed), progress.bytes.load(Relaxed)), (7, bytes));
}

#[test]
fn an_expired_entry_ends_what_stood_there() {
    let topic = compacted(1);
    let short = Entry::durable(b"2".to_vec(), Some(NOW), Origin::Same);
    kafka().produce(&topic, [set("a", "1", 10), set("b", "1", 10), change("a", Some(&short), 20)]);
    assert_eq!(restored(&whole(&topic, 20)).0, pairs(&[("b", "1")]));
}

#[test]
fn an_empty_changelog_gives_nothing_at_once() {
    let topic = compacted(2);
    let mut store = MemoryStore::default();
    let since = Instant::now();
    let replayed = replayed(&whole(&topic, 0), &mut store).unwrap();
    assert_eq!(replayed, Replayed { end: 0, checkpoint: 0, ahead: Vec::new(), furthest: 0, records: 0, bytes: 0 });
    assert!(store.is_empty() && since.elapsed() < Duration::from_secs(10));
}

#[test]
fn only_what_transactions_committed_comes_back() {
    let topic = compacted(1);
    kafka().produce_transaction(&topic, true, [set("a", "1", 10), set("b", "1", 10)]);
    kafka().produce_transaction(&topic, false, [set("a", "lost", 20), deleted("b", 20), set("c", "lost", 20)]);
    kafka().produce_transaction(&topic, true, [set("a", "2", 20)]);
    kafka().produce_transaction(&topic, false, [set("a", "lost", 30)]);
    // Seven records and four markers, of which the last comes a moment after its transaction's end.
    until("the last marker is written", || kafka().ends(&topic) == [11]);

    let mut store = MemoryStore::default();
    let replayed = replayed(&whole(&topic, 30), &mut store).expect("the end, a marker, is reached");

    assert_eq!(entries(&mut store), pairs(&[("a", "2"), ("b", "1")]));
    assert_eq!((replayed.end, replayed.records), (11, 3));
}

#[test]
fn a_changelog_of_nothing_but_aborted_records_ends() {
    let topic = compacted(1);
    kafka().produce_transaction(&topic, false, (0..3_000).map(|n| set(&format!("key-{n}"), "lost", 10)));
    assert_eq!(restored(&whole(&topic, 10)), (Vec::new(), Vec::new()));
}

#[test]
fn an_open_transaction_is_waited_for_and_its_abort_honoured() {
    let topic = compacted(1);
    kafka().produce(&topic, [set("a", "1", 10)]);
    let producer = open_transaction(&topic, &[set("a", "undecided", 20)]);
    thread::scope(|scope| {
        let replaying = scope.spawn(|| restored(&whole(&topic, 20)));
        thread::sleep(Duration::from_secs(1));
        assert!(!replaying.is_finished(), "what is undecided is waited for");
        producer.abort_transaction(PATIENCE).expect("the transaction ends");
        assert_eq!(replaying.join().unwrap().0, pairs(&[("a", "1")]));
    });
}

#[test]
fn an_open_transaction_is_waited_for_and_its_commit_honoured() {
    let topic = compacted(1);
    kafka().produce(&topic, [set("a", "1", 10)]);
    let producer = open_transaction(&topic, &[set("a", "2", 20)]);
    thread::scope(|scope| {
        let replaying = scope.spawn(|| restored(&whole(&topic, 20)));
        thread::sleep(Duration::from_millis(300));
        producer.commit_transaction(PATIENCE).expect("the transaction ends");
        assert_eq!(replaying.join().unwrap().0, pairs(&[("a", "2")]));
    });
}

#[test]
fn a_transaction_that_stays_open_is_an_error_to_be_tried_again() {
    let topic = compacted(1);
    let producer = open_transaction(&topic, &[set("a", "undecided", 20)]);
    let mut client: ClientConfig = kafka().config();
    let reader = Reader::new(client.set("transaction.timeout.ms", "1000")).unwrap();
    let replay = |cancelled: &AtomicBool| {
        reader.replay(&whole(&topic, 20), &mut MemoryStore::default(), &Progress::default(), cancelled)
    };

    let error = replay(&AtomicBool::new(false)).expect_err("it is undecided");
    assert!(matches!(error, ReplayError::Unstable { stable: 0, end: 1, .. }), "{error}");
    assert!(error.is_retriable() && !error.needs_rebuild());

    let cancelled = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            cancelled.store(true, Relaxed);
        });
        assert!(matches!(replay(&cancelled), Err(ReplayError::Cancelled)));
    });

    producer.commit_transaction(PATIENCE).expect("the transaction ends");
    let replayed = replay(&AtomicBool::new(false)).expect("it is decided");
    assert_eq!(replayed.records, 1);
}

#[test]
fn entries_past_the_committed_position_are_left_out_and_named() {
    let topic = compacted(1);
    let records = [set("a", "1", 10), set("b", "1", 10), set("a", "2", 20), deleted("b", 20), set("new", "1", 20)];
    kafka().produce(&topic, records);

    let mut store = MemoryStore::default();
    let replayed = replayed(&whole(&topic, 10), &mut store).unwrap();

    assert_eq!(entries(&mut store), pairs(&[("a", "1"), ("b", "1")]));
    assert_eq!(replayed.ahead, ["a", "b", "new"]);
    assert_eq!((replayed.end, replayed.checkpoint), (5, 2), "another replay meets them again");
    assert_eq!(restored(&whole(&topic, 20)), (pairs(&[("a", "2"), ("new", "1")]), Vec::new()));
}

#[test]
fn what_a_replayed_interval_wrote_anew_replaces_what_was_ahead() {
    let topic = compacted(1);
    // A crash after the changelog of 10 to 20, before its offsets; then 10 to 15 once more.
    kafka().produce(&topic, [set("a", "1", 10), set("a", "20", 20), set("b", "20", 20), set("c", "20", 20)]);
    kafka().produce(&topic, [set("a", "15", 15), deleted("b", 15)]);

    let mut store = MemoryStore::default();
    let replayed = replayed(&whole(&topic, 15), &mut store).unwrap();

    assert_eq!(entries(&mut store), pairs(&[("a", "15")]));
    assert_eq!((replayed.ahead, replayed.checkpoint), (vec!["c".to_owned()], 3));
}

#[test]
fn a_whole_store_takes_only_the_tail() {
    let topic = compacted(1);
    kafka().produce(&topic, [set("a", "1", 10), set("b", "1", 10), set("a", "2", 20), deleted("b", 20)]);
    let mut store = MemoryStore::default();
    for (key, value) in [("a", "1"), ("b", "1")] {
        store.load(key, Some(Entry::durable(value.into(), None, Origin::Same))).unwrap();
    }

    let replayed = replayed(&after(&topic, 2, NOW, 20), &mut store).unwrap();

    assert_eq!(entries(&mut store), pairs(&[("a", "2")]));
    assert_eq!((replayed.records, replayed.end), (2, 4));
}

#[test]
fn a_store_that_the_changelog_cannot_complete_is_refused() {
    // Only a topic that deletes lets records be deleted.
    let topic = kafka().topic_with(1, &[("cleanup.policy", "delete")]);
    kafka().produce(&topic, (0..10).map(|n| set(&format!("key-{n}"), "1", n)));
    let admin: AdminClient<DefaultClientContext> = kafka().config().create().unwrap();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(4)).unwrap();
    block_on(admin.delete_records(&before, &AdminOptions::new())).expect("records are deleted");
    let tried = |replay| replayed(&replay, &mut MemoryStore::default());

    for behind_or_past in [0, 3, 11] {
        let error = tried(after(&topic, behind_or_past, NOW, 10)).expect_err("it does not go with the log");
        assert!(matches!(error, ReplayError::Truncated { start: 4, end: 10, .. }), "{error}");
        assert!(error.needs_rebuild() && !error.is_retriable());
    }
    assert_eq!(tried(after(&topic, 4, NOW, 10)).unwrap().records, 6);
    assert_eq!(tried(after(&topic, 10, NOW, 10)).unwrap().records, 0);
    assert_eq!(tried(whole(&topic, 10)).unwrap().records, 6, "an empty store begins where the log does");
}

#[test]
fn a_store_older_than_deletions_are_kept_is_refused() {
    let topic = compacted(1);
    kafka().produce(&topic, [set("a", "1", 10), set("b", "1", 20)]);
    let old = NOW - 2 * DAY.as_millis() as u64;
    let error = replayed(&after(&topic, 1, old, 20), &mut MemoryStore::default()).expect_err("it is too old");
    assert!(matches!(error, ReplayError::Outdated { .. }) && error.needs_rebuild(), "{error}");
    let nothing_since = replayed(&after(&topic, 2, old, 20), &mut MemoryStore::default()).unwrap();
    assert_eq!(nothing_since.records, 0);
}

#[test]
fn records_of_other_programs_are_refused_by_their_place() {
    let foreign = |record: Record| {
        let topic = compacted(1);
        kafka().produce(&topic, [set("a", "1", 10), record.partition(0)]);
        let error = replayed(&whole(&topic, 10), &mut MemoryStore::default()).expect_err("it is no entry");
        assert!(error.to_string().contains(&format!("{topic}-0, offset 1")), "{error}");
        assert!(!error.is_retriable() && !error.needs_rebuild());
        match error {
            ReplayError::Malformed { offset: 1, problem, .. } => problem,
            error => panic!("{error}"),
        }
    };
    assert_eq!(foreign(Record::new("a", "2")), Malformed::Foreign);
    assert_eq!(foreign(Record::new("a", "2").header("gregor", None)), Malformed::Foreign);
    assert_eq!(foreign(Record::new("a", "2").header("gregor", Some(b"\x02new"))), Malformed::Newer(2));
    assert_eq!(foreign(Record::new("a", "2").header("gregor", Some(b"\x01"))), Malformed::Header);
    assert_eq!(foreign(Record { key: Some(vec![0xff]), ..set("a", "2", 10) }), Malformed::Key);
    assert_eq!(foreign(Record { key: Some(Vec::new()), ..set("a", "2", 10) }), Malformed::Key);
}

#[test]
fn a_header_whose_name_is_no_text_ends_nothing_but_the_replay() {
    let topic = kafka().topic(1);
    produce_with_header(&topic, "value", c"\xff\xfe", "header");
    let error = replayed(&whole(&topic, 10), &mut MemoryStore::default()).expect_err("it is no entry");
    assert!(matches!(error, ReplayError::Malformed { offset: 0, problem: Malformed::Foreign, .. }), "{error}");
}

#[test]
fn one_reader_replays_again_and_several_partitions_at_once() {
    let topic = compacted(4);
    let records = (0..4_000).map(|n| set(&format!("key-{n}"), &n.to_string(), 10).partition(n % 4));
    kafka().produce(&topic, records);
    let reader = Reader::new(&kafka().config()).unwrap();
    let load = |partition| {
        let mut store = MemoryStore::default();
        let replay = Replay { partition, ..whole(&topic, 10) };
        reader.replay(&replay, &mut store, &Progress::default(), &AtomicBool::new(false)).unwrap();
        let found = entries(&mut store);
        let of_partition = |value: &String| value.parse::<i32>().unwrap() % 4 == partition;
        assert!(found.len() == 1_000 && found.iter().all(|(_, value)| of_partition(value)), "partition {partition}");
    };
    for _ in 0..2 {
        thread::scope(|scope| (0..4).for_each(|partition| drop(scope.spawn(move || load(partition)))));
    }
}

#[test]
fn a_missing_topic_is_not_waited_for_past_a_cancel() {
    let cancelled = AtomicBool::new(false);
    let reader = Reader::new(&kafka().config()).unwrap();
    let topic = unique();
    thread::scope(|scope| {
        let replaying = scope
            .spawn(|| reader.replay(&whole(&topic, 10), &mut MemoryStore::default(), &Progress::default(), &cancelled));
        thread::sleep(Duration::from_millis(300));
        cancelled.store(true, Relaxed);
        let since = Instant::now();
        assert!(matches!(replaying.join().unwrap(), Err(ReplayError::Cancelled)));
        assert!(since.elapsed() < Duration::from_secs(8), "one question to the brokers at most");
    });
}

#[test]
fn what_compaction_left_is_enough() {
    // Segments that close at once, and a cleaner that takes every closed one.
    let eager = [("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.001"), ("delete.retention.ms", "100")];
    let settings: Vec<_> = [("cleanup.policy", "compact")].into_iter().chain(eager).collect();
    let topic = kafka().topic_with(1, &settings);
    let rounds = 50;
    kafka().produce_transaction(&topic, true, [set("gone", "1", 0)]);
    for round in 0..rounds {
        kafka().produce(&topic, (0..20).map(|n| set(&format!("key-{n}"), &round.to_string(), round)));
    }
    kafka().produce_transaction(&topic, true, [deleted("gone", rounds)]);
    let written = kafka().ends(&topic)[0];

    let replayed = eventually("the cleaner has passed", || {
        // A closed segment is one that a later record follows.
        thread::sleep(Duration::from_millis(200));
        kafka().produce(&topic, [set("last", "1", rounds)]);
        let mut store = MemoryStore::default();
        let replayed = replayed(&whole(&topic, rounds), &mut store).expect("the replay ends well");
        let found = entries(&mut store);
        assert_eq!(found.len(), 21);
        assert!(found.iter().all(|(key, value)| key == "last" || value == "49"), "{found:?}");
        (replayed.records < 500).then_some(replayed)
    });

    assert!(replayed.end > written, "holes take offsets: {replayed:?}");
}
