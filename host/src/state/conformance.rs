//! What every backend of the cache has to show: one suite, run over each.

mod entries;
mod intervals;
mod model;
mod parked;
mod scans;
mod timers;

use super::{Cache, MemoryStore, Page, StateError, StateStore};
use crate::plan::CacheLimits;

pub use entries::*;
pub use intervals::*;
pub use model::*;
pub use parked::*;
pub use scans::*;
pub use timers::*;

const LIMITS: CacheLimits = CacheLimits { bytes: 10_000, value: 1_000, call: u64::MAX };
const EVERYTHING: Page<'_> = Page { prefix: "", after: None, now: 0, limit: usize::MAX, bytes: usize::MAX };

/// A fresh store of one backend.
pub struct Backend {
    /// Opens it, as after a crash, for a group whose committed offset is the argument.
    pub open: Box<dyn FnMut(i64) -> Box<dyn StateStore>>,
    /// What was prepared is there when it is opened again.
    pub durable: bool,
    /// How many cases of generated tests are bearable.
    pub cases: u32,
}

impl Backend {
    fn cache(&mut self, position: i64) -> Cache {
        self.cache_with(position, LIMITS)
    }

    fn cache_with(&mut self, position: i64, limits: CacheLimits) -> Cache {
        let mut cache = Cache::new((self.open)(position), limits, true);
        cache.begin(1_000, None);
        cache
    }
}

pub fn memory() -> Backend {
    Backend { open: Box::new(|_| Box::new(MemoryStore::default())), durable: false, cases: 256 }
}

fn keys(found: &[(String, Vec<u8>)]) -> Vec<&str> {
    found.iter().map(|(key, _)| key.as_str()).collect()
}

fn all(cache: &mut Cache) -> Vec<(String, String)> {
    let found = cache.scan("", None, 1_000).unwrap();
    found.into_iter().map(|(key, value)| (key, String::from_utf8(value).unwrap())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn set(cache: &mut Cache, key: &str, value: &str) {
    cache.set(key, value.as_bytes().to_vec(), None).unwrap();
    cache.keep();
}

fn prepare(cache: &mut Cache, from: i64, to: i64) {
    cache.changes(0, |_, _| Ok::<(), StateError>(())).unwrap();
    cache.prepare(from, to, 1_000).unwrap();
}

fn commit(cache: &mut Cache, from: i64, to: i64) {
    prepare(cache, from, to);
    cache.finish();
}

/// Runs the suite over the backend that `$make`, a `fn() -> Backend`, makes.
macro_rules! conforms {
    ($name:ident, $make:expr) => {
        $crate::state::conformance::conforms! { @ $name, $make;
            writes_of_a_failed_record_are_undone
            an_entry_past_its_time_to_live_is_gone
            sweeping_frees_expired_entries_only
            a_scan_pages_in_order_of_bytes
            a_scan_sees_what_changed_over_what_is_committed
            a_scan_of_large_values_ends_early_and_goes_on
            quotas_name_their_limit_and_replacing_frees
            keys_are_1_to_512_bytes
            increment_counts_from_nothing_and_refuses_what_is_no_number
            an_interval_is_taken_back_whole
            changes_name_each_key_once_with_what_stands_there
            a_store_that_is_opened_again_stands_where_the_group_does
            expiry_and_record_keys_outlive_the_store
            what_expired_is_named_the_earliest_first
            what_is_restored_is_there
            timers_are_due_by_time_then_name_and_one_of_a_name_replaces
            timers_follow_undo_and_the_interval
            no_plugin_sees_or_writes_what_is_the_host_s
            timers_count_as_bytes_of_the_cache
            timers_outlive_the_store_with_their_record_and_the_watermark
            what_is_parked_is_found_by_its_record_key_in_order
            what_is_parked_follows_undo_and_the_interval
            what_is_parked_outlives_the_store_in_its_order
            what_is_parked_meets_the_limit_of_a_value_and_no_plugin_sees_it
            what_is_parked_takes_no_room_from_the_plugin
        }
    };
    (@ $name:ident, $make:expr; $($test:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            use $crate::state::conformance;

            $(#[test]
            fn $test() {
                conformance::$test($make());
            })*

            #[test]
            fn a_cache_equals_a_sorted_map() {
                conformance::a_cache_equals_a_sorted_map($make);
            }
        }
    };
}
pub(crate) use conforms;

conforms!(of_memory, memory);
