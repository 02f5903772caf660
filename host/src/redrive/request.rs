//! What stands in a redrive topic: requests, and marks of those that are done.

use xxhash_rust::xxh3::xxh3_128;

use super::letter::{Failed, Letter};
use crate::origin::{Kind, Origin};
use crate::record::{Header, Output};

/// The letter's key, where it has one: the request has a key of its own.
const KEY: &str = "gregor-redrive-key";
/// The letter is a tombstone, which the request must not be.
const TOMBSTONE: &str = "gregor-redrive-tombstone";
/// The request is done.
const DONE: &str = "gregor-redrive-done";

/// Names a dead letter: its source record, and how often that was redriven
/// before. A dead letter that came twice, as at least once they may, is one. A
/// timer may fire again at the same time: there the moment of its failure tells
/// them apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

impl Key {
    pub fn of(letter: &Letter) -> Key {
        let Letter { topic, partition, timestamp, redriven, stage, .. } = letter;
        let key = match &letter.failed {
            Failed::Record(offset) => format!("{topic}/{partition}/{offset}/{timestamp}/{redriven}"),
            Failed::Timer(timer) => {
                let (domain, name, failed_at) = (timer.domain.name(), timer.name(), letter.failed_at.unwrap_or(0));
                format!("{topic}/{partition}/{stage}/{domain}/{timestamp}/{failed_at}/{redriven}/{name}")
            }
        };
        Key(key.into_bytes())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Stands for the key where there may be millions.
    pub fn hash(&self) -> u128 {
        xxh3_128(&self.0)
    }
}

/// A letter that is to go through its pipeline again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub key: Key,
    pub letter: Letter,
}

/// One record of a redrive topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Request(Box<Request>),
    Done(Key),
}

impl Entry {
    /// `None` for what nobody of ours wrote.
    pub fn read(key: Option<&[u8]>, value: Option<&[u8]>, headers: Vec<Header>) -> Option<Entry> {
        let named = |name: &str| headers.iter().find(|(known, _)| known == name);
        let key = Key(key?.to_vec());
        if named(DONE).is_some() {
            return Some(Entry::Done(key));
        }
        let own = named(KEY).and_then(|(_, key)| key.clone());
        let value = if named(TOMBSTONE).is_some() { None } else { value };
        let letter = Letter::read(own.as_deref(), value, &headers)?;
        // Whoever wrote it may not redrive one letter under the key of another.
        (Key::of(&letter) == key).then(|| Entry::Request(Box::new(Request { key, letter })))
    }
}

/// A request's headers, made of those that the dead letter has.
pub fn headers(dead_letter: &[Header], letter: &Letter) -> Vec<Header> {
    let mut headers = dead_letter.to_vec();
    headers.retain(|(name, _)| ![KEY, TOMBSTONE, DONE].contains(&name.as_str()));
    if let Some(key) = &letter.key {
        headers.push((KEY.to_owned(), Some(key.clone())));
    }
    if letter.value.is_none() {
        headers.push((TOMBSTONE.to_owned(), None));
    }
    headers
}

impl Request {
    /// What is left of it once it is done.
    pub fn done(&self) -> Done {
        Done { key: self.key.clone(), partition: self.letter.partition }
    }
}

/// A request that is done: it holds nothing of the letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub key: Key,
    /// Of the source, and so of the redrive topic.
    partition: i32,
}

impl Done {
    /// Where its mark comes from.
    pub fn origin(&self) -> Origin {
        // The low bits tell marks in flight apart.
        Origin::new(Kind::Mark, self.key.hash() as u64)
    }

