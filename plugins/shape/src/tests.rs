use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

fn tester(steps: &str) -> PluginTester {
    PluginTester::of::<Shape>().config("steps", steps)
}

fn output(steps: &str, record: Record) -> Result<Output, Failure> {
    let mut outputs = tester(steps).push(record)?;
    assert_eq!(outputs.len(), 1);
    Ok(outputs.remove(0))
}

/// The value that comes of a value.
fn shaped(steps: &str, value: &str) -> Result<String, Failure> {
    let value = output(steps, Record::new("k", value))?.value.expect("a value");
    Ok(String::from_utf8(value).expect("text"))
}

#[test]
fn each_step_changes_what_it_says() {
    for (steps, value, expected) in [
        ("rename /a /b", r#"{"a":1.0,"c":2}"#, r#"{"c":2,"b":1.0}"#),
        ("rename /a/x /y/z", r#"{"a":{"x":1}}"#, r#"{"a":{},"y":{"z":1}}"#),
        ("copy /a /b", r#"{"a":[1]}"#, r#"{"a":[1],"b":[1]}"#),
        ("drop /a, /b/c", r#"{"a":1,"b":{"c":2,"d":3}}"#, r#"{"b":{"d":3}}"#),
        ("keep /b/c /a", r#"{"a":1,"b":{"c":2,"d":3},"e":4}"#, r#"{"b":{"c":2},"a":1}"#),
        ("set /a {\"b\": \"x, y\"}", r#"{"a":1}"#, r#"{"a":{"b":"x, y"}}"#),
        ("default /a 0\ndefault /b 0", r#"{"a":null,"b":5}"#, r#"{"a":0,"b":5}"#),
        ("flatten .", r#"{"a":{"b":1,"c":{"d":[{"e":2}]}},"f":{}}"#, r#"{"a.b":1,"a.c.d":[{"e":2}],"f":{}}"#),
        ("nest .", r#"{"a.b":1,"a.c.d":2,"e":3}"#, r#"{"a":{"b":1,"c":{"d":2}},"e":3}"#),
        ("flatten _ /a", r#"{"a":{"b":{"c":1}}}"#, r#"{"a":{"b_c":1}}"#),
        ("wrap /after", r#"{"a":1}"#, r#"{"after":{"a":1}}"#),
        ("unwrap /after", r#"{"after":{"a":1}}"#, r#"{"a":1}"#),
        ("time /t millis rfc3339", r#"{"t":0}"#, r#"{"t":"1970-01-01T00:00:00Z"}"#),
        ("time /t \"%d.%m.%Y %H:%M\" date", r#"{"t":"31.12.2025 23:59"}"#, r#"{"t":"2025-12-31"}"#),
    ] {
        assert_eq!(shaped(steps, value).as_deref(), Ok(expected), "{steps}");
    }
}

#[test]
fn casts_lose_nothing_or_are_refused() {
    for (to, value, expected) in [
        ("text", "1.50", Some(r#""1.50""#)),
        ("text", r#"{"x":[1]}"#, Some(r#""{\"x\":[1]}""#)),
        ("number", r#"" -1.50 ""#, Some("-1.50")),
        ("number", "true", Some("1")),
        ("number", r#""0x10""#, None),
        ("number", r#""NaN""#, None),
        ("integer", "123456789012345678901234567890", Some("123456789012345678901234567890")),
        ("integer", "7.00", Some("7")),
        ("integer", "1e3", Some("1000")),
        ("integer", "7.5", None),
        ("integer", "1e400", None),
        ("integer", "[]", None),
        ("boolean", r#""true""#, Some("true")),
        ("boolean", "0", Some("false")),
        ("boolean", r#""yes""#, None),
        ("integer", "null", Some("null")),
    ] {
        let shaped = shaped(&format!("cast /a {to}"), &format!(r#"{{"a":{value}}}"#));
        match expected {
            Some(expected) => assert_eq!(shaped, Ok(format!(r#"{{"a":{expected}}}"#)), "{to} {value}"),
            None => {
                assert!(matches!(&shaped, Err(Failure::Reject(reason)) if reason.starts_with("`/a` is")), "{shaped:?}")
            }
        }
    }
}

#[test]
fn key_headers_and_timestamp_come_from_fields_and_go_into_them() {
    let steps = "
        key /id
        header ward /ward
        header source \"ward 3\"
        drop-header secret
        timestamp /at rfc3339
        insert /meta/key key
        insert /meta/topic topic
        insert /meta/partition partition
        insert /meta/offset offset
        insert /meta/timestamp timestamp
        insert /meta/trace header trace
        insert /meta/none header none
    ";
    let record = Record::new("old", r#"{"id":"7","ward":{"n":1},"at":"1970-01-01T00:00:01.5Z"}"#)
        .at(9)
        .header("secret", Some(b"s"))
        .header("trace", Some(b"t"))
        .header("ward", None);
    let output = output(steps, record).expect("an output");
    let header = |name: &str, value: &str| Header { name: name.into(), value: Some(value.as_bytes().into()) };
    assert_eq!(output.headers, [header("trace", "t"), header("ward", r#"{"n":1}"#), header("source", "ward 3")]);
    assert_eq!((output.key.as_deref(), output.timestamp), (Some(&b"7"[..]), Some(1_500)));
    let value = String::from_utf8(output.value.expect("a value")).expect("text");
    let meta = r#""meta":{"key":"old","topic":"input","partition":0,"offset":0,"timestamp":9,"trace":"t","none":null}"#;
    assert!(value.ends_with(&format!("{meta}}}")), "{value}");
}

#[test]
fn a_key_of_several_fields_is_an_object() {
    let output = output("key /a/id /b", Record::keyless(r#"{"a":{"id":1},"b":"x"}"#)).expect("an output");
    assert_eq!(output.key.as_deref(), Some(&br#"{"id":1,"b":"x"}"#[..]));
    let refused = shaped("key /a", r#"{"a":null}"#);
    assert_eq!(refused, Err(reject("`/a` is missing or null: the key is made of it")));
}

#[test]
fn a_missing_field_is_skipped_or_rejected() {
    let all = "rename /a /b\ncopy /a /b\ndrop /a\ncast /a text\nunwrap /a\ntime /a millis date\nheader h /a\ntimestamp /a millis";
    assert_eq!(shaped(all, r#"{"x":1}"#).as_deref(), Ok(r#"{"x":1}"#));
    for step in all.lines().chain(["keep /a, /x"]) {
        let outcome = tester(step).config("missing", "reject").push(Record::new("k", r#"{"x":1}"#));
        assert_eq!(outcome, Err(reject("`/a` is missing")), "{step}");
    }
}

#[test]
fn a_tombstone_passes_unless_its_key_would_be_another() {
    let steps = "drop /a\nheader source \"x\"\nheader a /a";
    let headers = vec![Header { name: "source".into(), value: Some(b"x".into()) }];
    let expected = Output::new(b"k".to_vec(), None).with_timestamp(0).with_headers(headers);
    assert_eq!(output(steps, Record::tombstone("k")), Ok(expected));
    let refused = tester("key /id").push(Record::tombstone("k"));
    assert_eq!(refused, Err(reject("a tombstone has no field to make a key of")));
}

#[test]
fn what_cannot_be_done_is_rejected_without_quoting() {
    for (steps, value, told) in [
        ("drop /a", "SECRET", "the value is not JSON: see byte 0"),
        ("drop /a", r#"{"a":1,"a":2}"#, "an object has a member twice: see byte 7"),
        (
            "rename /a /b/c",
            r#"{"a":1,"b":"SECRET"}"#,
            "nothing can be put at `/b/c`: what is on the way is no object and no list with that place",
        ),
        ("flatten .", r#"{"a.b":1,"a":{"b":"SECRET"}}"#, "`` has two members of the same name once it is flattened"),
        ("flatten .", "[]", "`` is a list: only an object can be flattened"),
        ("nest .", r#"{"a":1,"a.b":"SECRET"}"#, "`` has a member that is a value and has members of its own"),
        ("time /a date millis", r#"{"a":"SECRET"}"#, "`/a` is text that is no time in the form that is configured"),
        ("timestamp /a date", r#"{"a":"1969-01-01"}"#, "`/a` is before the Unix epoch, which no record's timestamp is"),
    ] {
        assert_eq!(shaped(steps, value), Err(reject(told)), "{steps}");
    }
    let record = Record::new(b"\xff".to_vec(), "{}");
    assert_eq!(output("insert /k key", record), Err(reject("the key is not UTF-8, and cannot be put into a field")));
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (steps, told) in [
        ("", "there is no step"),
        ("drop", "line 1 of the steps: `drop` with these words is no step"),
        ("\nshuffle /a", "line 2 of the steps: `shuffle`"),
        ("rename a /b", "`a` is no JSON pointer: write `/a`"),
        ("set /a text", "`text` is no JSON: write text in quotes"),
        ("cast /a float", "`float` is no type"),
        ("time /a noon millis", "`noon` is no format of time"),
        ("insert /a weather", "is no step"),
    ] {
        let refused = tester(steps).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
    assert!(PluginTester::of::<Shape>().init().expect_err("refused").contains("there are no `steps`"));
    assert!(tester("drop /a").config("missing", "no").init().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64), text in r#"[\[\]{}",:.0-9abt]{0,32}"#) {
        let steps = "rename /a /b\ncast /b number\nflatten .\nnest .\nwrap /a\nflatten . /a\ntime /a/t millis date\ndrop /a/0\ntimestamp /t seconds";
        for value in [bytes, text.into_bytes()] {
            let outcome = tester(steps).push(Record::new(value.clone(), value));
            prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
        }
    }

    #[test]
    fn flat_objects_nest_again(names in prop::collection::btree_set("[a-c](\\.[a-c]){0,3}", 1..6)) {
        let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":1")).collect();
        let value = format!("{{{}}}", members.join(","));
        if let Ok(nested) = shaped("nest .", &value) {
            prop_assert_eq!(Value::read(shaped("flatten .", &nested).expect("flat").as_bytes()).unwrap().canonical(), value);
        }
    }
}
