//! New versions of plugins while records flow, and what is no version.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use gregor::plugin::Digest;

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Flow, Received, Setup, plugin, until};

const PARTITIONS: i32 = 3;

/// The plugin's name under test; what its file holds changes.
const NAME: &str = "versioned";

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

fn runs(line: &Line, bytes: &[u8]) -> bool {
    line.plugin(NAME)["digest"] == digest(bytes).as_str()
}

/// Runs `during` while records flow, then waits until all are processed: each
/// must have come out once, those of a key in order. The outputs, by partition
/// of the source.
fn loaded(line: &Line, during: impl FnOnce()) -> Vec<Vec<Received>> {
    let flow = Flow::start(&line.topics.source, 20);
    let outcome = catch_unwind(AssertUnwindSafe(during));
    let produced = flow.stop();
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
    line.settle();
    let by_partition = line.outputs_by_partition();
    produced.assert_came_out_once(&by_partition.concat());
    for outputs in &by_partition {
        assert!(outputs.iter().map(source_offset).is_sorted_by(|one, next| one < next));
    }
    by_partition
}

/// No partition may go back from version b to version a.
fn under_load(line: &Line, during: impl FnOnce()) {
    let by_partition = loaded(line, during);
    let [a, b] = ["version-a", "version-b"].map(|name| short(&plugin(name)));
    for (partition, outputs) in by_partition.iter().enumerate() {
        let versions: Vec<&str> = outputs.iter().filter_map(|output| output.header("gregor-versions")).collect();
        let first_b = versions.iter().position(|version| *version == b).unwrap_or(0);
        assert!(first_b > 0, "partition {partition}: both versions ran under load");
        assert!(versions[..first_b].iter().all(|version| *version == a));
        assert!(versions[first_b..].iter().all(|version| *version == b), "partition {partition} went back");
        // What a guest says of itself is what the host says of it.
        let own: Vec<&str> = outputs.iter().filter_map(|output| output.header("version")).collect();
        assert!(own[..first_b].iter().all(|version| *version == "a"));
        assert!(own[first_b..].iter().all(|version| *version == "b"));
    }
}

/// As the host names a version in the headers of its outputs.
fn short(bytes: &[u8]) -> String {
    format!("{NAME}@{}", Digest::of(bytes).short())
}

fn source_offset(record: &Received) -> i64 {
    record.header("gregor-offset").and_then(|offset| offset.parse().ok()).expect("outputs name their source")
}

/// A host whose plugin is version a, in a folder that `arrange` may still change.
fn started(arrange: impl FnOnce(&Path)) -> Line {
    let topics = Topics::new(PARTITIONS);
    let pipeline = topics.pipeline().stage(stage(NAME, ""));
    let setup = Setup::new().plugin(NAME, &plugin("version-a")).pipeline(pipeline);
    arrange(&setup.path().join("plugins"));
    Line::run(topics, setup)
}

