//! A dead letter on its way to its topic: with the whole record where that fits, else
//! with where the record stands.

use std::sync::Arc;

use super::provenance::{self, Cause, set};
use super::unit::Unit;
use crate::kafka::MAX_HEADERS;
use crate::kafka::partitioner;
use crate::kafka::topics::Topic;
use crate::origin::Origin;
use crate::record::{Output, Record};
use crate::redrive::{OWN_KEY, TRUNCATED, Truncated};

/// A longer key is left out of a letter that is truncated.
const LONGEST_KEY: usize = 256;

/// The letter for `unit`, which failed for `cause`: whole, or truncated where `topic`
/// would not take it whole, or was found not to take it.
pub(super) fn dead_letter(
    unit: &Unit<'_>,
    cause: &Cause<'_>,
    topic: &Arc<str>,
    known: Option<&Topic>,
    refused: bool,
) -> Output {
    if refused {
        // What is known of the topic may be wrong: it may also be compacted.
        let assumed = known.map(|topic| Topic { compacted: true, ..topic.clone() });
        return truncated(unit, cause, topic, assumed.as_ref());
    }
    let whole = whole(unit, cause, topic, known);
    let fits = known.is_none_or(|topic| whole.batch_bytes() <= topic.max_batch_bytes);
    // Headers that were left out are still in the source.
    match unit.left_out == 0 && whole.headers.len() <= MAX_HEADERS && fits {
        true => whole,
        false => truncated(unit, cause, topic, known),
    }
}

fn whole(unit: &Unit<'_>, cause: &Cause<'_>, topic: &Arc<str>, known: Option<&Topic>) -> Output {
    let letter = Output {
        topic: topic.clone(),
        partition: None,
        // Topics keep records by their timestamps: the record's own may be long past.
        timestamp: i64::try_from(cause.at_ms).unwrap_or(i64::MAX),
        key: unit.record.key.map(<[u8]>::to_vec),
        value: unit.record.value.map(<[u8]>::to_vec),
        headers: provenance::dead_letter(unit, cause),
        origin: Origin::default(),
    };
    match known {
        Some(topic) if topic.compacted => keyed(letter, unit, cause, topic),
        _ => letter,
    }
}

/// The letter without what the record holds: its position, its sizes and its hash.
fn truncated(unit: &Unit<'_>, cause: &Cause<'_>, topic: &Arc<str>, known: Option<&Topic>) -> Output {
    let record = &unit.record;
    let bare = Unit { record: Record { key: short(record.key), value: None, headers: &[], ..*record }, ..*unit };
    let mut letter = whole(&bare, cause, topic, known);
    let left_out = if bare.record.key == record.key { "value,headers" } else { "key,value,headers" };
    set(&mut letter.headers, TRUNCATED, left_out);
    let sizes = Truncated::of(record).with_left_out(unit.left_out);
    sizes.headers().for_each(|(name, value)| set(&mut letter.headers, name, value));
    letter.partition = letter.partition.or_else(|| partition_of(record, known));
    letter
}

fn short(key: Option<&[u8]>) -> Option<&[u8]> {
    key.filter(|key| key.len() <= LONGEST_KEY)
}

/// In a compacted topic a letter outlives the next one of its record key only under a
/// key of its own. Its partition stays that of the record key.
fn keyed(mut letter: Output, unit: &Unit<'_>, cause: &Cause<'_>, topic: &Topic) -> Output {
    let Record { topic: source, partition, offset, .. } = unit.record;
    let Cause { pipeline, stage, redriven, at_ms, .. } = cause;
    let key = match unit.timer {
        None => format!("{pipeline}/{stage}/{source}/{partition}/{offset}/{redriven}"),
        Some((_, timer)) => {
            let (domain, at, name) = (timer.domain.name(), timer.at, timer.name());
            format!("{pipeline}/{stage}/{source}/{partition}/{domain}/{at}/{at_ms}/{redriven}/{name}")
        }
    };
    letter.partition = partition_of(&unit.record, Some(topic));
    let own = letter.key.replace(key.into_bytes());
    letter.headers.push((OWN_KEY.to_owned(), own));
    letter
}

