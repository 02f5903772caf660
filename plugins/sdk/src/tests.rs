use crate::{Failure, Header, Output, cache, config, reject};

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
