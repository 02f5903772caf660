//! Values that are well formed, and still cannot stand: names, loops, what is
//! Gregor's own and what is not built.

use super::*;

#[test]
fn names_and_topics_have_their_letters() {
    let name = "use a to z, 0 to 9 and -, at most 63 of them, and no - first";
    for bad in ["Patients", "a b", "-a", "a_b", "ü", &"a".repeat(64)] {
        let line = problem(&LEAST.replace("app = \"a\"", &format!("app = \"{bad}\"")));
        assert_eq!(line, format!("gregor.toml:1: app: {bad:?} is not a name; {name}"));
        let line = problem(&LEAST.replace("name = \"p\"", &format!("name = \"{bad}\"")));
        assert_eq!(line, format!("gregor.toml:5: pipeline[0].name: {bad:?} is not a name; {name}"));
        let line = problem(&LEAST.replace("plugin = \"s\"", &format!("plugin = \"{bad}\"")));
        assert_eq!(line, format!("gregor.toml:8: pipeline.p.stage[0].plugin: {bad:?} is not a name; {name}"));
        let line = problem(&with_stage(&format!("name = \"{bad}\"")));
        assert_eq!(line, format!("gregor.toml:9: pipeline.p.stage[0].name: {bad:?} is not a name; {name}"));
    }
    for bad in [".", "..", "a b", "a/b", &"a".repeat(250)] {
        for key in ["sink", "dead-letter"] {
            let line = problem(&with_pipeline(&format!("{key} = \"{bad}\"")));
            let told = format!("gregor.toml:7: pipeline.p.{key}: {bad:?} is not the name of a topic; ");
            assert!(line.starts_with(&told), "{line}");
        }
        let line = problem(&LEAST.replace("source = \"in\"", &format!("source = \"{bad}\"")));
        assert!(line.starts_with("gregor.toml:6: pipeline.p.source: "), "{line}");
    }
    let longest = accepted(&with_pipeline(&format!("sink = \"{}\"", "A._-".repeat(62))), &[]);
    assert_eq!(longest.pipelines[0].sink.as_ref().map(String::len), Some(248));
    assert_eq!(accepted(&LEAST.replace("\"a\"", &format!("\"{}\"", "a".repeat(63))), &[]).app.len(), 63);
    let line = problem(&with_table("[host]\nid = \"ward 3\""));
    assert!(line.starts_with("gregor.toml:5: host.id: \"ward 3\" is not the name of a host; "), "{line}");
}

#[test]
fn names_are_given_once() {
    let second = "[[pipeline]]\nname = \"p\"\nsource = \"in\"\n[[pipeline.stage]]\nplugin = \"s\"\n";
    assert_eq!(
        problem(&format!("{LEAST}{second}")),
        "gregor.toml:10: pipeline.p.name: a pipeline above is called \"p\" too; give each pipeline a name of its own"
    );
    assert_eq!(
        problem(&with_stage("[[pipeline.stage]]\nplugin = \"s\"")),
        "gregor.toml:9: pipeline.p.stage.s.name: a stage above is called \"s\" too; give this stage a `name` of its own"
    );
    accepted(&with_stage("[[pipeline.stage]]\nplugin = \"s\"\nname = \"again\""), &[]);
}

#[test]
fn a_pipeline_does_not_write_to_its_own_source() {
    let loops = "which the pipeline would then read back for ever";
    for key in ["sink", "dead-letter"] {
        assert_eq!(
            problem(&with_pipeline(&format!("{key} = \"in\""))),
            format!("gregor.toml:7: pipeline.p.{key}: is the source \"in\", {loops}; name another topic")
        );
    }
    assert_eq!(
        problem(&with_stage("topics = [\"other\", \"in\"]")),
        format!("gregor.toml:9: pipeline.p.stage.s.topics: \"in\" is the source, {loops}; leave it out")
    );
}

