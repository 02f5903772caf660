//! What lets others on a network read or change what they should not.

use super::*;

/// The problems of `text`: refused as it is, told where the networks are trusted.
#[track_caller]
fn risk(text: &str) -> String {
    let line = problem(text);
    let trusted = accepted(text, &[("GREGOR__HOST__INSECURE", "true")]);
    assert_eq!(trusted.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [line.as_str()]);
    line
}

#[test]
fn a_login_in_the_clear_is_a_risk() {
    let line = risk(&with_kafka("\"security.protocol\" = \"SASL_PLAINTEXT\""));
    assert!(line.starts_with("gregor.toml:4: kafka.security.protocol: is sasl_plaintext: "), "{line}");
    assert!(line.contains("to b:9092 unencrypted; write sasl_ssl, or insecure = true in [host]"), "{line}");
    let line = risk(&with_table("[redis]\nurl = \"redis://gregor:h1dden@cache:6379\""));
    assert!(line.starts_with("gregor.toml:5: redis.url: has a password and no TLS"), "{line}");
    assert!(line.contains("to cache:6379 unencrypted") && !line.contains("h1dden"), "{line}");
}

#[test]
fn certificates_that_nobody_checks_are_a_risk() {
    for (property, value) in
        [("enable.ssl.certificate.verification", "false"), ("ssl.endpoint.identification.algorithm", "none")]
    {
        let text = with_kafka(&format!("\"security.protocol\" = \"ssl\"\n{property:?} = {value:?}"));
        let line = risk(&text);
        assert!(line.starts_with(&format!("gregor.toml:5: kafka.{property}: is ")), "{line}");
    }
    let line = risk(&with_table("[redis]\nurl = \"rediss://cache/#insecure\""));
    assert!(line.contains("can pose as the server"), "{line}");
}

#[test]
fn a_token_that_can_be_guessed_is_a_risk() {
    let line = risk(&with_table("[host]\nadmin-token = \"t\""));
    assert!(line.starts_with("gregor.toml:5: host.admin-token: has 1 characters: it can be guessed"), "{line}");
    let short = accepted(&with_table("[host]\nadmin-token = \"s3cret-7\""), &[]);
    assert_eq!(short.warnings.len(), 1, "{:?}", short.warnings);
    assert_eq!(accepted(&with_table("[host]\nadmin-token = \"0123456789abcdef\""), &[]).warnings, []);
}

#[test]
fn what_stays_on_this_machine_is_none() {
    for servers in ["localhost:9092", "127.0.0.1:9092,[::1]:9093", "PLAINTEXT://localhost:9092"] {
        let text = with_kafka("\"security.protocol\" = \"sasl_plaintext\"").replace("b:9092", servers);
        assert_eq!(accepted(&text, &[]).warnings, [], "{servers}");
    }
    for url in ["redis://:h1dden@localhost/0", "redis://cache:6379", "rediss://gregor:h1dden@cache"] {
        assert_eq!(accepted(&with_table(&format!("[redis]\nurl = {url:?}")), &[]).warnings, [], "{url}");
    }
    let some_remote = with_kafka("\"security.protocol\" = \"sasl_plaintext\"").replace("b:9092", "localhost:1,b:2");
    risk(&some_remote);
}
