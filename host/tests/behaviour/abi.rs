//! A component that was built once for each version of `wit/` and never again runs on
//! every later host.

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Host, Record, Setup, eventually, until};

use gregor::plugin::Digest;

const NAME: &str = "everything";
const TOKEN: &str = "s3cret";
const V1: &[u8] = include_bytes!("../fixtures/abi/v1.wasm");

fn line(config: &str) -> (Topics, Setup) {
    let topics = Topics::new(1);
    let setup = Setup::new().workers(1).plugin(NAME, V1);
    let stage = stage(NAME, &format!("log = \"info\"\nconfig = {{ {config} }}"));
    let setup = setup.pipeline(topics.pipeline().stage(stage));
    (topics, setup)
}

#[test]
fn a_component_of_version_1_does_what_it_did_when_it_was_built() {
    let (topics, setup) = line("greeting = \"hello\"");
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    let line = Line::of(topics, setup, host);
    assert_eq!(line.ask_at(0, 1_000, "count"), "hello 1");
    assert_eq!(line.ask_at(0, 1_500, "count"), "hello 2");
    line.expect_metric("gregor_plugin_seen_total", &[], 2.0);
    line.expect_metric("gregor_plugin_last", &[], 2.0);
    line.host.wait_for_log("counted");

    line.send_record(Record::new("key", "reject").partition(0).timestamp(1_600));
    line.flush();
    let letter = eventually("the dead letter", || line.dead().pop());
    assert_eq!(letter.header("gregor-error"), Some("reject"));
    line.host.wait_for_log("as asked");

    assert_eq!(line.ask_at(0, 2_000, "later"), "scheduled");
    assert_eq!(line.ask_at(0, 3_500, "entries"), "alarm=3000 n=2", "the timer came first");
    let fired = eventually("what the timer gave", || line.outputs().into_iter().find(|output| output.key() == "alarm"));
    assert_eq!((fired.text(), fired.timestamp), ("alarm=3000 n=2", 3_000));

    let (status, told) = line.host.post(&format!("/api/v1/plugins/{NAME}"), TOKEN, &revised(V1));
    assert_eq!(status, 200, "{told}");
    let from = format!("alarm=3000 from={} n=2", Digest::of(V1));
    until("the next version has taken the state over", || line.ask_at(0, 4_000, "entries") == from);
}

#[test]
fn a_component_of_version_1_is_asked_at_start_whether_it_takes_its_configuration() {
    let (_topics, setup) = line("other = \"hello\"");
    let (code, told) = setup.run_refused();
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("no greeting"), "{told}");
}
