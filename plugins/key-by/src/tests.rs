use gregor_sdk::Header;

use super::*;

fn record(value: Option<&[u8]>) -> Input {
    Input {
        topic: "locations".into(),
        partition: 0,
        offset: 0,
        timestamp: 1_700_000_000_000,
        key: Some(b"old".into()),
        value: value.map(Into::into),
        headers: vec![Header { name: "trace".into(), value: None }],
    }
}

fn settings(field: &str) -> Settings {
    Settings::new(Some(field.into()), None).expect("a good config")
}

fn key(field: &str, value: &str) -> Result<String, Failure> {
    let mut outputs = rekey(&settings(field), record(Some(value.as_bytes())))?;
    assert_eq!(outputs.len(), 1);
    let key = outputs.remove(0).key.expect("a key");
    Ok(String::from_utf8(key).expect("UTF-8"))
}

fn reason(refused: Result<impl std::fmt::Debug, Failure>) -> String {
    match refused {
        Err(Failure::Reject(reason)) => reason,
        other => panic!("expected a reject: {other:?}"),
    }
}

#[test]
fn only_the_key_changes() {
    let value = br#"{"patientId": "123", "ward": "B"}"#;
    let outputs = rekey(&settings("ward"), record(Some(value))).expect("a good record");
    let expected = Output {
        topic: None,
        partition: None,
        timestamp: None,
        key: Some(b"B".into()),
        value: Some(value.to_vec()),
        headers: record(None).headers,
    };
    assert_eq!(outputs, [expected]);
}

#[test]
fn a_configured_topic_is_where_the_record_goes() {
    let settings = Settings::new(Some("ward".into()), Some("by-ward".into())).expect("good");
    let outputs = rekey(&settings, record(Some(br#"{"ward":"B"}"#))).expect("a good record");
    assert_eq!(outputs[0].topic.as_deref(), Some("by-ward"));
}

#[test]
fn text_is_taken_as_it_is_and_numbers_and_booleans_as_their_json() {
    for (json, text) in [
        (r#""B""#, "B"),
        (r#""\u00e9 \"q\"""#, "é \"q\""),
        ("7", "7"),
        ("-0.50", "-0.50"),
        ("1e3", "1e3"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("true", "true"),
        ("false", "false"),
    ] {
        assert_eq!(key("ward", &format!(r#" {{"x":[1],"ward": {json} }} "#)), Ok(text.into()));
    }
}

#[test]
fn a_dotted_path_leads_into_nested_objects() {
    let value = r#"{"id":"no","patient":{"id":{"mrn":"42"},"mrn":"no"}}"#;
    assert_eq!(key("patient.id.mrn", value), Ok("42".into()));
}

#[test]
fn large_extra_fields_are_ignored() {
    let notes = "x".repeat(1 << 20);
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let value = format!(r#"{{"notes":"{notes}","deep":{deep},"ward":"B"}}"#);
    assert_eq!(key("ward", &value), Ok("B".into()));
}

#[test]
fn what_makes_no_key_is_rejected() {
    for (json, why) in [
        ("{}", "must be text, a number or a boolean"),
        ("[1]", "must be text, a number or a boolean"),
        ("null", "must be text, a number or a boolean"),
        (r#""""#, "is empty text"),
    ] {
        let refused = key("ward", &format!(r#"{{"ward":{json}}}"#));
        assert_eq!(reason(refused), format!("`ward` {why}"));
    }
}

#[test]
fn an_absent_field_is_rejected() {
    for value in [r#"{}"#, r#"{"patient":{}}"#, r#"{"patient":7}"#, r#"{"patient":"id"}"#] {
        assert_eq!(reason(key("patient.id", value)), "`patient.id` is missing");
    }
}

#[test]
fn a_field_that_is_there_twice_is_rejected() {
    let refused = key("ward", r#"{"ward":"A","w\u0061rd":"B"}"#);
    assert_eq!(reason(refused), "`ward` is there twice: expected it once");
}

#[test]
fn a_value_that_is_no_object_is_rejected_without_quoting_it() {
    for value in ["", " ", "SECRET", "[1]", "123", "null", r#""SECRET""#] {
        assert_eq!(reason(key("ward", value)), "the value is not a JSON object");
    }
    for value in
        [r#"{"ward":"SECRET""#, r#"{"ward":"SECRET"}}"#, r#"{"ward":SECRET}"#, r#"{"ward":"\ud800"}"#, r#"{"x":1,}"#]
    {
        assert_eq!(reason(key("ward", value)), "the value is not JSON", "{value}");
    }
}

#[test]
fn a_tombstone_and_bytes_that_are_not_utf8_are_rejected() {
    let refused = rekey(&settings("ward"), record(None));
    assert_eq!(reason(refused), "a tombstone has no field to key by");
    let refused = rekey(&settings("ward"), record(Some(b"{\"ward\":\"\xff\"}")));
    assert_eq!(reason(refused), "the value is not UTF-8: expected a JSON object");
}

#[test]
fn a_config_that_cannot_work_is_rejected_with_its_cure() {
    assert!(reason(Settings::new(None, None)).contains("no `field` in its config: add"));
    for field in ["", ".", "a.", ".a", "a..b"] {
        assert!(reason(Settings::new(Some(field.into()), None)).contains("empty name: write"));
    }
    let refused = Settings::new(Some("ward".into()), Some(String::new()));
    assert!(reason(refused).contains("`topic` in the config of key-by is empty"));
}
