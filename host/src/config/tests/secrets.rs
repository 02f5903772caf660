//! Nothing that prints a configuration prints a secret of it.

use super::*;

const MARK: &str = "h1dden";

#[test]
fn debug_shows_no_secret() {
    let text = with_kafka(
        "\"sasl.username\" = \"gregor\"
\"sasl.password\" = \"h1dden\"
\"ssl.key.pem\" = \"h1dden\"
\"ssl.keystore.password\" = \"h1dden\"
\"sasl.oauthbearer.client.secret\" = \"h1dden\"
\"sasl.oauthbearer.config\" = \"h1dden\"
\"sasl.oauthbearer.assertion.private.key.passphrase\" = \"h1dden\"
[host]
admin-token = \"h1dden\"",
    );
    let config = accepted(&text, &[]);
    assert_eq!(config.kafka.get("sasl.password"), Some(MARK));
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains(MARK), "{shown}");
    assert!(shown.contains("\"sasl.username\": \"gregor\""));
    assert!(shown.contains("\"sasl.password\": \"***\""));
}

#[test]
fn a_problem_with_a_secret_does_not_tell_it() {
    let line = problem(&with_kafka("\"sasl.password\" = \"soon\""));
    assert!(line.starts_with("gregor.toml:4: kafka.sasl.password: invalid value \"***\""), "{line}");
    let line = problem(&with_table("[host]\nadmin-token = \"h1dden h1dden\""));
    assert!(line.starts_with("gregor.toml:5: host.admin-token: holds characters"), "{line}");
    assert!(!line.contains(MARK), "{line}");
    let line = problem("\"sasl.password\" = \"h1dden\n");
    assert!(!line.contains(MARK), "{line}");
}
