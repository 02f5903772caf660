//! Entries that someone asks for from outside of plugins: an operator, through
//! the admin API or from a stopped host's store.

use super::store::{Entry, Page, StateError, StateStore};
use super::timers::is_reserved;

/// Most entries of one answer's page …
pub const MAX_ENTRIES: usize = 1_000;
/// … and of each partition's share, the bytes after which it ends.
const MAX_BYTES: usize = 1 << 20;

/// Which entries of a stage are asked for.
pub struct Lookup {
    pub pipeline: String,
    pub stage: String,
    /// `None`: all partitions.
    pub partition: Option<i32>,
    pub wanted: Wanted,
    /// Milliseconds since the Unix epoch: entries that have expired by then are gone.
    pub now: u64,
}

/// Not `Debug`: keys are nobody's to log.
pub enum Wanted {
    /// What stands under this key, in each partition.
    Key(String),
    /// Timers and what else is the host's own only where the prefix asks for it.
    Page {
        prefix: String,
        /// Only keys after this one, by their bytes.
        after: Option<String>,
        /// Up to [`MAX_ENTRIES`].
        limit: usize,
    },
}

/// What one partition answers.
pub struct Found {
    pub partition: i32,
    /// By their keys' bytes.
    pub entries: Vec<(String, Entry)>,
    /// There may be more after the last of them.
    more: bool,
    /// Whether the entries' origins are known.
    pub origins: bool,
}

/// An entry, and where it is.
pub struct Placed {
    pub partition: i32,
    pub key: String,
    pub entry: Entry,
    /// Whether its origin is known.
    pub origin: bool,
}

/// What all partitions answer together.
pub struct Looked {
    /// The partitions that answered, in order.
    pub partitions: Vec<i32>,
    /// By key, then partition.
    pub entries: Vec<Placed>,
    /// Where the next page begins: after this key.
    pub next: Option<String>,
}

impl Lookup {
    /// Asks the store of one partition.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn ask(&self, partition: i32, store: &mut dyn StateStore, origins: bool) -> Result<Found, StateError> {
        let found = |entries, more| Found { partition, entries, more, origins };
        match &self.wanted {
            Wanted::Key(key) => {
                let entry = store.get(key)?.filter(|entry| !entry.expired(self.now)).cloned();
                Ok(found(entry.map(|entry| (key.clone(), entry)).into_iter().collect(), false))
            }
            Wanted::Page { prefix, after, limit } => {
                let limit = (*limit).min(MAX_ENTRIES);
                let page = Page { prefix, after: after.as_deref(), now: self.now, limit, bytes: MAX_BYTES };
                let mut entries = store.scan(&page)?;
                let bytes: usize = entries.iter().map(|(key, entry)| key.len() + entry.value.len()).sum();
                let mut more = entries.len() == limit || bytes >= MAX_BYTES;
                if !is_reserved(prefix) {
                    // They are the last of all: none but they come after them.
                    let plain = entries.partition_point(|(key, _)| !is_reserved(key));
                    more &= plain == entries.len();
                    entries.truncate(plain);
                }
                Ok(found(entries, more))
            }
        }
    }

    /// Puts the partitions' answers together. The page ends after all entries
    /// of its last key, so that the next one misses none of them.
    pub fn together(&self, mut found: Vec<Found>) -> Looked {
        found.sort_by_key(|found| found.partition);
        let partitions = found.iter().map(|found| found.partition).collect();
        // What comes after a partition's last entry is not known.
        let last = |found: &Found| found.entries.last().filter(|_| found.more).map(|(key, _)| key.clone());
        let mut next = found.iter().filter_map(last).min();
        let mut entries: Vec<Placed> = found
            .into_iter()
            .flat_map(|Found { partition, entries, origins, .. }| {
                entries.into_iter().map(move |(key, entry)| Placed { partition, key, entry, origin: origins })
            })
            .filter(|placed| next.as_ref().is_none_or(|next| placed.key <= *next))
            .collect();
        // Stable: of one key, by partition.
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        if let Wanted::Page { limit, .. } = &self.wanted
            && let Some(last) = limit.checked_sub(1).and_then(|last| entries.get(last))
        {
            let last = last.key.clone();
            let kept = entries.partition_point(|placed| placed.key <= last);
            if kept < entries.len() {
                entries.truncate(kept);
                next = Some(last);
            }
        }
        Looked { partitions, entries, next }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::super::store::Origin;
    use super::*;

    fn store(keys: &[&str]) -> MemoryStore {
        let mut store = MemoryStore::default();
        for key in keys {
            store.replace(key, Entry::durable(key.as_bytes().to_vec(), None, Origin::Same));
        }
        store
    }

    fn page(after: Option<String>, limit: usize) -> Lookup {
        let wanted = Wanted::Page { prefix: String::new(), after, limit };
        Lookup { pipeline: "p".into(), stage: "s".into(), partition: None, wanted, now: 0 }
    }

    fn ask(lookup: &Lookup, stores: &mut [MemoryStore]) -> Looked {
        let found = stores.iter_mut().zip(0..).map(|(store, partition)| lookup.ask(partition, store, true).unwrap());
        lookup.together(found.collect())
    }

    #[test]
    fn pages_hold_every_entry_once_whatever_their_size() {
        let mut stores = [store(&["a", "c", "e", "g"]), store(&["a", "b", "c", "z"]), store(&[]), store(&["a"])];
        let whole = ["a0", "a1", "a3", "b1", "c0", "c1", "e0", "g0", "z1"];
        for limit in 1..=12 {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let looked = ask(&page(after, limit), &mut stores);
                assert_eq!(looked.partitions, [0, 1, 2, 3]);
                seen.extend(looked.entries.iter().map(|placed| format!("{}{}", placed.key, placed.partition)));
                after = looked.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, whole, "pages of {limit}");
        }
    }

    #[test]
    fn a_partition_cut_off_by_its_bytes_holds_the_page_back() {
        let mut full = MemoryStore::default();
        for key in ["a", "b", "c"] {
            full.replace(key, Entry::durable(vec![0; MAX_BYTES], None, Origin::Same));
        }
        let mut stores = [full, store(&["a", "b", "c"])];
        let looked = ask(&page(None, 100), &mut stores);
        assert_eq!(looked.entries.len(), 2);
        assert_eq!(looked.next.as_deref(), Some("a"));
    }

    #[test]
    fn a_key_is_found_in_every_partition_that_has_it_until_it_expires() {
        let mut stores = [store(&["a"]), store(&["b"]), store(&[])];
        stores[2].replace("a", Entry::durable(Vec::new(), Some(10), Origin::Same));
        let lookup = |now| Lookup { wanted: Wanted::Key("a".into()), now, ..page(None, 1) };
        let partitions = |looked: Looked| looked.entries.iter().map(|placed| placed.partition).collect::<Vec<_>>();
        assert_eq!(partitions(ask(&lookup(9), &mut stores)), [0, 2]);
        assert_eq!(partitions(ask(&lookup(10), &mut stores)), [0]);
    }
}
