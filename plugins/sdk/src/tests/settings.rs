use std::time::Duration;

use crate::config::{Config, Settings};
use crate::testing::PluginTester;
use crate::{Failure, Input, Lifecycle, Output, Plugin};

/// Says what it made of its config.
struct Configured;

#[derive(Debug)]
struct Wait(Duration);

impl Settings for Wait {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["wait", "times"])?;
        crate::metrics::count("reads", 1);
        let times: u32 = config.parsed("times", "a whole number")?.unwrap_or(1);
        Ok(Wait(config.duration("wait")?.unwrap_or_default() * times))
    }
}

impl Plugin for Configured {
    fn process(_: Input) -> Result<Vec<Output>, Failure> {
        let wait = Wait::load()?;
        Ok(vec![Output::new(None, format!("{:?}", wait.0).into_bytes())])
    }
}

impl Lifecycle for Configured {
    fn init() -> Result<(), String> {
        Wait::check()
    }
}

crate::export!(Configured: Lifecycle);

fn refusal(name: &str, value: &str) -> String {
    PluginTester::of::<Configured>().config(name, value).init().expect_err("refused")
}

#[test]
fn durations_are_written_as_in_the_hosts_configuration() {
    for (text, expected) in [("0ms", "0ns"), ("7ms", "7ms"), (" 5m ", "300s"), ("2h", "7200s"), ("90s", "90s")] {
        let mut tester = PluginTester::of::<Configured>().config("wait", text);
        let outputs = tester.push(crate::testing::Record::empty()).expect("a good config");
        assert_eq!(outputs[0].value.as_deref(), Some(expected.as_bytes()));
    }
    for text in ["", "5", "m", "5 m", "1.5h", "-1s", "5min", "99999999999999999999s", "18446744073709551615h"] {
        let expected = "`wait` in the config must be a whole number with ms, s, m or h, such as \"5m\"";
        assert_eq!(refusal("wait", text), expected, "{text:?}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_cure() {
    assert_eq!(refusal("wiat", "5m"), "`wiat` in the config is unknown: known are `wait`, `times`");
    assert_eq!(refusal("times", "some"), "`times` in the config must be a whole number");
}

#[test]
fn the_config_is_read_once_for_each_instance() {
    let mut tester = PluginTester::of::<Configured>().config("wait", "1s").config("times", "3");
    for _ in 0..3 {
        tester.push(crate::testing::Record::empty()).expect("a good config");
    }
    assert_eq!(tester.count("reads"), 0, "init read it, apart");
    tester.restart();
    let outputs = tester.push(crate::testing::Record::empty()).expect("a good config");
    assert_eq!(outputs[0].value.as_deref(), Some(&b"3s"[..]));
}

#[test]
fn two_testers_have_two_configs() {
    let mut testers = ["1s", "2s"].map(|wait| PluginTester::of::<Configured>().config("wait", wait));
    let told =
        testers.each_mut().map(|tester| tester.push(crate::testing::Record::empty()).expect("good")[0].value.clone());
    assert_eq!(told, [Some(b"1s".to_vec()), Some(b"2s".to_vec())]);
}
