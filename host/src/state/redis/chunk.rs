//! The changes of a commit in pieces that one script takes.

use redis::Cmd;

use super::{PART_BYTES, PART_CHANGES, note};
use crate::state::memory::MemoryStore;

/// Items of a pending list for each change: key, note, value.
pub(super) const ITEMS: usize = 3;

/// `keys` in pieces, at least one, which may be empty.
pub(super) fn chunks<'k>(copy: &MemoryStore, keys: &'k [&'k str]) -> Vec<&'k [&'k str]> {
    let mut chunks = Vec::new();
    let mut left = keys;
    loop {
        let mut bytes = 0;
        let mut full = |key: &&str| {
            let more = bytes < PART_BYTES;
            bytes += key.len() + copy.find(key).map_or(0, |entry| entry.value.len());
            more
        };
        let count = left.iter().take(PART_CHANGES).take_while(|key| full(key)).count();
        let (chunk, rest) = left.split_at(count);
        chunks.push(chunk);
        left = rest;
        if left.is_empty() {
            return chunks;
        }
    }
}

/// Adds what stands under each of `keys` to a script's arguments.
pub(super) fn write(copy: &MemoryStore, keys: &[&str], args: &mut Cmd) {
    let mut note = Vec::new();
    for key in keys {
        args.arg(*key);
        match copy.find(key) {
            Some(entry) => {
                note::encode(entry, &mut note);
                args.arg(note.as_slice()).arg(entry.value.as_slice());
            }
            None => {
                args.arg(note::DELETED).arg("");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::store::{Entry, Origin};

    #[test]
    fn chunks_are_bounded_in_changes_and_bytes_and_leave_nothing_out() {
        let mut copy = MemoryStore::default();
        assert_eq!(chunks(&copy, &[]), [&[] as &[&str]]);

        let keys: Vec<String> = (0..2_500).map(|number| format!("{number:05}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let counts: Vec<_> = chunks(&copy, &keys).iter().map(|chunk| chunk.len()).collect();
        assert_eq!(counts, [1_000, 1_000, 500]);
        assert_eq!(chunks(&copy, &keys).concat(), keys);

        for key in &keys[..10] {
            copy.replace(key, Entry::durable(vec![0; PART_BYTES], None, Origin::Same));
        }
        let counts: Vec<_> = chunks(&copy, &keys).iter().map(|chunk| chunk.len()).collect();
        assert_eq!(counts, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1_000, 1_000, 490]);
    }
}