    /// What is written of it.
    pub fn mark(&self, topic: &str, now_ms: u64) -> Output {
        Output {
            topic: topic.into(),
            partition: Some(self.partition),
            timestamp: i64::try_from(now_ms).unwrap_or(i64::MAX),
            key: Some(self.key.bytes().to_vec()),
            value: Some(Vec::new()),
            headers: vec![(DONE.to_owned(), None)],
            origin: self.origin(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::Domain;

    fn header(name: &str, value: &str) -> Header {
        (name.to_owned(), Some(value.as_bytes().to_vec()))
    }

    /// A dead letter's headers.
    fn dead() -> Vec<Header> {
        vec![
            header("own", "kept"),
            ("null".to_owned(), None),
            header("gregor-topic", "locations"),
            header("gregor-partition", "4"),
            header("gregor-offset", "17"),
            header("gregor-timestamp", "-1"),
            header("gregor-pipeline", "main"),
            header("gregor-stage", "last-location"),
            header("gregor-digest", "abc"),
            header("gregor-error", "trap"),
            header("gregor-attempts", "2"),
        ]
    }

    #[test]
    fn a_request_gives_the_letter_back_and_its_mark_holds_nothing_of_it() {
        for (key, value) in [(None, None), (Some(&b""[..]), Some(&b""[..])), (Some(b"k"), Some(b"v"))] {
            let letter = Letter::read(key, value, &dead()).unwrap();
            assert_eq!(letter.headers, [header("own", "kept"), ("null".to_owned(), None)]);
            assert_eq!((letter.partition, letter.offset(), letter.redriven), (4, Some(17), 0));
            let name = Key::of(&letter);
            let stored = value.unwrap_or_default();
            let entry = Entry::read(Some(name.bytes()), Some(stored), headers(&dead(), &letter)).unwrap();
            let request = Request { key: name.clone(), letter };
            assert_eq!(entry, Entry::Request(Box::new(request.clone())));
            let mark = request.done().mark("app-main-redrive", 5);
            assert_eq!((mark.partition, mark.value.as_deref()), (Some(4), Some(&b""[..])));
            let read = Entry::read(mark.key.as_deref(), mark.value.as_deref(), mark.headers).unwrap();
            assert_eq!(read, Entry::Done(name));
        }
    }

    #[test]
    fn a_timer_s_letter_gives_the_timer_back_and_a_failure_of_another_moment_is_another_one() {
        let timer = |failed_at: &str| {
            let mut headers = dead();
            headers.retain(|(name, _)| name != "gregor-offset");
            for (name, value) in [("domain", "event-time"), ("name", "window/7"), ("at", "500")] {
                headers.push(header(&format!("gregor-timer-{name}"), value));
            }
            headers.push(header("gregor-failed-at", failed_at));
            headers
        };
        let letter = Letter::read(Some(b"k"), None, &timer("9")).unwrap();
        assert!(letter.offset().is_none() && letter.record().is_none());
        let Failed::Timer(failed) = &letter.failed else { panic!("a timer failed") };
        assert_eq!((failed.domain, failed.name(), failed.at), (Domain::EventTime, "window/7", 500));
        assert_eq!(failed.record_key.as_deref(), Some(&b"k"[..]));
        let name = Key::of(&letter);
        let entry = Entry::read(Some(name.bytes()), Some(b""), headers(&timer("9"), &letter)).unwrap();
        assert_eq!(entry, Entry::Request(Box::new(Request { key: name.clone(), letter })));
        let later = Letter::read(Some(b"k"), None, &timer("10")).unwrap();
        assert_ne!(Key::of(&later), name);
        for missing in ["gregor-timer-name", "gregor-timer-at"] {
            let mut headers = timer("9");
            headers.retain(|(name, _)| name != missing);
            assert_eq!(Letter::read(None, None, &headers), None, "without {missing}");
        }
    }

    #[test]
    fn a_letter_that_failed_again_is_another_one() {
        let first = Letter::read(None, None, &dead()).unwrap();
        let again = Letter::read(None, None, &[dead(), vec![header("gregor-redriven", "1")]].concat()).unwrap();
        assert_ne!(Key::of(&first), Key::of(&again));
        assert_ne!(Key::of(&first).hash(), Key::of(&again).hash());
    }

    #[test]
    fn what_nobody_of_ours_wrote_is_no_entry() {
        assert_eq!(Entry::read(None, Some(b"v"), dead()), None);
        assert_eq!(Entry::read(Some(b"another"), Some(b"v"), dead()), None);
        for missing in 2..dead().len() {
            let mut headers = dead();
            headers.remove(missing);
            assert_eq!(Letter::read(None, None, &headers), None, "without {:?}", dead()[missing].0);
        }
        for (name, value) in [("gregor-partition", "-1"), ("gregor-offset", "x"), ("gregor-attempts", "")] {
            assert_eq!(Letter::read(None, None, &[dead(), vec![header(name, value)]].concat()), None);
        }
    }

    proptest! {
        #[test]
        fn any_record_is_read_without_a_panic(
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
            odd in proptest::collection::vec((0..12_usize, proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20))), 0..12),
        ) {
            let mut headers = dead();
            for (nth, value) in odd {
                if let Some(header) = headers.get_mut(nth) {
                    header.1 = value;
                }
            }
            let _ = Letter::read(key.as_deref(), value.as_deref(), &headers);
            let _ = Entry::read(key.as_deref(), value.as_deref(), headers);
        }
    }
}