/// Swaps from version a to version b under load, by what `put` does to the file.
fn swapped_by(line: &Line, put: impl FnOnce(&Path, &[u8])) {
    let b = plugin("version-b");
    let positions = || (0..PARTITIONS).map(|partition| line.view(partition)["position"].as_i64().unwrap_or(0));
    under_load(line, || {
        until("records flow", || positions().all(|position| position > 50));
        put(&line.setup.plugin_file(NAME), &b);
        until("version b runs", || runs(line, &b));
        let swapped_at: Vec<i64> = positions().collect();
        until("records flow through version b", || {
            positions().zip(&swapped_at).all(|(position, at)| position > at + 50)
        });
    });
    line.expect_metric("gregor_plugin_swaps_total", &[r#"outcome="activated""#], 1.0);
}

#[test]
fn a_file_that_is_overwritten_is_taken_while_records_flow() {
    swapped_by(&started(|_| ()), |file, b| fs::write(file, b).expect("written"));
}

#[test]
fn a_file_that_is_renamed_into_place_is_taken_while_records_flow() {
    swapped_by(&started(|_| ()), |file, b| {
        let beside = file.with_extension("new");
        fs::write(&beside, b).expect("written");
        fs::rename(&beside, file).expect("renamed");
    });
}

#[test]
fn a_file_behind_swapped_links_is_taken_while_records_flow() {
    // As Kubernetes mounts a config map: the file is a link into `..data`, which
    // is a link to a folder; an update renames a new link over `..data`.
    let line = started(|folder| {
        let file = folder.join(format!("{NAME}.wasm"));
        fs::create_dir(folder.join("..first")).expect("a folder");
        fs::rename(&file, folder.join(format!("..first/{NAME}.wasm"))).expect("renamed");
        symlink("..first", folder.join("..data")).expect("a link");
        symlink(format!("..data/{NAME}.wasm"), file).expect("a link");
    });
    swapped_by(&line, |file, b| {
        let folder = file.parent().expect("a folder");
        fs::create_dir(folder.join("..second")).expect("a folder");
        fs::write(folder.join(format!("..second/{NAME}.wasm")), b).expect("written");
        symlink("..second", folder.join("..data_tmp")).expect("a link");
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("renamed");
        fs::remove_dir_all(folder.join("..first")).expect("removed");
    });
}

#[test]
fn a_half_written_file_is_refused_and_taken_once_it_is_whole() {
    let line = started(|_| ());
    swapped_by(&line, |file, b| {
        let (first, rest) = b.split_at(b.len() / 2);
        let mut half = File::create(file).expect("opened");
        half.write_all(first).expect("written");
        until("the half is refused", || line.plugin(NAME)["refused"].is_string());
        assert!(runs(&line, &plugin("version-a")));
        half.write_all(rest).expect("written");
    });
    assert!(line.plugin(NAME)["refused"].is_null(), "what runs now was not refused");
}

#[test]
fn a_file_that_grows_slowly_is_taken_once_it_is_whole() {
    swapped_by(&started(|_| ()), |file, b| {
        let mut growing = File::create(file).expect("truncated");
        for slice in b.chunks(b.len() / 20 + 1) {
            growing.write_all(slice).expect("written");
            sleep(Duration::from_millis(30));
        }
    });
}

#[test]
fn five_versions_one_after_another_lose_and_repeat_nothing() {
    let line = started(|_| ());
    let mut digests = vec![short(&plugin("version-a"))];
    let by_partition = loaded(&line, || {
        let mut version = plugin("version-a");
        until("version a runs", || runs(&line, &version));
        for _ in 0..5 {
            version = revised(&version);
            line.setup.put(NAME, &version);
            until("the version runs", || runs(&line, &version));
            digests.push(short(&version));
        }
    });
    for records in by_partition {
        let mut versions: Vec<&str> = records.iter().filter_map(|record| record.header("gregor-versions")).collect();
        versions.dedup();
        // A quick succession may leave a version without a record of this partition, never out of its turn.
        let turns: Vec<Option<usize>> =
            versions.iter().map(|version| digests.iter().position(|d| d == version)).collect();
        assert!(turns.len() > 1 && turns.iter().all(Option::is_some) && turns.is_sorted(), "{turns:?}");
    }
    line.expect_metric("gregor_plugin_swaps_total", &[], 5.0);
}

/// What may stand in a plugin's file and is no version of it, with the words
/// that the refusal must hold.
fn no_versions() -> Vec<(Vec<u8>, &'static str)> {
    let good = plugin("version-b");
    let native = wasmtime::Engine::default().precompile_component(&good).expect("wasmtime compiles it");
    vec![
        (good[..good.len() / 2].to_vec(), "it is damaged"),
        (good[..good.len() - 1].to_vec(), "it is damaged"),
        (Vec::new(), "it is empty"),
        (b"#!/bin/sh\nexit 0\n".to_vec(), "it is no WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "it is a core module"),
        (native, "it is precompiled code"),
        (b"\x7fELF\x02\x01\x01\0not from wasmtime".to_vec(), "it is no WebAssembly"),
        (plugin("no-processor"), "it exports no `gregor:plugin/processor@1`"),
        (plugin("unknown-import"), "which this host does not offer"),
        (plugin("init-rejects"), "it imports `wasi:config/store`, which the version before does not"),
        (vec![0; 5 << 20], "more than `plugins.max-size` (4194304)"),
    ]
}

#[test]
fn what_is_no_version_is_refused_in_one_line_and_the_running_one_goes_on() {
    let topics = Topics::new(1);
    let setup = Setup::new().plugin(NAME, &plugin("version-a")).pipeline(topics.pipeline().stage(stage(NAME, "")));
    let line = Line::run(topics, setup.plugins("max-size", "\"4MiB\""));
    let file = line.setup.plugin_file(NAME);
    assert_eq!(line.ask(0, "before"), "before");
    let refusals = |line: &Line| -> Vec<String> {
        line.host.log().lines().filter(|text| text.contains("is not deployed")).map(str::to_owned).collect()
    };
    let refused_so_far = |line: &Line, count: usize, words: &str| {
        until(words, || refusals(line).len() == count);
        let told = &refusals(line)[count - 1];
        let shown = line.plugin(NAME);
        assert!(told.contains(words) && told.contains("\"ERROR\""), "{words:?} is not in {told}");
        until("the API shows the refusal", || {
            line.plugin(NAME)["refused"].as_str().is_some_and(|refused| refused.contains(words))
        });
        assert_eq!(shown["digest"], digest(&plugin("version-a")).as_str());
    };
    let bad = no_versions();
    for (nth, (bytes, words)) in bad.iter().enumerate() {
        line.setup.put(NAME, bytes);
        refused_so_far(&line, nth + 1, words);
    }
    fs::remove_file(&file).expect("removed");
    line.host.wait_for_log("the plugin's file is gone");
    fs::create_dir(&file).expect("a folder");
    refused_so_far(&line, bad.len() + 1, "is a folder");
    fs::remove_dir(&file).expect("removed");
    symlink("nowhere.wasm", &file).expect("a link");
    until("a link to nothing is told like a file that is gone", || {
        line.host.log().matches("the plugin's file is gone").count() >= 2
    });
    line.expect_metric("gregor_plugin_swaps_total", &[r#"outcome="refused""#], bad.len() as f64 + 1.0);
    let refused = line.plugin(NAME)["refused"].clone();
    line.ask(0, "after all of them");

    line.setup.put(NAME, &plugin("version-b"));
    until("a good version is taken after all of them", || runs(&line, &plugin("version-b")));
    assert!(line.plugin(NAME)["refused"].is_null(), "{refused} does not concern the version that runs");
    line.ask(0, "after");
    line.settle();
    let versions: Vec<_> = line.outputs().iter().map(|output| output.header("version").map(str::to_owned)).collect();
    assert_eq!(versions, [Some("a".to_owned()), Some("a".to_owned()), Some("b".to_owned())]);
    line.expect_metric("gregor_plugin_swaps_total", &[r#"outcome="activated""#], 1.0);
}
