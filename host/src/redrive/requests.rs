//! The requests that wait, shared by the follower and the workers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::request::{Entry, Request};

/// One partition of one pipeline's redrive topic.
#[derive(Default)]
struct Page {
    /// In the order in which they were asked for.
    waiting: VecDeque<Arc<Request>>,
    /// Keys that are done, by their hashes.
    done: HashSet<u128>,
}

/// By pipeline and partition.
type Pages = HashMap<(String, i32), Page>;

/// What all hosts' redrive topics say, as far as this host has read them.
#[derive(Default)]
pub struct Requests {
    pages: Mutex<Pages>,
    /// Requests that wait in all pages: spares the record's path the lock.
    waiting: AtomicU64,
    /// Counts those who want to know that the pages are up to date …
    asked: AtomicU64,
    /// … and up to which of them they are.
    answered: AtomicU64,
}

impl Requests {
    fn locked(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Asks for pages that hold all that was written before now; a ticket for
    /// [`Requests::next`].
    pub fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The newest ticket, if none was answered since.
    pub fn unanswered(&self) -> Option<u64> {
        let asked = self.asked.load(Ordering::Acquire);
        (asked > self.answered.load(Ordering::Acquire)).then_some(asked)
    }

    /// The pages hold all that was written before `ticket` was taken.
    pub fn answer(&self, ticket: u64) {
        self.answered.store(ticket, Ordering::Release);
    }

    /// The first request of a partition that `skip` does not know, once what
    /// stood there before `ticket` is known.
    pub fn next(
        &self,
        pipeline: &str,
        partition: i32,
        ticket: u64,
        skip: impl Fn(u128) -> bool,
    ) -> Option<Arc<Request>> {
        if self.answered.load(Ordering::Acquire) < ticket {
            return None;
        }
        let pages = self.locked();
        let page = pages.get(&(pipeline.to_owned(), partition))?;
        page.waiting.iter().find(|request| !skip(request.key.hash())).cloned()
    }

    /// Takes in what the follower has read.
    pub fn take(&self, pipeline: &str, partition: i32, entry: Entry) {
        let mut pages = self.locked();
        let page = pages.entry((pipeline.to_owned(), partition)).or_default();
        match entry {
            Entry::Request(request) => {
                let known = page.waiting.iter().any(|waiting| waiting.key == request.key);
                if !known && !page.done.contains(&request.key.hash()) {
                    page.waiting.push_back(Arc::new(*request));
                    self.waiting.fetch_add(1, Ordering::Relaxed);
                }
            }
            Entry::Done(key) => {
                page.done.insert(key.hash());
                let before = page.waiting.len();
                page.waiting.retain(|waiting| waiting.key != key);
                self.waiting.fetch_sub((before - page.waiting.len()) as u64, Ordering::Relaxed);
            }
        }
    }

    /// There is more to read than was known: tickets are answered anew.
    pub fn doubt(&self) {
        self.answered.store(0, Ordering::Release);
    }

    /// The topics are to be read from their beginning again.
    pub fn forget(&self) {
        let mut pages = self.locked();
        self.doubt();
        pages.clear();
        self.waiting.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redrive::{Failed, Key, Letter};

    fn request(offset: i64, redriven: u32) -> Request {
        let letter = Letter {
            topic: "t".into(),
            partition: 0,
            failed: Failed::Record(offset),
            timestamp: 0,
            key: None,
            value: None,
            headers: Vec::new(),
            pipeline: "p".into(),
            stage: "s".into(),
            timer_stage: None,
            digest: String::new(),
            error: "trap".into(),
            reason: None,
            attempts: 1,
            redriven,
            failed_at: None,
        };
        Request { key: Key::of(&letter), letter }
    }

    fn offset(requests: &Requests, ticket: u64, skip: &[Request]) -> Option<i64> {
        let skipped: Vec<u128> = skip.iter().map(|request| request.key.hash()).collect();
        requests.next("p", 0, ticket, |key| skipped.contains(&key)).and_then(|request| request.letter.offset())
    }

    #[test]
    fn requests_come_in_their_order_once_and_never_after_their_mark() {
        let requests = Requests::default();
        assert!(requests.is_empty());
        let ask = |offset, redriven| {
            requests.take("p", 0, Entry::Request(Box::new(request(offset, redriven))));
        };
        for offset in [3, 1, 3] {
            ask(offset, 0);
        }
        let ticket = requests.ask();
        assert_eq!(requests.unanswered(), Some(ticket));
        assert_eq!(offset(&requests, ticket, &[]), None, "what stood there before is not known yet");
        requests.answer(ticket);
        assert_eq!(requests.unanswered(), None);
        assert_eq!(offset(&requests, ticket, &[]), Some(3));
        assert_eq!(offset(&requests, ticket, &[request(3, 0)]), Some(1));
        requests.take("p", 0, Entry::Done(request(3, 0).key));
        ask(3, 0);
        assert_eq!(offset(&requests, ticket, &[request(1, 0)]), None, "done is done");
        ask(3, 1);
        assert_eq!(offset(&requests, ticket, &[request(1, 0)]), Some(3), "it failed once more since");
        assert_eq!(requests.next("p", 1, ticket, |_| false), None);
        assert_eq!(requests.next("other", 0, ticket, |_| false), None);
        requests.take("p", 0, Entry::Done(request(1, 0).key));
        requests.take("p", 0, Entry::Done(request(3, 1).key));
        assert!(requests.is_empty());
    }

    #[test]
    fn pages_that_are_read_anew_give_nothing_until_they_are_whole() {
        let requests = Requests::default();
        let ticket = requests.ask();
        requests.answer(ticket);
        requests.forget();
        requests.take("p", 0, Entry::Request(Box::new(request(3, 0))));
        assert_eq!(offset(&requests, ticket, &[]), None, "its mark may come yet");
        assert_eq!(requests.unanswered(), Some(ticket));
        requests.answer(ticket);
        assert_eq!(offset(&requests, ticket, &[]), Some(3));
    }

    #[test]
    fn a_mark_that_comes_before_its_request_counts() {
        let requests = Requests::default();
        requests.take("p", 0, Entry::Done(request(3, 0).key));
        requests.take("p", 0, Entry::Request(Box::new(request(3, 0))));
        assert!(requests.is_empty());
    }
}
