//! State that outlives its host.

use std::collections::BTreeMap;

use gregor::state::RESERVED;

use crate::support::{Backend, Guarantee, Pipeline, Record, Setup, Stage, kafka, redis_url};

/// What is left of a host when the next one starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    ItsDisk,
    Nothing,
}

/// The script plugin, its source and its answers.
struct Script {
    setup: Setup,
    source: String,
    sink: String,
    answered: usize,
}

impl Script {
    fn new(state: &str, guarantee: Guarantee) -> Script {
        let (source, sink) = (kafka().topic(2), kafka().topic(1));
        let stage = Stage::new("script").set("state", state);
        let setup = Setup::new()
            .workers(1)
            .delivery("guarantee", guarantee.toml())
            .pipeline(Pipeline::new(&source).sink(&sink).stage(stage));
        let setup = if state.contains("redis") { setup.redis(&redis_url()) } else { setup };
        Script { setup, source, sink, answered: 0 }
    }

    /// A host processes these commands and ends.
    #[track_caller]
    fn run(&mut self, partition: i32, commands: &str) -> Vec<String> {
        kafka().produce(&self.source, [Record::new("key", commands).partition(partition)]);
        self.setup.run_bounded();
        let outputs = kafka().read(&self.sink);
        assert_eq!(outputs.len(), self.answered + 1, "one answer for each record");
        self.answered += 1;
        outputs[self.answered - 1].text().split('\n').map(str::to_owned).collect()
    }
}

#[track_caller]
fn survives(state: &str, guarantee: Guarantee, left: Left) {
    let mut script = Script::new(state, guarantee);
    let written = "set a 1\nset é/ü x\nset gone x\nset n 41\nset late x 3600000\nset soon x 1";
    script.run(0, written);
    script.run(1, "set a other");
    assert_eq!(script.run(0, "increment n 1\ndelete gone"), ["42", "true"], "before the host is lost");
    if left == Left::Nothing {
        script.setup.lose_data("one");
    }
    let asked = "scan - - 9\nget-many a gone n late soon\nincrement n 1\nset gone back";
    let answers = script.run(0, asked);
    assert_eq!(answers, ["a=1 late=x n=42 é/ü=x", "1 none 42 x none", "43", "ok"]);
    assert_eq!(script.run(1, "scan - - 9"), ["a=other"]);
    assert_eq!(script.run(0, "get-many gone n"), ["back 43"]);
}

macro_rules! survives {
    ($($test:ident: $state:expr, $guarantee:ident, $left:ident;)*) => {
        $(#[test]
        fn $test() {
            survives($state, Guarantee::$guarantee, Left::$left);
        })*
    };
}

survives! {
    state_in_memory_with_a_changelog_survives_at_least_once: Backend::Memory.state(), AtLeastOnce, Nothing;
    state_in_memory_with_a_changelog_survives_exactly_once: Backend::Memory.state(), ExactlyOnce, Nothing;
    state_on_disk_with_a_changelog_survives_a_restart: Backend::Disk.state(), AtLeastOnce, ItsDisk;
    state_on_disk_with_a_changelog_survives_a_restart_exactly_once: Backend::Disk.state(), ExactlyOnce, ItsDisk;
    state_on_disk_with_a_changelog_survives_the_loss_of_the_disk: Backend::Disk.state(), AtLeastOnce, Nothing;
    state_on_disk_with_a_changelog_survives_the_loss_of_the_disk_exactly_once: Backend::Disk.state(), ExactlyOnce, Nothing;
    state_on_disk_alone_survives_a_restart: r#"{ backend = "disk" }"#, AtLeastOnce, ItsDisk;
    state_on_disk_alone_survives_a_restart_exactly_once: r#"{ backend = "disk" }"#, ExactlyOnce, ItsDisk;
    state_in_redis_survives_the_loss_of_the_host: Backend::Redis.state(), AtLeastOnce, Nothing;
    state_in_redis_survives_the_loss_of_the_host_exactly_once: Backend::Redis.state(), ExactlyOnce, Nothing;
}

#[test]
fn a_changelog_holds_the_last_value_of_each_key_as_the_plugin_wrote_it() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let mut script = Script::new(Backend::Memory.state(), guarantee);
        script.run(1, "set a 1\nset b 2\nset a 3\nset c 4\ndelete c\nset d 5");
        script.run(1, "delete d\nset b 6");
        let changelog = format!("{}-main-script-changelog", script.setup.app);
        assert_eq!(kafka().partitions(&changelog), 2);
        let entry = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
        assert_eq!(kafka().last_values(&changelog), BTreeMap::from([entry("a", "3"), entry("b", "6")]));
        let mut records = kafka().read(&changelog);
        // The host's own stamps are in every partition that it commits.
        records.retain(|record| !record.key().starts_with(RESERVED));
        assert!(records.iter().all(|record| record.partition == 1), "the source's partition");
        let of_a = records.iter().filter(|record| record.key() == "a").count();
        assert_eq!(of_a, 1, "one record for each key and interval, not for each write");
    }
}
