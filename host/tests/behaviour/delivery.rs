//! Every record once, in order, with all its parts.

use rdkafka::producer::Producer;

use crate::support::{
    Broker, PATIENCE, Pipeline, Received, Record, Setup, Stage, by_key, kafka, produce_with_header, send, until,
};

/// A pipeline of one echo.
fn echo(source: &str, sink: &str) -> Pipeline {
    Pipeline::new(source).sink(sink).stage(Stage::new("echo"))
}

/// `records` through one echo, one partition in, one out.
fn echoed(records: impl IntoIterator<Item = Record>) -> Vec<Received> {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    kafka().produce(&source, records);
    Setup::new().workers(1).pipeline(echo(&source, &sink)).run_bounded();
    kafka().read(&sink)
}

#[test]
fn a_flush_that_does_not_end_names_its_topics() {
    let broker = Broker::start();
    let kafka = broker.connect();
    let (source, sink) = (kafka.topic(1), kafka.topic(1));
    // However fast the machine, outputs come one by one and the next commit is far: the broker
    // stops between two.
    let slow = Stage::new("loops").set("timeout", "\"100ms\"").set("on-failure", "\"skip\"");
    let setup = Setup::new()
        .bootstrap(kafka.bootstrap())
        .workers(1)
        .delivery("commit-interval", "\"5s\"")
        .pipeline(Pipeline::new(&source).sink(&sink).stage(slow));
    kafka.produce(&source, (0..12).flat_map(|_| ["out", "loop"]).map(|value| Record::new("key", value)));
    let mut host = setup.start();
    until("the first one came out", || kafka.ends(&sink)[0] > 0);
    broker.freeze();
    let waits = || {
        let log = host.log();
        log.lines().find(|line| line.contains("the commit waits until brokers acknowledge outputs")).map(str::to_owned)
    };
    until("the log says what is waited for", || waits().is_some());
    broker.thaw();
    let told = waits().expect("a line");
    assert!(told.contains(&format!("\"topics\":\"{sink}\"")), "{told}");
    until("everything is committed", || kafka.is_settled(&setup.app, &source));
    assert_eq!(host.term(), Some(0));
}

#[test]
fn every_record_comes_out_once_and_its_offset_is_committed() {
    let (source, sink) = (kafka().topic(6), kafka().topic(6));
    let (keys, each) = (40, 50);
    let records = (0..keys * each).map(|n| Record::new(format!("patient-{}", n % keys), format!("{}", n / keys)));
    let setup = Setup::new().workers(3).pipeline(echo(&source, &sink));
    kafka().produce(&source, records);

    setup.run_bounded();

    let values = by_key(&kafka().read(&sink));
    assert_eq!(values.len(), keys);
    let in_order: Vec<String> = (0..each).map(|n| n.to_string()).collect();
    for (key, values) in values {
        assert_eq!(values, in_order, "records of {key}");
    }
    let committed: Vec<i64> =
        kafka().committed(&setup.app, &source).into_iter().map(Option::unwrap_or_default).collect();
    assert_eq!(committed, kafka().ends(&source));
}

#[test]
fn a_source_partition_keeps_its_order_whatever_the_keys() {
    let (source, sink) = (kafka().topic(3), kafka().topic(1));
    kafka().produce(&source, (0..900).map(|n| Record::new(format!("key-{}", n % 100), n.to_string())));

    Setup::new().workers(3).pipeline(echo(&source, &sink).provenance()).run_bounded();

    let outputs = kafka().read(&sink);
    let mut next = [0_i64; 3];
    for output in &outputs {
        let position = |name| output.header(name).and_then(|text| text.parse::<i64>().ok()).expect("provenance");
        let next = &mut next[usize::try_from(position("gregor-partition")).unwrap()];
        assert_eq!(position("gregor-offset"), *next, "outputs in the order of their source partition");
        *next += 1;
    }
    assert_eq!(next.to_vec(), kafka().ends(&source));
}

#[test]
fn key_value_headers_and_timestamp_come_through() {
    let sent = Record::new("ключ", "välue")
        .timestamp(1_234_567_890_123)
        .header("trace", Some(b"\x00\xff"))
        .header("null", None)
        .header("empty", Some(b""))
        .header("trace", Some(b"again"));

    let received = echoed([sent.clone()]);

    assert_eq!(received.len(), 1);
    assert_eq!(received[0].key, sent.key);
    assert_eq!(received[0].value, sent.value);
    assert_eq!(received[0].timestamp, 1_234_567_890_123);
    assert_eq!(received[0].headers, sent.headers);
}

