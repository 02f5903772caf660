//! What the index says of an entry: its expiry in decimal digits, if it has
//! one, and then its origin: nothing for the entry's own key, `n` for no key,
//! `k` and the record's key for another. `-` in a pending list is a deletion.

use crate::state::store::{Entry, Origin, StateError};

/// 9999-12-31 in milliseconds since the Unix epoch. Redis takes no expiry far
/// beyond; the copy still knows it.
const LAST_NATIVE_EXPIRY: u64 = 253_402_300_799_999;

pub(super) const DELETED: &[u8] = b"-";

/// Writes the note of `entry` into `note`.
pub(super) fn encode(entry: &Entry, note: &mut Vec<u8>) {
    note.clear();
    if let Some(at) = entry.expires_at {
        note.extend_from_slice(at.min(LAST_NATIVE_EXPIRY).to_string().as_bytes());
    }
    match &entry.origin {
        Origin::Same => {}
        Origin::Null => note.push(b'n'),
        Origin::Key(key) => {
            note.push(b'k');
            note.extend_from_slice(key);
        }
    }
}

/// An entry's expiry and origin.
///
/// # Errors
/// [`StateError::Damaged`] when it is no note.
pub(super) fn decode(note: &[u8]) -> Result<(Option<u64>, Origin), StateError> {
    let digits = note.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (expiry, origin) = note.split_at(digits);
    let expires_at = std::str::from_utf8(expiry).ok().and_then(|digits| digits.parse().ok());
    let origin = match origin {
        [] => Some(Origin::Same),
        [b'n'] => Some(Origin::Null),
        [b'k', key @ ..] => Some(Origin::Key(key.into())),
        _ => None,
    };
    match origin {
        Some(origin) if expires_at.is_some() == (digits > 0) => Ok((expires_at, origin)),
        _ => Err(StateError::Damaged("the index in Redis was not written by Gregor".into())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_note_keeps_expiry_and_origin() {
        let mut note = Vec::new();
        for expires_at in [None, Some(0), Some(1_790_000_000_000), Some(LAST_NATIVE_EXPIRY)] {
            for origin in [Origin::Same, Origin::Null, Origin::Key((*b"").into()), Origin::Key((*b"7n\xff").into())] {
                encode(&Entry::durable(vec![], expires_at, origin.clone()), &mut note);
                assert_ne!(note, DELETED);
                assert_eq!(decode(&note).unwrap(), (expires_at, origin));
            }
        }
    }

    #[test]
    fn what_is_no_note_is_damage() {
        for note in [&b"-"[..], b"x", b"nn", b"12x", b"99999999999999999999999"] {
            assert!(matches!(decode(note), Err(StateError::Damaged(_))), "{note:?}");
        }
    }
}