/// Where the record's key would go in the dead-letter topic.
fn partition_of(record: &Record<'_>, topic: Option<&Topic>) -> Option<i32> {
    let partitions = topic?.partitions;
    record.key.filter(|_| partitions > 0).map(|key| partitioner::partition(key, partitions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Header;
    use crate::redrive::{Key, Letter};

    fn cause(redriven: u32) -> Cause<'static> {
        Cause {
            pipeline: "p",
            stage: "s",
            timer_stage: None,
            digest: "d".to_owned(),
            kind: "reject",
            reason: "the plugin rejected the record".to_owned(),
            attempts: 1,
            redriven,
            at_ms: 1_700_000_000_000,
        }
    }

    fn topic(max_batch_bytes: u64, compacted: bool) -> Topic {
        Topic { compacted, ..Topic::new("dead", 3, max_batch_bytes) }
    }

    fn letter(key: Option<&[u8]>, value: &[u8], headers: &[Header], topic: &Topic) -> (Output, Letter) {
        let value = Some(value);
        let record = Record { topic: "t", partition: 2, offset: 7, timestamp: 5, key, value, headers };
        let output = dead_letter(&Unit::of(&record), &cause(0), &topic.name, Some(topic), false);
        let read = Letter::read(output.key.as_deref(), output.value.as_deref(), &output.headers).unwrap();
        (output, read)
    }

    #[test]
    fn a_letter_that_does_not_fit_says_where_its_record_stands() {
        let headers = vec![("ward".to_owned(), Some(b"3".to_vec())); 40];
        for (key, kept) in [(vec![b'k'; 8], true), (vec![b'k'; 2_000], false)] {
            let (output, read) = letter(Some(&key), &[0; 4_000], &headers, &topic(4_000, false));
            assert!(output.batch_bytes() < 4_000 && output.value.is_none());
            assert_eq!((read.topic.as_str(), read.partition, read.offset(), read.timestamp), ("t", 2, Some(7), 5));
            let truncated = read.truncated.clone().unwrap();
            assert_eq!((truncated.header_count, truncated.value_bytes), (40, Some(4_000)));
            assert_eq!((read.key.is_some(), output.partition), (kept, Some(partitioner::partition(&key, 3))));
            let whole = read.clone().completed(Some(&key), Some(&[0; 4_000]), headers.clone()).unwrap();
            assert_eq!((whole.key, whole.value, whole.headers.len()), (Some(key), Some(vec![0; 4_000]), 40));
            assert_eq!(read.completed(None, Some(&[0; 4_000]), Vec::new()), None, "another record");
        }
    }

    #[test]
    fn more_headers_than_a_reader_gets_are_left_out() {
        let (output, read) = letter(None, b"v", &vec![("h".to_owned(), None); 99_995], &topic(u64::MAX, false));
        assert!(output.headers.len() < 100);
        assert_eq!(read.truncated.map(|truncated| truncated.header_count), Some(99_995));
    }

    #[test]
    fn a_letter_without_its_headers_is_truncated() {
        let (key, value) = (Some(&b"k"[..]), Some(&b"v"[..]));
        let record = Record { topic: "t", partition: 2, offset: 7, timestamp: 5, key, value, headers: &[] };
        let unit = Unit { left_out: 12_000, ..Unit::of(&record) };
        let topic = topic(u64::MAX, false);
        let output = dead_letter(&unit, &cause(0), &topic.name, Some(&topic), false);
        let read = Letter::read(output.key.as_deref(), output.value.as_deref(), &output.headers).unwrap();
        let truncated = read.truncated.unwrap();
        assert_eq!((truncated.header_count, truncated.header_bytes, output.value), (12_000, None, None));
        assert!(truncated.is_of(key, value) && truncated.to_string().ends_with("12000 headers"));
    }

    #[test]
    fn a_letter_of_a_compacted_topic_has_a_key_of_its_own() {
        let topic = topic(u64::MAX, true);
        for key in [None, Some(&b"patient"[..])] {
            let (output, read) = letter(key, b"v", &[], &topic);
            assert!(output.key.as_deref().is_some_and(|own| Some(own) != key));
            assert_eq!((read.key.as_deref(), read.value.as_deref()), (key, Some(&b"v"[..])));
            assert_eq!(output.partition, key.map(|key| partitioner::partition(key, 3)));
            // And so has the request to redrive it.
            let headers = crate::redrive::headers(&output.headers, &read);
            let entry = crate::redrive::Entry::read(Some(Key::of(&read).bytes()), Some(b"v"), headers);
            assert!(matches!(entry, Some(crate::redrive::Entry::Request(request)) if request.letter == read));
        }
    }

    #[test]
    fn headers_of_ours_that_a_record_brings_are_replaced() {
        let forged = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
        let brought = [
            forged("gregor-redriven", "4294967295"),
            forged("gregor-timer-domain", "event-time"),
            forged("gregor-truncated", "value"),
            forged("gregor-key", "other"),
            forged("own", "kept"),
        ];
        let (output, read) = letter(Some(b"k"), b"v", &brought, &topic(u64::MAX, false));
        assert_eq!((read.redriven, read.offset(), read.truncated), (0, Some(7), None));
        assert_eq!((read.key.as_deref(), read.headers), (Some(&b"k"[..]), vec![forged("own", "kept")]));
        assert!(!output.headers.iter().any(|(name, _)| name == "gregor-redriven"));
        assert_eq!(output.timestamp, 1_700_000_000_000, "the topic keeps it from now on");
    }
}
