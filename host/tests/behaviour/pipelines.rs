//! Stages and pipelines put together.

use std::collections::BTreeMap;

use crate::support::{Pipeline, Received, Record, Setup, Stage, by_key, kafka, until};

fn location(patient: u32, ward: &str) -> String {
    format!(r#"{{"patientId":"{patient}","ward":"{ward}","lat":38.5,"lon":-9.25}}"#)
}

fn texts(records: &[Received]) -> Vec<&str> {
    records.iter().map(Received::text).collect()
}

/// A granted topic as `topics` takes it.
fn granted(topics: &[&str]) -> String {
    format!("{topics:?}")
}

#[test]
fn a_stage_gets_what_the_stage_before_it_put_out() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let records = [(7, "B"), (8, "A"), (7, "A")];
    kafka().produce(
        &source,
        records.map(|(patient, ward)| Record::new(patient.to_string(), location(patient, ward)).timestamp(5_000)),
    );
    let pipeline = Pipeline::new(&source)
        .sink(&sink)
        .provenance()
        .stage(Stage::new("key-by").set("config", "{ field = \"ward\" }"))
        .stage(Stage::new("patient-location"));

    Setup::new().workers(1).pipeline(pipeline).run_bounded();

    let outputs = kafka().read(&sink);
    let keys: Vec<&str> = outputs.iter().map(Received::key).collect();
    assert_eq!(keys, ["B", "A", "A"], "the first stage's key");
    let sentence = |patient| format!("Patient {patient} at location (38.5, -9.25)");
    assert_eq!(texts(&outputs), [sentence(7), sentence(8), sentence(7)], "the second stage's value");
    assert!(outputs.iter().all(|output| output.timestamp == 5_000));
    let versions = outputs[0].header("gregor-versions").expect("provenance");
    let names: Vec<&str> = versions.split(',').filter_map(|version| version.split('@').next()).collect();
    assert_eq!(names, ["key-by", "patient-location"]);
}

#[test]
fn every_output_of_a_stage_goes_through_the_next_one() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    kafka().produce(&source, [Record::new("k", "outputs:5"), Record::new("k", "plain"), Record::new("k", "outputs:0")]);
    let pipeline = Pipeline::new(&source).sink(&sink).stage(Stage::new("outputs")).stage(Stage::new("version-a"));

    Setup::new().workers(1).pipeline(pipeline).run_bounded();

    let outputs = kafka().read(&sink);
    assert_eq!(texts(&outputs), ["0", "1", "2", "3", "4", "plain"]);
    assert!(outputs.iter().all(|output| output.header("version") == Some("a")));
}

#[test]
fn one_plugin_in_two_stages_keeps_two_caches() {
    let (source, sink) = (kafka().topic(1), kafka().topic(2));
    let other = kafka().topic(1);
    kafka().produce(&source, [Record::new("k", "increment n 1"), Record::new("k", "increment n 1")]);
    let setup = Setup::new()
        .workers(1)
        .pipeline(Pipeline::named("one", &source).sink(&sink).stage(Stage::new("script")))
        .pipeline(Pipeline::named("other", &source).sink(&other).stage(Stage::new("script")));

    setup.run_bounded();

    assert_eq!(texts(&kafka().read(&sink)), ["1", "2"]);
    assert_eq!(texts(&kafka().read(&other)), ["1", "2"]);
}

#[test]
fn several_pipelines_on_one_source_each_get_every_record() {
    let source = kafka().topic(3);
    let sinks = [(); 3].map(|()| kafka().topic(3));
    kafka().produce(&source, (0..300).map(|n| Record::new(format!("key-{}", n % 10), n.to_string())));
    let mut setup = Setup::new();
    for (plugin, sink) in ["echo", "version-a", "version-b"].into_iter().zip(&sinks) {
        setup = setup.pipeline(Pipeline::named(plugin, &source).sink(sink).stage(Stage::new(plugin)));
    }

    setup.run_bounded();

    let expected: Vec<String> = (0..30).map(|n| (n * 10 + 3).to_string()).collect();
    for (sink, version) in sinks.iter().zip([None, Some("a"), Some("b")]) {
        let outputs = kafka().read(sink);
        assert_eq!(outputs.len(), 300);
        assert_eq!(by_key(&outputs)["key-3"], expected);
        assert!(outputs.iter().all(|output| output.header("version") == version));
    }
}

