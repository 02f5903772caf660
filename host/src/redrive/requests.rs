//! The requests that wait, shared by the follower and the workers.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::request::{Entry, Request};

/// Bytes of letters that a host holds, of all pipelines. Others are read again when
/// their turn comes; one that is larger is held alone.
const ROOM: u64 = 16 << 20;

/// A pipeline, and a partition of its redrive topic.
type PageId = (String, i32);

/// One partition of one pipeline's redrive topic.
#[derive(Default)]
struct Page {
    /// In the order in which they were asked for.
    waiting: VecDeque<Waiting>,
    /// Keys that are done, by their hashes.
    done: HashSet<u128>,
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Hash of its key.
    pub hash: u128,
    /// Where it stands in the redrive topic's partition.
    pub offset: i64,
}

#[derive(Default)]
struct Pages {
    by_id: HashMap<PageId, Page>,
    held: Held,
    /// Requests whose turn has come and which are not held, by page and offset.
    wanted: BTreeSet<(PageId, i64)>,
}

/// Letters in memory, by the hashes of their keys.
#[derive(Default)]
struct Held {
    letters: HashMap<u128, Arc<Request>>,
    /// The oldest first; some may be gone.
    order: VecDeque<u128>,
    bytes: u64,
}

impl Held {
    fn has_room(&self, bytes: u64) -> bool {
        self.bytes.saturating_add(bytes) <= ROOM
    }

    /// In the place of the oldest ones where there is no room.
    fn put(&mut self, request: Request) {
        let (hash, bytes) = (request.key.hash(), request.letter.bytes());
        self.take(hash);
        while !self.has_room(bytes)
            && let Some(oldest) = self.order.pop_front()
        {
            self.take(oldest);
        }
        self.bytes += bytes;
        if self.order.len() > 2 * self.letters.len() + 16 {
            self.order.retain(|hash| self.letters.contains_key(hash));
        }
        self.order.push_back(hash);
        self.letters.insert(hash, Arc::new(request));
    }

