use proptest::prelude::*;

use super::*;

fn read(json: &str) -> Result<Value<'_>, Invalid> {
    Value::read(json.as_bytes())
}

#[test]
fn members_keep_their_order_and_numbers_their_digits() {
    let json = r#"{"z":1.0,"a":[-0,1e400,123456789012345678901234567890,0.10],"m":{"é":"\n"},"t":true,"n":null}"#;
    assert_eq!(read(json).unwrap().to_string(), json);
    let spaced = " {\t\"a\" :\r\n[ 1 , 2 ] } ";
    assert_eq!(read(spaced).unwrap().to_string(), r#"{"a":[1,2]}"#);
}

#[test]
fn escapes_are_resolved() {
    let text = read(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00x""#).unwrap();
    assert_eq!(text.as_text(), Some("\"\\/\u{8}\u{c}\n\r\té😀x"));
    assert_eq!(text.to_string(), r#""\"\\/\u0008\u000c\n\r\té😀x""#);
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    for json in [
        "",
        " ",
        "nul",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "NaN",
        "[1,]",
        "[1 2]",
        "{,}",
        "{\"a\"}",
        "{\"a\":1,}",
        "{a:1}",
        "'a'",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\t\"",
        "1 2",
        "[",
        "{",
        "\u{feff}1",
        "\"\\u00zé\"",
    ] {
        let problem = read(json).unwrap_err().to_string();
        assert!(problem.starts_with("the value is not JSON: see byte "), "{json}: {problem}");
    }
    assert!(Value::read(b"\"\xff\"").unwrap_err().to_string().contains("not UTF-8: see byte 1"));
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    assert!(read(r#"{"a":1,"\u0061":2}"#).unwrap_err().to_string().contains("member twice: see byte 7"));
    let many: Vec<String> = (0..1_000).map(|at| format!("\"{at}\":0")).collect();
    assert!(read(&format!("{{{}}}", many.join(","))).is_ok());
    assert!(read(&format!("{{{},\"3\":0}}", many.join(","))).is_err());
    assert!(read(&format!("{{{},\"999\":0}}", many.join(","))).is_err());
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert!(read(&nested(MAX_DEPTH + 1)).unwrap_err().to_string().contains("deeper than 128"));
    assert!(read(&"[".repeat(1_000_000)).is_err());
    assert!(read(&"{\"a\":".repeat(1_000_000)).is_err());
}

#[test]
fn values_are_the_same_whatever_their_order_and_form() {
    for (one, other) in [
        ("1", "1.0"),
        ("100", "1e2"),
        ("-0", "0"),
        (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ] {
        assert!(read(one).unwrap().same(&read(other).unwrap()), "{one} {other}");
    }
    for (one, other) in [
        ("1", "\"1\""),
        ("null", "false"),
        ("[1]", "[1,1]"),
        (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
        ("9007199254740993", "9007199254740992"),
    ] {
        assert!(!read(one).unwrap().same(&read(other).unwrap()), "{one} {other}");
    }
}

#[test]
fn the_canonical_form_has_members_by_name() {
    let value = read(r#"{"b":[{"d":1,"c":2}],"a":1.0}"#).unwrap();
    assert_eq!(value.canonical(), r#"{"a":1.0,"b":[{"c":2,"d":1}]}"#);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Value::read(&bytes);
    }

    #[test]
    fn near_json_is_read_as_serde_json_reads_it(json in r#"[\[\]{}",:0-9eE+\-.\\untrfalse ]{0,24}"#) {
        let own = Value::read(json.as_bytes());
        let theirs = serde_json::from_str::<serde_json::Value>(&json);
        // What differs: serde_json refuses numbers past a double, and takes members twice.
        if theirs.is_ok() != own.is_ok() {
            let why = own.err().map(|invalid| invalid.to_string()).unwrap_or_default();
            prop_assert!(json.contains(['e', 'E']) || why.contains("twice"), "{} {}", json, why);
        }
        if let (Ok(own), Ok(theirs)) = (Value::read(json.as_bytes()), theirs) {
            let again: serde_json::Value = serde_json::from_str(&own.to_string()).unwrap();
            prop_assert_eq!(again, theirs);
        }
    }
}
