//! The bounded copy of a store's entries in memory.
//!
//! What differs from the tree is pinned; the rest goes by the clock when there
//! is no room: an entry that was not asked for since the hand last came by.

use hashbrown::HashMap;

use crate::state::Key;
use crate::state::store::Entry;

/// Bytes that a slot takes beside its key and value, with its place in the map.
const SLOT: u64 = 160;
/// Slots that the hand looks at for each new one, at most.
const STEPS: usize = 64;

pub struct Slot {
    pub key: Key,
    /// What stands under the key; none where nothing does.
    pub entry: Option<Entry>,
    /// When the tree's entry expires; none while that is not known.
    pub former: Option<Option<u64>>,
    /// Differs from the log's last record.
    pub changed: bool,
    /// Differs from the tree.
    pub pinned: bool,
    used: bool,
}

impl Slot {
    fn cost(&self) -> u64 {
        SLOT + (self.key.len() + self.entry.as_ref().map_or(0, |entry| entry.value.len())) as u64
    }
}

pub struct Hot {
    places: HashMap<Key, u32, foldhash::fast::RandomState>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    hand: usize,
    bytes: u64,
    limit: u64,
}

impl Hot {
    /// `limit`: bytes beyond which slots that are not pinned go.
    pub fn new(limit: u64) -> Hot {
        Hot { places: HashMap::default(), slots: Vec::new(), free: Vec::new(), hand: 0, bytes: 0, limit }
    }

    pub fn find(&mut self, key: &str) -> Option<u32> {
        let at = *self.places.get(key)?;
        self.slots[at as usize].used = true;
        Some(at)
    }

    /// The slot of `key`, without a note that it was asked for.
    pub fn peek(&self, key: &str) -> Option<&Slot> {
        self.places.get(key).map(|at| &self.slots[*at as usize])
    }

    /// Whether what stands under `key` differs from the tree.
    pub fn pinned(&self, key: &str) -> bool {
        self.peek(key).is_some_and(|slot| slot.pinned)
    }

    pub fn slot(&self, at: u32) -> &Slot {
        &self.slots[at as usize]
    }

    /// For changes of all but the key and the entry's length.
    pub fn slot_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.slots[at as usize]
    }

    /// Replaces the entry of a slot; the one before.
    pub fn replace(&mut self, at: u32, entry: Option<Entry>) -> Option<Entry> {
        let slot = &mut self.slots[at as usize];
        self.bytes -= slot.cost();
        let previous = std::mem::replace(&mut slot.entry, entry);
        self.bytes += slot.cost();
        previous
    }

    /// Takes in a key that has no slot.
    pub fn insert(&mut self, key: &str, entry: Option<Entry>, former: Option<Option<u64>>) -> u32 {
        self.make_room();
        let key: Key = key.into();
        let slot = Slot { key: key.clone(), entry, former, changed: false, pinned: false, used: true };
        self.bytes += slot.cost();
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                // Memory ends long before 2^32 slots.
                (self.slots.len() - 1) as u32
            }
        };
        self.places.insert(key, at);
        at
    }

    fn make_room(&mut self) {
        for _ in 0..STEPS.min(self.slots.len()) {
            if self.bytes <= self.limit {
                break;
            }
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            if slot.pinned || slot.changed || slot.key.is_empty() {
                continue;
            }
            if std::mem::take(&mut slot.used) {
                continue;
            }
            self.bytes -= slot.cost();
            self.places.remove(&slot.key);
            // An empty key marks a slot that is free: no entry has one.
            (slot.key, slot.entry) = ("".into(), None);
            self.free.push(self.hand as u32);
        }
    }
}