/// Whether there are any is looked up where the record lies.
#[test]
fn headers_come_through_with_every_compression_and_kind_of_value() {
    let values = [Some(vec![0; 100]), Some(vec![0xff; 100_000]), Some(b"1".to_vec()), Some(Vec::new()), None];
    let sent: Vec<Record> = (0..values.len() * 4)
        .map(|nth| {
            let mut record = Record { value: values[nth / 4].clone(), ..Record::keyless("") };
            for header in 0..nth % 4 {
                record = record.header(&format!("nth-{header}"), Some(b"\0"));
            }
            record
        })
        .collect();
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let (source, sink) = (kafka().topic(1), kafka().topic(1));
        let producer = kafka().producer(&[("compression.type", compression), ("linger.ms", "50")]);
        sent.iter().for_each(|record| send(&producer, &source, record));
        producer.flush(PATIENCE).expect("every record is acknowledged");

        Setup::new().workers(1).pipeline(echo(&source, &sink)).run_bounded();

        let received = kafka().read(&sink);
        assert_eq!(received.len(), sent.len(), "{compression}");
        for (received, sent) in received.iter().zip(&sent) {
            assert_eq!((&received.value, &received.headers), (&sent.value, &sent.headers), "{compression}");
        }
    }
}

#[test]
fn null_keys_tombstones_and_empty_bytes_stay_what_they_are() {
    let sent = [
        Record::keyless("value"),
        Record::tombstone("key"),
        Record::new("key", ""),
        Record::new("", "value"),
        Record::default(),
        Record::new([0xff, 0x00], [0xfe, 0x00]),
    ];

    let received = echoed(sent.clone());

    let parts: Vec<_> = received.into_iter().map(|record| (record.key, record.value)).collect();
    assert_eq!(parts, sent.map(|record| (record.key, record.value)));
}

#[test]
fn a_header_whose_name_is_no_utf8_stops_nobody() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    produce_with_header(&source, "first", c"trace-\xff", "kept");
    kafka().produce(&source, [Record::keyless("second")]);

    Setup::new().workers(1).pipeline(echo(&source, &sink)).run_bounded();

    let received = kafka().read(&sink);
    assert_eq!(received[0].headers, [("trace-\u{fffd}".to_owned(), Some(b"kept".to_vec()))]);
    assert_eq!(received[1].text(), "second");
}

#[test]
fn a_record_of_1_mib_comes_through_where_the_sink_takes_it() {
    let large = [("max.message.bytes", "2097152")];
    let (source, sink) = (kafka().topic_with(1, &large), kafka().topic_with(1, &large));
    let value = vec![b'x'; 1 << 20];
    kafka().produce(&source, [Record::new("large", value.clone()), Record::new("small", "y")]);

    Setup::new().workers(1).pipeline(echo(&source, &sink)).run_bounded();

    let received = kafka().read(&sink);
    assert_eq!(received.len(), 2);
    assert!(received[0].value.as_deref() == Some(&value), "1 MiB unchanged");
}

#[test]
fn an_output_larger_than_its_topic_takes_becomes_a_dead_letter() {
    let large = [("max.message.bytes", "2097152")];
    let (source, sink, dead) = (kafka().topic_with(1, &large), kafka().topic(1), kafka().topic_with(1, &large));
    let value = vec![b'x'; 1 << 20];
    kafka().produce(&source, [Record::new("large", value.clone()), Record::new("small", "y")]);

    let pipeline = echo(&source, &sink).dead_letter(&dead);
    Setup::new().workers(1).pipeline(pipeline).run_bounded();

    let received = kafka().read(&sink);
    assert_eq!(received.iter().map(Received::text).collect::<Vec<_>>(), ["y"]);
    let letters = kafka().read(&dead);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].value.as_deref() == Some(&value), "the record as it came");
    assert_eq!(letters[0].header("gregor-error"), Some("output-too-large"));
}

#[test]
fn outputs_land_where_javas_partitioner_would_put_their_keys() {
    // Keys and their murmur2 hashes as in Kafka's own tests of it (UtilsTest).
    let hashes = [
        ("21", -973_932_308_i32),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];
    let (source, sink) = (kafka().topic(1), kafka().topic(6));
    kafka().produce(&source, hashes.map(|(key, _)| Record::new(key, "x")));

    Setup::new().workers(1).pipeline(echo(&source, &sink)).run_bounded();

    let received = kafka().read(&sink);
    assert_eq!(received.len(), hashes.len());
    for (key, hash) in hashes {
        let output = received.iter().find(|output| output.key() == key).expect("every key comes out");
        assert_eq!(output.partition, (hash & i32::MAX) % 6, "partition of {key}");
    }
}
