use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

const KEY: &str = "a key of the ward, 32 bytes long";

fn tester(steps: &str) -> PluginTester {
    PluginTester::of::<Mask>().config("steps", steps).config("hmac-key", KEY)
}

fn output(tester: &mut PluginTester, record: Record) -> Result<Output, Failure> {
    let mut outputs = tester.push(record)?;
    assert_eq!(outputs.len(), 1);
    Ok(outputs.remove(0))
}

fn text(bytes: Option<Vec<u8>>) -> String {
    String::from_utf8(bytes.expect("bytes")).expect("text")
}

fn masked(steps: &str, value: &str) -> Result<String, Failure> {
    output(&mut tester(steps), Record::new("k", value)).map(|output| text(output.value))
}

#[test]
fn each_step_hides_what_it_names() {
    for (steps, value, expected) in [
        (
            "remove /a/name, city",
            r#"{"a":{"name":"x","city":"y"},"n":1.0,"l":[{"city":"z"}]}"#,
            r#"{"a":{},"n":1.0,"l":[{}]}"#,
        ),
        ("replace \"-\" name", r#"{"name":"x","l":[{"name":{"first":"y"}}]}"#, r#"{"name":"-","l":[{"name":"-"}]}"#),
        ("replace {} /a", r#"{"a":[1]}"#, r#"{"a":{}}"#),
        ("last 2 phone, /n", r#"{"phone":["12345","1é"],"n":4321}"#, r#"{"phone":["***45","**"],"n":"**21"}"#),
        (
            "year born",
            r#"{"born":"1970-12-31","l":{"born":"1980-01-01T00:00:00Z"}}"#,
            r#"{"born":"1970","l":{"born":"1980"}}"#,
        ),
        ("year born", r#"{"born":null}"#, r#"{"born":null}"#),
        ("grid 0.01 lat, lon", r#"{"lat":38.71673,"lon":-9.1333}"#, r#"{"lat":38.72,"lon":-9.13}"#),
        ("grid 5 lat", r#"{"lat":-2.4}"#, r#"{"lat":0}"#),
        ("grid 0.25 lat", r#"{"lat":1.2e1}"#, r#"{"lat":12.00}"#),
        ("remove missing\nlast 4 /missing", r#"{"n":1}"#, r#"{"n":1}"#),
    ] {
        assert_eq!(masked(steps, value).as_deref(), Ok(expected), "{steps}");
    }
}

/// As `openssl dgst -sha256 -hmac` has it.
#[test]
fn an_hmac_is_that_of_the_key_and_the_text() {
    let expected = "09788b1bbe6caa668c2fe07eddffd02baac5ea2b37f2d80da71946a32d36d813";
    let value = masked("hmac /id, /n", r#"{"id":"7","n":7}"#).expect("masked");
    let document = Value::read(value.as_bytes()).expect("JSON");
    let (id, number) = (document.member("id").expect("id"), document.member("n").expect("n"));
    assert_eq!(id, number, "text and number of the same digits");
    assert_eq!(id.as_text(), Some(expected));
}

#[test]
fn a_patient_has_the_same_token_everywhere() {
    let mut tester = tester("token /patientId, @key, @header:patient");
    let record =
        |id: &str| Record::new(id, format!(r#"{{"patientId":"{id}"}}"#)).header("patient", Some(id.as_bytes()));
    let first = output(&mut tester, record("7")).expect("masked");
    let token = text(first.key);
    assert_eq!((token.len(), text(first.value)), (32, format!(r#"{{"patientId":"{token}"}}"#)));
    assert_eq!(first.headers[0].value.as_deref(), Some(token.as_bytes()));
    let other = text(output(&mut tester, record("8")).expect("masked").key);
    assert_ne!(other, token);
    tester.restart();
    assert_eq!(text(output(&mut tester, record("7")).expect("masked").key), token);
    let cache = format!("{:?}", tester.cache());
    assert!(!cache.contains("\"7\"") && tester.cache().len() == 2, "{cache}");
}

#[test]
fn key_and_headers_are_masked_as_fields_are() {
    let record =
        Record::new("12345", "{}").at(3).header("name", Some(b"x")).header("id", Some(b"678")).header("id", None);
    let masked = output(&mut tester("last 2 @key, @header:id\nremove @header:name"), record).expect("masked");
    let header = |value: Option<&[u8]>| Header { name: "id".into(), value: value.map(<[u8]>::to_vec) };
    assert_eq!((text(masked.key), masked.timestamp), ("***45".to_owned(), Some(3)));
    assert_eq!(masked.headers, [header(Some(b"*78")), header(None)]);
    let without = output(&mut tester("remove @key"), Record::new("12345", "{}")).expect("masked");
    assert_eq!(without.key, None);
}

#[test]
fn a_tombstone_is_masked_by_its_key() {
    let masked = output(&mut tester("last 2 @key\nremove name"), Record::tombstone("123")).expect("masked");
    assert_eq!((text(masked.key), masked.value), ("*23".to_owned(), None));
}

#[test]
fn what_cannot_be_hidden_is_rejected_without_quoting() {
    for (steps, value, told) in [
        ("remove name", "SECRET", "the value is not JSON: see byte 0"),
        ("remove name", r#"{"name":"SECRET","name":1}"#, "an object has a member twice: see byte 17"),
        (
            "last 4 name",
            r#"{"name":{"a":"SECRET"}}"#,
            "`name` is an object, not text or a number, and cannot be masked",
        ),
        ("year /born", r#"{"born":"SECRET"}"#, "`/born` is text, not a date such as 1970-12-31, and cannot be masked"),
        ("year /born", r#"{"born":0}"#, "`/born` is a number, not a date such as 1970-12-31, and cannot be masked"),
        ("grid 0.1 lat", r#"{"lat":"38.7"}"#, "`lat` is text, not a coordinate, and cannot be masked"),
        ("grid 0.1 lat", r#"{"lat":1e999}"#, "`lat` is a number, not a coordinate, and cannot be masked"),
    ] {
        assert_eq!(masked(steps, value), Err(reject(told)), "{steps}");
    }
    let refused = tester("hmac @key").push(Record::new(b"\xff".to_vec(), "{}"));
    assert_eq!(refused, Err(reject("`@key` is not UTF-8, and cannot be masked")));
}

#[test]
fn a_dry_run_lists_fields_and_no_content() {
    let value = r#"{
        "patient": {"fullName": "Ada", "bornOn": "1970-12-31", "platform": "x", "12345": {"mail": "m"}},
        "visits": [{"ward": "B", "cost": 5}, {"ward": "C"}],
        "reach": "ada@example.org", "call": "+351 21 000 000", "count": 12345678
    }"#;
    let mut tester = PluginTester::of::<Mask>().config("dry-run", "true");
    let listed = output(&mut tester, Record::new("7", value).header("phone", Some(b"1"))).expect("a list");
    let expected = [
        ("@key", "identifier"),
        ("/patient/fullName", "name"),
        ("/patient/bornOn", "date"),
        ("/patient/*/mail", "contact"),
        ("/visits/*/ward", "place"),
        ("/reach", "contact"),
        ("/call", "contact"),
        ("@header:phone", "contact"),
    ];
    let fields: Vec<String> =
        expected.iter().map(|(field, looks)| format!(r#"{{"field":"{field}","looksLike":"{looks}"}}"#)).collect();
    assert_eq!(listed.key, None);
    assert_eq!(text(listed.value), format!(r#"{{"fields":[{}]}}"#, fields.join(",")));
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (steps, told) in [
        ("", "there is no step"),
        ("hide name", "`hide` is no step"),
        ("remove", "it names no field"),
        ("last 0 name", "a number from 1 to 64"),
        ("grid 0 lat", "needs degrees"),
        ("grid north lat", "needs degrees"),
        ("replace x name", "`x` is no JSON"),
        ("remove @value", "neither @key nor @header:NAME"),
        ("remove /~9", "neither `~0` nor `~1`"),
    ] {
        let refused = tester(steps).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
    for (config, told) in [
        (&[][..], "there are no `steps`"),
        (&[("steps", "hmac id")], "need `hmac-key`"),
        (&[("steps", "remove id"), ("hmac-key", "short")], "16 bytes or more"),
        (&[("dry-run", "maybe")], "true or false"),
    ] {
        let tester = PluginTester::of::<Mask>();
        let mut tester = config.iter().fold(tester, |tester, (name, value)| tester.config(*name, *value));
        let refused = tester.init().expect_err("refused");
        assert!(refused.contains(told) && !refused.contains("short"), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64), text in r#"[\[\]{}",:.0-9abt]{0,32}"#) {
        let steps = "remove a\nlast 2 b\nyear /t\ngrid 0.1 /l\ntoken @key\nhmac /0";
        for value in [bytes, text.into_bytes()] {
            let outcome = tester(steps).push(Record::new(value.clone(), value.clone()));
            prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
            let mut dry = PluginTester::of::<Mask>().config("dry-run", "true");
            prop_assert!(!matches!(dry.push(Record::new(value.clone(), value)), Err(Failure::Retry(_))));
        }
    }

    /// A ward's records, each with words that are nowhere in what comes out.
    #[test]
    fn no_name_number_or_place_comes_out(seed in 0..u32::MAX, depth in 0..4_usize) {
        let canary = |what: &str| format!("canary{what}{seed}");
        let person = format!(
            r#"{{"name":"{}","mrn":"{}","phone":"{}","address":{{"street":"{}"}},"born":"1970-12-31","ok":1}}"#,
            canary("name"), canary("mrn"), canary("phone"), canary("street"),
        );
        let value = (0..depth).fold(person, |inner, _| format!(r#"{{"l":[{inner}]}}"#));
        let steps = "remove address\nreplace \"-\" name\ntoken mrn, @key\nlast 1 phone\nyear born\nhmac @header:trace";
        let mut tester = tester(steps);
        let record = Record::new(canary("key"), value).header("trace", Some(canary("trace").as_bytes()));
        let masked = format!("{:?}", tester.push(record).map(|outputs| {
            outputs.into_iter().map(|output| (text(output.key), text(output.value), text(output.headers[0].value.clone()))).collect::<Vec<_>>()
        }));
        let left = format!("{masked}{:?}{:?}", tester.cache(), tester.lines());
        prop_assert!(!left.contains("canary") && !left.contains("12-31"), "{}", left);
    }
}