#[test]
fn pipelines_on_one_source_start_alike() {
    let second =
        "[[pipeline]]\nname = \"q\"\nsource = \"in\"\nstart = \"latest\"\n[[pipeline.stage]]\nplugin = \"s\"\n";
    assert_eq!(
        problem(&format!("{LEAST}{second}")),
        "gregor.toml:12: pipeline.q.start: pipeline \"p\" reads \"in\" from another start; give both the same `start`: pipelines on one source share its offsets"
    );
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    assert_eq!(
        problem(&with_stage("on-failure = \"dead-letter\"")),
        "gregor.toml:9: pipeline.p.stage.s.on-failure: \"dead-letter\" needs a topic, and the pipeline names none; add `dead-letter = \"topic\"` to the pipeline, or write \"hold\" or \"skip\""
    );
    assert_eq!(
        problem(&with_stage("retry = { backoff = \"11s\", max-backoff = \"10s\" }")),
        "gregor.toml:9: pipeline.p.stage.s.retry.backoff: is more than max-backoff; lower it, or raise max-backoff"
    );
    assert_eq!(
        problem(&with_stage("state = { max-bytes = \"1MiB\", max-value = \"2MiB\" }")),
        "gregor.toml:9: pipeline.p.stage.s.state.max-value: is more than max-bytes, so such a value never fits; lower it, or raise max-bytes"
    );
}

#[test]
fn a_quarantine_is_kept_where_it_outlives_its_host() {
    let policy = "on-failure = \"quarantine\"";
    let told = |stage: &str, first: &str| {
        format!(
            "gregor.toml:7: pipeline.p.stage: \"{stage}\" has on-failure = \"quarantine\", and what is parked is kept in the \
             state of the first stage, \"{first}\", which is lost with its host; write state = {{ changelog = true }} or \
             state = {{ backend = \"redis\" }} in stage \"{first}\""
        )
    };
    assert_eq!(problem(&with_stage(policy)), told("s", "s"));
    assert_eq!(problem(&with_stage(&format!("{policy}\nstate = {{ backend = \"disk\" }}"))), told("s", "s"));
    let config = accepted(&with_stage(&format!("{policy}\nstate = {{ changelog = true }}")), &[]);
    let pipeline = &config.pipelines[0];
    assert_eq!(pipeline.stages[0].on_failure, OnFailure::Quarantine);
    assert_eq!(pipeline.quarantine, Quarantine { records: 1_000, bytes: 16 << 20 });
    let redis = with_table("[redis]\nurl = \"redis://host\"") + policy + "\nstate = { backend = \"redis\" }\n";
    accepted(&redis, &[]);
    // The first stage keeps what any of them parks.
    let second =
        |first: &str, own: &str| with_stage(&format!("{first}\n[[pipeline.stage]]\nplugin = \"t\"\n{policy}\n{own}"));
    assert_eq!(problem(&second("", "state = { changelog = true }")), told("t", "s"));
    accepted(&second("state = { changelog = true }", ""), &[]);
}

#[test]
fn a_quarantine_has_bounds_of_its_own() {
    let bounds = |lines: &str, state: &str| with_pipeline(lines) + state;
    let config = accepted(&bounds("quarantine = { records = 5, bytes = \"2MiB\" }", ""), &[]);
    assert_eq!(config.pipelines[0].quarantine, Quarantine { records: 5, bytes: 2 << 20 });
    let config = accepted(&bounds("", "state = { max-bytes = \"1MiB\" }"), &[]);
    assert_eq!(config.pipelines[0].quarantine.bytes, 16 << 20, "what is parked takes no room from the state");
    let line = problem(&bounds("quarantine = { records = 0 }", ""));
    assert!(line.starts_with("gregor.toml:7: pipeline.p.quarantine.records: 0 is out of range"), "{line}");
}

#[test]
fn kafka_properties_are_judged_by_gregor_and_by_the_client() {
    for key in [
        "group.id",
        "group.instance.id",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "auto.offset.reset",
        "transactional.id",
        "partition.assignment.strategy",
        "metadata.broker.list",
        "acks",
    ] {
        let line = problem(&with_kafka(&format!("\"{key}\" = \"x\"")));
        let told = format!("gregor.toml:4: kafka.{key}: is Gregor's to set; leave it out: ");
        assert!(line.starts_with(&told), "{line}");
    }
    accepted(&with_kafka("\"isolation.level\" = \"read_committed\""), &[]);
    let errors = refused(
        &with_kafka("\"isolation.level\" = \"read_uncommitted\"\n[delivery]\nguarantee = \"exactly-once\""),
        &[],
    );
    assert!(errors.contains("gregor.toml:4: kafka.isolation.level: is Gregor's to set; "), "{errors}");
    assert_eq!(
        problem(&with_kafka("\"no.such.property\" = 1")),
        "gregor.toml:4: kafka.no.such.property: no such property: \"no.such.property\"; librdkafka's CONFIGURATION.md lists its properties and their values"
    );
    assert_eq!(
        problem(&with_kafka("linger.ms = \"soon\"")),
        "gregor.toml:4: kafka.linger.ms: invalid value \"soon\" for \"linger.ms\"; librdkafka's CONFIGURATION.md lists its properties and their values"
    );
    let line = problem(&with_kafka("\"linger.ms\" = [1]"));
    assert!(line.starts_with("gregor.toml:4: kafka.linger.ms: is an array, not a string; "), "{line}");
}

