//! The header of a changelog record.
//!
//! ```text
//! byte     the format, 1
//! byte     bit 0: an expiry follows
//!          bits 1 and 2: the source record's key is 0 the entry's, 1 null, 2 what ends the header
//! varint   source position: the offset after the commit interval that wrote the entry
//! varint   expiry, milliseconds since the Unix epoch
//! bytes    the source record's key, to the header's end
//! ```
//!
//! Varints are LEB128, at most ten bytes. What the format does not name is
//! refused, so that a later format can give it a meaning.

use std::ffi::CStr;

use crate::state::{Entry, Origin};

/// The name of the header.
pub const HEADER: &CStr = c"gregor";

const FORMAT: u8 = 1;
const EXPIRES: u8 = 0b001;
const NULL: u8 = 0b010;
const KEY: u8 = 0b100;

/// A changelog record's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The source offset that the entry belongs to: the next after its commit interval.
    pub position: i64,
    /// `None`: the entry was deleted.
    pub entry: Option<Entry>,
}

/// Why a record of a changelog topic is none that this version can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it has no header `gregor`, so another program wrote it")]
    Foreign,
    #[error("its key is not the key of an entry")]
    Key,
    #[error("its format is {0}, and this version of Gregor reads {FORMAT}: a newer Gregor wrote it")]
    Newer(u8),
    #[error("its header is not of Gregor's format")]
    Header,
}

/// The header's value for a record that says what stands under a key as of
/// `position`; nothing, where it was deleted.
pub fn encode(entry: Option<&Entry>, position: i64) -> Vec<u8> {
    let (expires_at, origin) = entry.map_or((None, &Origin::Same), |entry| (entry.expires_at, &entry.origin));
    let (origin, key): (u8, &[u8]) = match origin {
        Origin::Same => (0, &[]),
        Origin::Null => (NULL, &[]),
        Origin::Key(key) => (KEY, key),
    };
    let expires = if expires_at.is_some() { EXPIRES } else { 0 };
    let mut header = Vec::with_capacity(22 + key.len());
    header.extend([FORMAT, origin | expires]);
    push_varint(&mut header, position as u64);
    if let Some(at) = expires_at {
        push_varint(&mut header, at);
    }
    header.extend_from_slice(key);
    header
}

/// What a record with this header and value says.
///
/// # Errors
/// When no Gregor wrote it, or one whose format is newer.
pub fn decode(header: Option<&[u8]>, value: Option<&[u8]>) -> Result<Decoded, Malformed> {
    let mut rest = header.ok_or(Malformed::Foreign)?;
    let [format, tail @ ..] = rest else { return Err(Malformed::Header) };
    if *format > FORMAT {
        return Err(Malformed::Newer(*format));
    }
    let [flags, tail @ ..] = tail else { return Err(Malformed::Header) };
    if *format != FORMAT || flags & !(EXPIRES | NULL | KEY) != 0 {
        return Err(Malformed::Header);
    }
    rest = tail;
    let position = i64::try_from(take_varint(&mut rest)?).map_err(|_| Malformed::Header)?;
    let expires_at = if flags & EXPIRES == 0 { None } else { Some(take_varint(&mut rest)?) };
    let origin = match flags & (NULL | KEY) {
        0 if rest.is_empty() => Origin::Same,
        NULL if rest.is_empty() => Origin::Null,
        KEY => Origin::Key(rest.into()),
        _ => return Err(Malformed::Header),
    };
    let entry = match value {
        Some(value) => Some(Entry::durable(value.to_vec(), expires_at, origin)),
        None if *flags == 0 => None,
        None => return Err(Malformed::Header),
    };
    Ok(Decoded { position, entry })
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let [byte, tail @ ..] = *bytes else { return Err(Malformed::Header) };
        *bytes = tail;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if bits << shift >> shift != bits {
            return Err(Malformed::Header);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed::Header)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn origin() -> impl Strategy<Value = Origin> {
        prop_oneof![
            Just(Origin::Same),
            Just(Origin::Null),
            vec(any::<u8>(), 0..40).prop_map(|key| Origin::Key(key.into()))
        ]
    }

    fn entry() -> impl Strategy<Value = Entry> {
        (vec(any::<u8>(), 0..40), proptest::option::of(any::<u64>()), origin())
            .prop_map(|(value, expires_at, origin)| Entry::durable(value, expires_at, origin))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(entry in proptest::option::of(entry()), position in 0..=i64::MAX) {
            let header = encode(entry.as_ref(), position);
            let value = entry.as_ref().map(|entry| &*entry.value);
            prop_assert_eq!(decode(Some(&header), value), Ok(Decoded { position, entry: entry.clone() }));
        }

        #[test]
        fn any_bytes_are_read_or_refused(header in vec(any::<u8>(), 0..60), value in proptest::option::of(vec(any::<u8>(), 0..9))) {
            if let Ok(decoded) = decode(Some(&header), value.as_deref()) {
                prop_assert!(decoded.position >= 0);
                prop_assert_eq!(decoded.entry.map(|entry| entry.value), value);
            }
        }

        /// As above, past the first bytes.
        #[test]
        fn bytes_of_this_format_are_read_or_refused(flags in 0..8_u8, rest in vec(any::<u8>(), 0..30)) {
            let header: Vec<u8> = [FORMAT, flags].into_iter().chain(rest).collect();
            if let Ok(decoded) = decode(Some(&header), Some(b"value")) {
                prop_assert!(decoded.position >= 0);
            }
        }

        #[test]
        fn a_header_cut_short_is_refused(entry in entry(), position in 0..=i64::MAX, kept in 0.0..1.0) {
            let header = encode(Some(&Entry { origin: Origin::Same, ..entry }), position);
            let cut = &header[..(header.len() as f64 * kept) as usize];
            prop_assert_eq!(decode(Some(cut), Some(b"")), Err(Malformed::Header));
        }
    }

    #[test]
    fn the_format_is_what_its_first_release_wrote() {
        let entry = Entry::durable(b"v".to_vec(), Some(300), Origin::Key((*b"patient").into()));
        assert_eq!(encode(Some(&entry), 128), b"\x01\x05\x80\x01\xac\x02patient");
        let entry = Entry::durable(Vec::new(), None, Origin::Null);
        assert_eq!(encode(Some(&entry), 1), b"\x01\x02\x01");
        assert_eq!(encode(None, 0), b"\x01\x00\x00");
    }

    #[test]
    fn records_of_others_are_told_apart() {
        assert_eq!(decode(None, Some(b"value")), Err(Malformed::Foreign));
        assert_eq!(decode(Some(b"\x02whatever"), None), Err(Malformed::Newer(2)));
        assert!(Malformed::Newer(2).to_string().contains("a newer Gregor wrote it"));
        assert_eq!(decode(Some(b"\x00\x00\x00"), None), Err(Malformed::Header));
    }

    #[test]
    fn a_deletion_carries_neither_expiry_nor_key() {
        assert_eq!(decode(Some(b"\x01\x02\x07"), None), Err(Malformed::Header));
        assert_eq!(decode(Some(b"\x01\x00\x07"), None), Ok(Decoded { position: 7, entry: None }));
    }

    #[test]
    fn a_position_past_every_offset_is_refused() {
        assert_eq!(decode(Some(&encode(None, -1)), None), Err(Malformed::Header));
        let overlong = [&[FORMAT, 0][..], &[0xff; 9], &[0x02]].concat();
        assert_eq!(decode(Some(&overlong), None), Err(Malformed::Header));
    }
}