#[test]
fn a_stage_writes_to_every_topic_it_is_granted() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let others = [kafka().topic(1), kafka().topic(1)];
    let records = [format!("topic:{}", others[0]), "to the sink".into(), format!("topic:{}", others[1])];
    kafka().produce(&source, records.clone().map(|value| Record::new("k", value)));
    let stage = Stage::new("outputs").set("topics", &granted(&[&others[0], &others[1]]));

    Setup::new().workers(1).pipeline(Pipeline::new(&source).sink(&sink).stage(stage)).run_bounded();

    assert_eq!(texts(&kafka().read(&others[0])), [&records[0]]);
    assert_eq!(texts(&kafka().read(&sink)), [&records[1]]);
    assert_eq!(texts(&kafka().read(&others[1])), [&records[2]]);
}

#[test]
fn a_topic_that_is_not_granted_is_refused() {
    let (source, sink, dead) = (kafka().topic(1), kafka().topic(1), kafka().topic(1));
    let value = format!("topic:{}", kafka().topic(1));
    kafka().produce(&source, [Record::new("k", value.clone()), Record::new("k", "next")]);
    let pipeline = Pipeline::new(&source).sink(&sink).dead_letter(&dead).stage(Stage::new("outputs"));

    Setup::new().workers(1).pipeline(pipeline).run_bounded();

    assert_eq!(texts(&kafka().read(&sink)), ["next"]);
    let letters = kafka().read(&dead);
    assert_eq!(texts(&letters), [value]);
    assert_eq!(letters[0].header("gregor-error"), Some("topic-not-granted"));
}

#[test]
fn an_output_to_nowhere_is_refused_where_the_pipeline_has_no_sink() {
    let (source, granted_topic, dead) = (kafka().topic(1), kafka().topic(1), kafka().topic(1));
    let addressed = format!("topic:{granted_topic}");
    kafka().produce(&source, [Record::new("k", "to nowhere"), Record::new("k", addressed.clone())]);
    let stage = Stage::new("outputs").set("topics", &granted(&[&granted_topic]));

    Setup::new().workers(1).pipeline(Pipeline::new(&source).dead_letter(&dead).stage(stage)).run_bounded();

    assert_eq!(texts(&kafka().read(&granted_topic)), [addressed]);
    let letters = kafka().read(&dead);
    assert_eq!(texts(&letters), ["to nowhere"]);
    assert_eq!(letters[0].header("gregor-error"), Some("no-sink"));
}

#[test]
fn rekeyed_through_a_topic_state_is_kept_by_the_new_key() {
    let (source, by_patient, sink) = (kafka().topic(3), kafka().topic(6), kafka().topic(6));
    // Keyed by ward, so a patient's records are spread over the source's partitions.
    let records = (0..400_u32).map(|n| {
        let ward = ["A", "B", "C", "D"][(n % 4) as usize];
        Record::new(ward, location(n % 25, ward)).partition((n % 3).cast_signed())
    });
    kafka().produce(&source, records);
    let rekey = Stage::new("key-by")
        .set("topics", &granted(&[&by_patient]))
        .set("config", &format!("{{ field = \"patientId\", topic = {by_patient:?} }}"));
    let setup = Setup::new()
        .workers(3)
        .pipeline(Pipeline::named("rekey", &source).stage(rekey))
        .pipeline(Pipeline::named("locations", &by_patient).sink(&sink).stage(Stage::new("last-location")));

    let mut host = setup.start();
    kafka().consume(&sink, 400);
    until("both topics are committed", || {
        kafka().is_settled(&setup.app, &source) && kafka().is_settled(&setup.app, &by_patient)
    });
    assert_eq!(host.term(), Some(0));

    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for output in kafka().read(&sink) {
        counts.entry(output.key().to_owned()).or_default().push(output.json()["count"].as_u64().expect("a count"));
    }
    assert_eq!(counts.len(), 25);
    for (patient, counts) in counts {
        assert_eq!(counts, (1..=16).collect::<Vec<_>>(), "patient {patient}");
    }
}