#[test]
fn an_admin_server_that_others_can_reach_is_guarded() {
    assert_eq!(
        refused(&with_table("[host]\nadmin = \"0.0.0.0:9640\""), &[]),
        "\
gregor.toml:4: host.admin-token: is missing, and 0.0.0.0:9640 can be reached from other machines; set a token, best by GREGOR__HOST__ADMIN_TOKEN, or listen at 127.0.0.1
gregor.toml:5: host.admin: 0.0.0.0:9640 can be reached from other machines, and TLS is not built in this version; listen at 127.0.0.1, or write insecure = true where the network is trusted
2 problems in the configuration"
    );
    let guarded = with_table("[host]\nadmin = \"0.0.0.0:9640\"\nadmin-token = \"t\"\ninsecure = true");
    assert_eq!(accepted(&guarded, &[]).host.admin, Some(([0, 0, 0, 0], 9640).into()));
    accepted(&with_table("[host]\nadmin = \"[::1]:9640\""), &[]);
    let line = problem(&with_table("[host]\nadmin = \"localhost\""));
    assert!(line.starts_with("gregor.toml:5: host.admin: \"localhost\" is no address; "), "{line}");
}

#[test]
fn trusted_keys_are_public_keys() {
    let key = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let config = accepted(&with_table(&format!("[plugins]\ntrusted-keys = [\"{key}\"]")), &[]);
    assert_eq!(config.plugins.trusted_keys.len(), 1);
    let line = problem(&with_table("[plugins]\ntrusted-keys = [\"k\"]"));
    assert!(line.starts_with("gregor.toml:5: plugins.trusted-keys[0]: is no public key for ed25519; "), "{line}");
}

#[test]
fn shares_are_whole_percents() {
    for (written, percent) in [("0%", 0), ("5%", 5), ("100%", 100)] {
        let config = accepted(&with_table(&format!("[plugins]\nmax-failure-rate = \"{written}\"")), &[]);
        assert_eq!(config.plugins.probation.max_failure_percent, percent);
    }
    for bad in ["\"101%\"", "\"5\"", "0.05", "\"5 percent\"", "5"] {
        let line = problem(&with_table(&format!("[plugins]\nmax-failure-rate = {bad}")));
        assert!(line.starts_with("gregor.toml:5: plugins.max-failure-rate: ") && line.contains('%'), "{line}");
    }
}

#[test]
fn copies_on_other_hosts_are_made_from_a_changelog_by_hosts_that_know_each_other() {
    assert_eq!(
        problem(&with_stage("state = { standby = 1 }")),
        "gregor.toml:9: pipeline.p.stage.s.state.standby: asks for copies on other hosts, which they make from the \
         changelog, and that is off; leave it out, or write changelog = true"
    );
    let copied = with_stage("state = { changelog = true, standby = 2 }");
    assert_eq!(accepted(&copied, &[]).pipelines[0].stages[0].state.standby, 2);
    let named = copied.replace("[kafka]", "[kafka]\n\"client.id\" = \"x\"");
    assert!(problem(&named).contains("`standby` needs the one that tells hosts apart"), "{}", problem(&named));
}

#[test]
fn the_consumer_protocol_leaves_timeouts_to_the_brokers() {
    let consumer = LEAST.replace("[kafka]", "[kafka]\n\"group.protocol\" = \"consumer\"");
    assert!(accepted(&consumer, &[]).kafka.consumer_protocol());
    let own = consumer.replace("[kafka]", "[kafka]\n\"session.timeout.ms\" = 6000");
    assert!(problem(&own).contains("the brokers' group.consumer.session.timeout.ms"), "{}", problem(&own));
}