    fn take(&mut self, hash: u128) -> Option<Arc<Request>> {
        let request = self.letters.remove(&hash)?;
        self.bytes -= request.letter.bytes();
        while self.order.front().is_some_and(|oldest| !self.letters.contains_key(oldest)) {
            self.order.pop_front();
        }
        Some(request)
    }
}

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
    pub fn next(&self, pipeline: &str, partition: i32, ticket: u64, skip: impl Fn(u128) -> bool) -> Option<Waiting> {
        if self.answered.load(Ordering::Acquire) < ticket {
            return None;
        }
        let pages = self.locked();
        let page = pages.by_id.get(&(pipeline.to_owned(), partition))?;
        page.waiting.iter().find(|waiting| !skip(waiting.hash)).copied()
    }

    /// Hands out a request that waits, which is held no longer; one that is not
    /// held is read soon.
    pub fn claim(&self, pipeline: &str, partition: i32, waiting: Waiting) -> Option<Arc<Request>> {
        let mut pages = self.locked();
        let held = pages.held.take(waiting.hash);
        if held.is_none() {
            pages.wanted.insert(((pipeline.to_owned(), partition), waiting.offset));
        }
        held
    }

    /// A request that is to be read: pipeline, partition and offset.
    pub fn wanted(&self) -> Option<(String, i32, i64)> {
        let ((pipeline, partition), offset) = self.locked().wanted.pop_first()?;
        Some((pipeline, partition, offset))
    }

    /// Takes in a request that was read again: the one that is wanted, or, where there
    /// is room, one after it. Whether there is room for more.
    pub fn hold(&self, pipeline: &str, partition: i32, request: Request, is_wanted: bool) -> bool {
        let mut pages = self.locked();
        let Pages { by_id, held, .. } = &mut *pages;
        let page = by_id.get(&(pipeline.to_owned(), partition));
        let hash = request.key.hash();
        let waits = page.is_some_and(|page| page.waiting.iter().any(|waiting| waiting.hash == hash));
        if waits && (is_wanted || held.has_room(request.letter.bytes())) {
            held.put(request);
        }
        held.has_room(ROOM / 2)
    }

    /// What stands at `offset` cannot be redriven: it is left out until the host starts anew.
    pub fn leave_out(&self, pipeline: &str, partition: i32, offset: i64) {
        if let Some(page) = self.locked().by_id.get_mut(&(pipeline.to_owned(), partition)) {
            let before = page.waiting.len();
            page.waiting.retain(|waiting| waiting.offset != offset);
            self.waiting.fetch_sub((before - page.waiting.len()) as u64, Ordering::Relaxed);
        }
    }

    /// Takes in what the follower has read at `offset`.
    pub fn take(&self, pipeline: &str, partition: i32, offset: i64, entry: Entry) {
        let mut pages = self.locked();
        let Pages { by_id, held, .. } = &mut *pages;
        let page = by_id.entry((pipeline.to_owned(), partition)).or_default();
        match entry {
            Entry::Request(request) => {
                let hash = request.key.hash();
                if page.done.contains(&hash) {
                    return;
                }
                match page.waiting.iter_mut().find(|waiting| waiting.hash == hash) {
                    // Of two under one key, the brokers keep the later one.
                    Some(waiting) => waiting.offset = offset,
                    None => {
                        page.waiting.push_back(Waiting { hash, offset });
                        self.waiting.fetch_add(1, Ordering::Relaxed);
                    }
                }
                if request.letter.truncated.is_none() && held.has_room(request.letter.bytes()) {
                    held.put(*request);
                }
            }
            Entry::Done(key) => {
                let hash = key.hash();
                page.done.insert(hash);
                let before = page.waiting.len();
                page.waiting.retain(|waiting| waiting.hash != hash);
                self.waiting.fetch_sub((before - page.waiting.len()) as u64, Ordering::Relaxed);
                held.take(hash);
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
        *pages = Pages::default();
        self.waiting.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redrive::{Failed, Key, Letter};

    fn sized(offset: i64, redriven: u32, bytes: usize) -> Request {
        let letter = Letter {
            topic: "t".into(),
            partition: 0,
            failed: Failed::Record(offset),
            timestamp: 0,
            key: None,
            value: Some(vec![0; bytes]),
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
            truncated: None,
        };
        Request { key: Key::of(&letter), letter }
    }

    fn request(offset: i64, redriven: u32) -> Request {
        sized(offset, redriven, 0)
    }

    /// Puts a request where `at` is its offset in the redrive topic.
    fn ask(requests: &Requests, at: i64, request: Request) {
        requests.take("p", 0, at, Entry::Request(Box::new(request)));
    }

    fn offset(requests: &Requests, ticket: u64, skip: &[Request]) -> Option<i64> {
        let skipped: Vec<u128> = skip.iter().map(|request| request.key.hash()).collect();
        let waiting = requests.next("p", 0, ticket, |key| skipped.contains(&key))?;
        let request = requests.claim("p", 0, waiting)?;
        requests.hold("p", 0, Request::clone(&request), true);
        request.letter.offset()
    }

    #[test]
    fn requests_come_in_their_order_once_and_never_after_their_mark() {
        let requests = Requests::default();
        assert!(requests.is_empty());
        for (at, offset) in (0..).zip([3, 1, 3]) {
            ask(&requests, at, request(offset, 0));
        }
        let ticket = requests.ask();
        assert_eq!(requests.unanswered(), Some(ticket));
        assert_eq!(offset(&requests, ticket, &[]), None, "what stood there before is not known yet");
        requests.answer(ticket);
        assert_eq!(requests.unanswered(), None);
        assert_eq!(offset(&requests, ticket, &[]), Some(3));
        assert_eq!(offset(&requests, ticket, &[request(3, 0)]), Some(1));
        requests.take("p", 0, 3, Entry::Done(request(3, 0).key));
        ask(&requests, 4, request(3, 0));
        assert_eq!(offset(&requests, ticket, &[request(1, 0)]), None, "done is done");
        ask(&requests, 5, request(3, 1));
        assert_eq!(offset(&requests, ticket, &[request(1, 0)]), Some(3), "it failed once more since");
        assert_eq!(requests.next("p", 1, ticket, |_| false), None);
        assert_eq!(requests.next("other", 0, ticket, |_| false), None);
        requests.take("p", 0, 6, Entry::Done(request(1, 0).key));
        requests.take("p", 0, 7, Entry::Done(request(3, 1).key));
        assert!(requests.is_empty());
    }

    #[test]
    fn pages_that_are_read_anew_give_nothing_until_they_are_whole() {
        let requests = Requests::default();
        let ticket = requests.ask();
        requests.answer(ticket);
        requests.forget();
        ask(&requests, 0, request(3, 0));
        assert_eq!(offset(&requests, ticket, &[]), None, "its mark may come yet");
        assert_eq!(requests.unanswered(), Some(ticket));
        requests.answer(ticket);
        assert_eq!(offset(&requests, ticket, &[]), Some(3));
    }

    #[test]
    fn a_mark_that_comes_before_its_request_counts() {
        let requests = Requests::default();
        requests.take("p", 0, 0, Entry::Done(request(3, 0).key));
        ask(&requests, 1, request(3, 0));
        assert!(requests.is_empty());
    }

    #[test]
    fn letters_beyond_the_room_are_read_in_their_turn() {
        const MIB: usize = 1 << 20;
        let requests = Requests::default();
        for at in 0..600 {
            ask(&requests, at, sized(at, 0, MIB));
        }
        let ticket = requests.ask();
        requests.answer(ticket);
        let mut done = HashSet::new();
        for at in 0..600 {
            let waiting = requests.next("p", 0, ticket, |hash| done.contains(&hash)).unwrap();
            let mut claimed = requests.claim("p", 0, waiting);
            if claimed.is_none() {
                let (_, _, from) = requests.wanted().unwrap();
                let _ = (from..600).find(|at| !requests.hold("p", 0, sized(*at, 0, MIB), *at == from));
                claimed = requests.claim("p", 0, waiting);
            }
            assert_eq!(claimed.unwrap().letter.offset(), Some(at));
            assert!(requests.locked().held.bytes <= ROOM, "{} bytes are held", requests.locked().held.bytes);
            done.insert(waiting.hash);
        }
        assert_eq!(requests.wanted(), None);
    }

    #[test]
    fn what_cannot_be_redriven_does_not_keep_the_next_one() {
        let requests = Requests::default();
        (0..2).for_each(|at| ask(&requests, at, request(at, 0)));
        let ticket = requests.ask();
        requests.answer(ticket);
        requests.leave_out("p", 0, 0);
        assert_eq!(offset(&requests, ticket, &[]), Some(1));
    }
}
