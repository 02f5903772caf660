//! The quick reader against serde_json.

use proptest::prelude::*;

use crate::cases;
use crate::fields::Fields;
use crate::quick::read;

/// Whether the quick reader took the text; what it took is compared.
fn taken(text: &str) -> bool {
    let Some(fields) = read(text) else { return false };
    let slowly: Fields<'_> = serde_json::from_str(text).expect("serde_json takes it too");
    assert_eq!(format!("{fields:?}"), format!("{slowly:?}"), "{text}");
    true
}

#[test]
fn it_takes_the_forms_that_records_have() {
    for text in [
        r#"{"patientId": "123", "lat": 38.7167, "lon": -9.1333}"#,
        r#"{"patientId":"123","lat":38.716712345678,"lon":-9.0,"ts":1700000000000}"#,
        "\n{ \"lon\" : 0.5 , \"lat\" : -0.0,\"ward\":\"B\",\"bed\":7,\"patientId\":42 }\r\n",
        r#"{"patientId":"É😀","lat":-90,"lon":180,"ts":0}"#,
        r#"{"patientId":-5,"lat":123456789012345678,"lon":0.00000000000001}"#,
    ] {
        assert!(taken(text), "{text}");
    }
}

#[test]
fn it_leaves_the_rest_to_serde_json() {
    for text in [
        r#"{}"#,
        r#"{"patientId":"\u0031","lat":1,"lon":2}"#,
        r#"{"lat":1e1}"#,
        r#"{"lat":-0}"#,
        r#"{"lat":1.2345678901234567}"#,
        r#"{"ts":1234567890123456789}"#,
        r#"{"lat":null}"#,
        r#"{"ward":{"bed":7}}"#,
        r#"{"lat":1,"lat":1}"#,
    ] {
        assert!(!taken(text), "{text}");
    }
}

#[test]
fn it_takes_nothing_that_serde_json_refuses() {
    for (value, _) in cases::refused() {
        if let Ok(text) = std::str::from_utf8(&value) {
            taken(text);
        }
    }
}

/// Pieces of JSON in any order, most of them wrong together.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        ":",
        ",",
        " ",
        "\n",
        "\u{b}",
        "\"",
        "\"lat\"",
        "\"lat\":",
        "\"patientId\":\"7\",",
        "\"x\"",
        "\"ts\":",
        "-",
        "0",
        "1",
        "00",
        "9.",
        ".5",
        "1.25",
        "-3.0",
        "e2",
        "null",
        "true",
        "\\n",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("{{{}}}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn numbers_are_rounded_alike(number in "-?[0-9]{1,20}(\\.[0-9]{1,18})?") {
        taken(&format!(r#"{{"lat":{number}}}"#));
    }

    #[test]
    fn short_decimals_are_always_taken(number in "-?[1-9][0-9]{0,2}\\.[0-9]{1,12}") {
        let text = format!(r#"{{"lat": {number}, "lon":0.1}}"#);
        prop_assert!(taken(&text));
    }

    #[test]
    fn names_and_texts_are_read_alike(name in "\\PC{0,6}", text in ".{0,12}") {
        taken(&format!(r#"{{"{name}":"{text}","patientId":"{text}"}}"#));
    }

    #[test]
    fn pieces_of_json_are_read_alike(text in nearly_json()) {
        taken(&text);
    }
}
