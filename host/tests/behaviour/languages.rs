//! The same plugins in every language do the same: the table of `examples/cases`,
//! each other's cache entries, and many records without a trap.

use std::time::Instant;

use gregor::record::Record;

use crate::support::Settings;
use crate::support::cases::{Case, cases};
use crate::support::languages::{LANGUAGES, Running, Stand};

const PLUGINS: [&str; 2] = ["patient-location", "last-location"];

/// What is wrong with the outcome of `case`, the record at `offset`, in `language`.
fn wrong(language: &str, running: &mut Running<'_>, case: &Case, offset: i64) -> Option<String> {
    let outcome = running.process(&case.bytes().record(offset));
    let excepted = case.except.iter().any(|excepted| excepted == language);
    case.differs(&outcome).filter(|_| !excepted).map(|how| format!("{} in {language}: {how}", case.name))
}

fn passes_the_table(language: &str) {
    let stand = Stand::new();
    for plugin in PLUGINS {
        let mut running = stand.run(&stand.version(language, plugin));
        let cases = cases(plugin);
        let wrong: Vec<_> =
            cases.iter().zip(0..).filter_map(|(case, offset)| wrong(language, &mut running, case, offset)).collect();
        assert!(wrong.is_empty(), "{plugin}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn rust_passes_the_table() {
    passes_the_table("rust");
}

#[test]
fn javascript_passes_the_table() {
    passes_the_table("javascript");
}

#[test]
fn typescript_passes_the_table() {
    passes_the_table("typescript");
}

#[test]
fn python_passes_the_table() {
    passes_the_table("python");
}

#[test]
fn go_passes_the_table() {
    passes_the_table("go");
}

#[test]
fn c_passes_the_table() {
    passes_the_table("c");
}

/// The next version of a plugin may be in another language: it finds the state as it was.
#[test]
fn each_language_reads_what_another_wrote() {
    let stand = Stand::new();
    let versions: Vec<_> = LANGUAGES.iter().map(|language| stand.version(language, "last-location")).collect();
    let mut running = stand.run(&versions[0]);
    let mut all = Vec::new();
    for (offset, case) in cases("last-location").iter().enumerate() {
        let which = offset % versions.len();
        running.swap(&versions[which]);
        all.extend(wrong(LANGUAGES[which], &mut running, case, offset as i64));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// A minute of a hospital's records without a trap: what a collector of garbage
/// does now and then has to have happened.
#[test]
fn many_records_do_not_trap_in_any_language() {
    let stand = Stand::new();
    let count = Settings::or(5_000, 1).records;
    for language in LANGUAGES {
        for plugin in PLUGINS {
            let mut running = stand.run(&stand.version(language, plugin));
            let since = Instant::now();
            for offset in 0..count {
                let patient = (offset * 7_919) % 1_000;
                let (key, value) = (patient.to_string(), location(patient, offset));
                let record = Record {
                    topic: "locations",
                    partition: 0,
                    offset: offset as i64,
                    timestamp: 1_700_000_000_000 + offset as i64,
                    key: Some(key.as_bytes()),
                    value: Some(value.as_bytes()),
                    headers: &[],
                };
                let outputs = running.process(&record);
                let outputs =
                    outputs.unwrap_or_else(|failure| panic!("{plugin} in {language}, record {offset}: {failure}"));
                assert_eq!(outputs.len(), 1, "{plugin} in {language}, record {offset}");
            }
            let each = since.elapsed().as_secs_f64() * 1e6 / count as f64;
            println!("{language:<11} {plugin:<17} {count} records without a trap, {each:.1} µs each on the wall clock");
        }
    }
}

/// Some are large, so that memory is taken in both ways: by many and by much.
fn location(patient: u64, offset: u64) -> String {
    let notes = if offset.is_multiple_of(500) { "x".repeat(64 << 10) } else { String::new() };
    let (lat, lon) = (38.0 + (offset % 977) as f64 / 1_000.0, -9.0 - (offset % 613) as f64 / 1_000.0);
    format!(r#"{{"patientId":"{patient}","lat":{lat},"lon":{lon},"notes":"{notes}"}}"#)
}
