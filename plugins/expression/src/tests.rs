use gregor_sdk::Header;
use proptest::prelude::*;

use super::*;

fn record(value: Option<&[u8]>) -> Input {
    let header = |name: &str, value: Option<&[u8]>| Header { name: name.into(), value: value.map(<[u8]>::to_vec) };
    Input {
        topic: "locations".into(),
        partition: 3,
        offset: 7,
        timestamp: 1_000,
        key: Some(b"k".to_vec()),
        value: value.map(<[u8]>::to_vec),
        headers: vec![header("trace", Some(b"t")), header("null", None), header("bytes", Some(b"\xff"))],
    }
}

fn holds(text: &str, value: &str) -> Result<bool, Undecided> {
    Condition::parse(text).expect("CEL").holds(&mut Subject::of(&record(Some(value.as_bytes()))))
}

#[test]
fn conditions_see_all_of_a_record() {
    let value = r#"{"n":5,"t":36.5,"s":"ward B","l":[1,2],"o":{"x":null},"big":18446744073709551615,"f":1e2}"#;
    for text in [
        "key == 'k' && topic == 'locations' && partition == 3 && offset == 7 && timestamp == 1000",
        "headers['trace'] == 't' && headers['null'] == null && headers.bytes == b'\\xff'",
        "has(headers.trace) && !has(headers.other) && 'trace' in headers",
        "value.n == 5 && value.n < 6 && value.t > 36.0 && value.t > 36",
        "value.n < 5.5 && double(value.n) + 0.5 == 5.5",
        "value.s.startsWith('ward') && value.s.matches('^ward [A-C]$') && size(value.s) == 6",
        "value.l.exists(x, x == 2) && value.l.all(x, x > 0) && value.l[1] == 2",
        "has(value.o) && !has(value.missing) && value.o.x == null",
        "value.big == 18446744073709551615u && value.f == 100.0",
        "(value.n > 3 ? 'high' : 'low') == 'high'",
    ] {
        assert_eq!(holds(text, value), Ok(true), "{text}");
    }
}

#[test]
fn the_value_is_read_only_where_it_is_asked_for() {
    assert_eq!(holds("key == 'k'", "nonsense"), Ok(true));
    assert_eq!(holds("value.n == 1", "nonsense"), Err(Undecided("the value is not JSON: see byte 0".into())));
    let tombstone = record(None);
    assert_eq!(Condition::parse("value == null").expect("CEL").holds(&mut Subject::of(&tombstone)), Ok(true));
}

#[test]
fn what_cannot_be_decided_is_told_without_quoting() {
    for (text, value, told) in [
        ("value.n", r#"{"n":1}"#, "gives int, not true or false"),
        ("value.n > 1", "{}", "a field that is not there: use has()"),
        ("value.n > 1", r#"{"n":"SECRET"}"#, "of types that it is not for"),
        ("value.l[9] == 1", r#"{"l":["SECRET"]}"#, "an item that is not there"),
        ("1 / value.n == 1", r#"{"n":0}"#, "divides by zero"),
        ("value.n + 1 > 0", r#"{"n":9223372036854775807}"#, "overflows"),
    ] {
        let undecided = holds(text, value).expect_err(text).to_string();
        assert!(undecided.contains(told) && !undecided.contains("SECRET"), "{text}: {undecided}");
    }
}

#[test]
fn what_is_no_condition_is_refused() {
    for (text, told) in [
        ("", "no CEL expression"),
        ("value.n >", "no CEL expression"),
        ("valu.n > 1", "has `valu`, which a record has not: known are `key`, `value`"),
    ] {
        let refused = Condition::parse(text).err().expect("refused");
        assert!(refused.contains(told), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    #[test]
    fn any_value_is_decided_or_not(bytes in prop::collection::vec(any::<u8>(), 0..64), text in r#"[\[\]{}",:.0-9abt]{0,32}"#) {
        for value in [bytes, text.into_bytes()] {
            for text in ["value.a > 1 || value.b == 'x'", "size(value) > 2", "value.exists(x, x == 1)"] {
                let _ = Condition::parse(text).expect("CEL").holds(&mut Subject::of(&record(Some(&value))));
            }
        }
    }
}
