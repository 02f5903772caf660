//! The plugin `stale-patient`: alarms by the host's clock.

use std::time::{Duration, Instant};

use crate::plugins::{assert_rejected, bad_locations, run};
use crate::support::{Pipeline, Record, Setup, Stage, eventually, kafka};

fn location(patient: &str) -> Record {
    Record::new(patient, format!(r#"{{"patientId":"{patient}","lat":1,"lon":2}}"#))
}

#[test]
fn a_silence_gives_one_alarm_and_the_next_position_is_told() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let stage = Stage::new("stale-patient").set("config", r#"{ after = "1s", back = true }"#);
    let setup = Setup::new().workers(1).pipeline(Pipeline::new(&source).sink(&sink).stage(stage));
    let mut host = setup.start();
    let told = || kafka().read(&sink).iter().map(|alarm| (alarm.key().to_owned(), alarm.json())).collect::<Vec<_>>();
    let sent = Instant::now();
    kafka().produce(&source, [location("1").timestamp(7)]);

    let alarms = eventually("an alarm comes", || Some(told()).filter(|alarms| !alarms.is_empty()));
    assert!(sent.elapsed() >= Duration::from_secs(1), "after {:?}", sent.elapsed());
    assert_eq!((&*alarms[0].0, &alarms[0].1["status"], &alarms[0].1["lastSeen"]), ("1", &"stale".into(), &7.into()));

    // Longer than another silence.
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(told().len(), 1, "one alarm for one silence");

    kafka().produce(&source, [location("1")]);
    let alarms = eventually("the patient is back", || Some(told()).filter(|alarms| alarms.len() > 1));
    assert_eq!((&*alarms[1].0, &alarms[1].1["status"]), ("1", &"back".into()));
    assert!(alarms[1].1["silentMs"].as_u64() >= Some(2_500), "{:?}", alarms[1]);
    assert_eq!(host.term(), Some(0));
}

#[test]
fn positions_that_keep_coming_give_no_alarm() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let stage = Stage::new("stale-patient").set("config", r#"{ after = "2s" }"#);
    let setup = Setup::new().workers(1).pipeline(Pipeline::new(&source).sink(&sink).stage(stage));
    let mut host = setup.start();
    kafka().produce(&source, [location("silent")]);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(4) {
        kafka().produce(&source, [location("here")]);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(host.term(), Some(0));
    let keys: Vec<String> = kafka().read(&sink).iter().map(|alarm| alarm.key().to_owned()).collect();
    assert_eq!(keys, ["silent"]);
}

#[test]
fn what_is_no_location_is_rejected() {
    let records = bad_locations();
    let outcome = run(Stage::new("stale-patient"), records.clone());
    assert!(outcome.outputs.is_empty());
    assert_rejected(&outcome.letters, "stale-patient", &records, 0);
}
