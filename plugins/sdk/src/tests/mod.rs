mod export;
mod settings;
mod state;
mod tester;

use crate::{Failure, Header, Input, Output, cache, config, json, reject, retry};

#[test]
fn an_output_goes_to_the_next_stage_unless_told_otherwise() {
    let output = Output::new(b"123".to_vec(), None);
    let expected = Output {
        topic: None,
        partition: None,
        timestamp: None,
        key: Some(b"123".into()),
        value: None,
        headers: vec![],
    };
    assert_eq!(output, expected);
}

#[test]
fn headers_and_topic_replace_what_was_there() {
    let header = Header { name: "trace".into(), value: None };
    let output = Output::new(None, b"v".to_vec()).with_headers(vec![header.clone()]).with_topic(Some("t".into()));
    assert_eq!((output.headers, output.topic.as_deref()), (vec![header], Some("t")));
}

#[test]
fn a_refused_cache_write_rejects_the_record_and_tells_the_limit() {
    for (error, told) in [
        (cache::Error::QuotaExceeded(4096), "4096 bytes"),
        (cache::Error::ValueTooLarge(100), "100 bytes"),
        (cache::Error::InvalidKey("SECRET".into()), "1 to 512 bytes"),
        (cache::Error::NotANumber, "64-bit integer"),
    ] {
        let Failure::Reject(reason) = error.into() else { panic!("not a reject") };
        assert!(reason.contains(told) && !reason.contains("SECRET"), "{reason}");
    }
}

#[test]
fn a_config_that_cannot_be_read_is_tried_again() {
    let failure = Failure::from(config::Error::Io("gone".into()));
    assert_eq!(failure, Failure::Retry("the stage's config could not be read: gone".into()));
    assert_eq!(reject("no"), Failure::Reject("no".into()));
}

fn input(key: Option<&[u8]>, value: Option<&[u8]>) -> Input {
    let headers = vec![Header { name: "trace".into(), value: None }];
    let (key, value) = (key.map(Into::into), value.map(Into::into));
    Input { topic: "t".into(), partition: 1, offset: 2, timestamp: 3, key, value, headers }
}

#[test]
fn json_that_is_refused_is_never_quoted() {
    for (value, told) in [
        (&b"{\"n\":\"SECRET\"}"[..], "has not the fields and types that are expected: see line 1, column 13"),
        (b"{\"SECRET\":1}", "has not the fields and types"),
        (b"SECRET", "is not JSON: see line 1, column 1"),
        (b"{\"n\":1} SECRET", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"", "is not JSON"),
    ] {
        let Err(Failure::Reject(reason)) = input(None, Some(value)).json::<Number>() else { panic!("{value:?}") };
        assert!(reason.contains(told) && !reason.contains("SECRET"), "{reason}");
    }
    assert_eq!(input(None, Some(b"{\"n\":7}")).json(), Ok(Number { n: 7 }));
    assert_eq!(input(None, None).json::<Number>(), Err(reject("a tombstone has no JSON value")));
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Number {
    n: u8,
}

#[test]
fn doubles_read_back_as_they_were_written() {
    for number in [0.1 + 0.2, 2.225_073_858_507_201e-308, f64::MAX, -0.0, 122.416_294_033_786_58] {
        let read: f64 = json::read(&json::write(&number).expect("JSON")).expect("a number");
        assert_eq!(read.to_bits(), number.to_bits());
    }
}

#[test]
fn what_json_cannot_hold_is_rejected() {
    let keyed_by_lists = std::collections::BTreeMap::from([(vec![1], 2)]);
    assert_eq!(json::write(&keyed_by_lists), Err(reject("a value cannot be written as JSON")));
}

#[test]
fn a_key_is_text_or_the_record_is_rejected() {
    assert_eq!(input(Some("é".as_bytes()), None).key_text(), Ok("é"));
    assert_eq!(input(None, None).key_text(), Err(reject("the key is null: expected UTF-8 text")));
    assert_eq!(input(Some(b"\xff"), None).key_text(), Err(reject("the key is not UTF-8 text")));
}

#[test]
fn a_forwarded_record_keeps_key_value_timestamp_and_headers() {
    let expected = Output {
        topic: None,
        partition: None,
        timestamp: Some(3),
        key: Some(b"k".into()),
        value: Some(b"v".into()),
        headers: input(None, None).headers,
    };
    assert_eq!(input(Some(b"k"), Some(b"v")).forward(), expected);
    assert_eq!(Output::new(None, None).with_timestamp(7).timestamp, Some(7));
    assert_eq!(Output::json(b"k".to_vec(), &[1, 2]), Ok(Output::new(b"k".to_vec(), b"[1,2]".to_vec())));
    assert_eq!(retry("later"), Failure::Retry("later".into()));
}
