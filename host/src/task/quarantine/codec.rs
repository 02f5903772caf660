//! What is parked, as the value of an entry; its key is the entry's record key.
//!
//! ```text
//! byte     the format, 1
//! field    the value
//! u32      how many headers the record has
//! header*  those, as they came
//! header*  ours, as a dead letter has them, to the end
//!
//! header   two fields: name and value
//! field    u32: its length, or 2^32 - 1 for null; then so many bytes
//! ```
//!
//! Numbers are little-endian. The record's own headers stand apart from ours, so
//! that those of an earlier pipeline of ours come back with it.

use crate::record::{Header, Record};

const FORMAT: u8 = 1;
const NULL: u32 = u32::MAX;

/// What the bytes of an entry say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    pub value: Option<&'a [u8]>,
    /// The record's.
    pub own: Vec<Header>,
    pub ours: Vec<Header>,
}

pub(super) fn encode(record: &Record<'_>, ours: &[Header]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    push_field(&mut bytes, record.value);
    bytes.extend((record.headers.len() as u32).to_le_bytes());
    for (name, value) in record.headers.iter().chain(ours) {
        push_field(&mut bytes, Some(name.as_bytes()));
        push_field(&mut bytes, value.as_deref());
    }
    bytes
}

/// Nothing for what this version did not write.
pub(super) fn decode(bytes: &[u8]) -> Option<Decoded<'_>> {
    let mut rest = bytes.strip_prefix(&[FORMAT])?;
    let value = take_field(&mut rest)?;
    let count = take_u32(&mut rest)?;
    let mut own = Vec::new();
    for _ in 0..count {
        own.push(take_header(&mut rest)?);
    }
    let mut ours = Vec::new();
    while !rest.is_empty() {
        ours.push(take_header(&mut rest)?);
    }
    Some(Decoded { value, own, ours })
}

fn push_field(bytes: &mut Vec<u8>, field: Option<&[u8]>) {
    // Kafka bounds a record, and so each of its fields, by 31 bits.
    bytes.extend(field.map_or(NULL, |field| field.len() as u32).to_le_bytes());
    bytes.extend_from_slice(field.unwrap_or_default());
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (number, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u32::from_le_bytes(*number))
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match take_u32(rest)? {
        NULL => Some(None),
        length => {
            let (field, tail) = rest.split_at_checked(length as usize)?;
            *rest = tail;
            Some(Some(field))
        }
    }
}

fn take_header(rest: &mut &[u8]) -> Option<Header> {
    let name = std::str::from_utf8(take_field(rest)??).ok()?.to_owned();
    Some((name, take_field(rest)?.map(<[u8]>::to_vec)))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn headers() -> impl Strategy<Value = Vec<Header>> {
        vec(("\\PC{0,9}", option::of(vec(any::<u8>(), 0..9))), 0..5)
    }

    fn record<'a>(value: Option<&'a [u8]>, headers: &'a [Header]) -> Record<'a> {
        Record { topic: "t", partition: 0, offset: 0, timestamp: 0, key: None, value, headers }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in option::of(vec(any::<u8>(), 0..40)), own in headers(), ours in headers()) {
            let bytes = encode(&record(value.as_deref(), &own), &ours);
            prop_assert_eq!(decode(&bytes), Some(Decoded { value: value.as_deref(), own, ours }));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
            let _ = decode(&[&[FORMAT], &bytes[..]].concat());
        }
    }

    #[test]
    fn the_format_is_what_its_first_release_wrote() {
        let own = [("a".to_owned(), None)];
        let ours = [("b".to_owned(), Some(b"c".to_vec()))];
        let null = b"\xff\xff\xff\xff";
        let expected = [&b"\x01\x02\0\0\0hi"[..], b"\x01\0\0\0\x01\0\0\0a", null, b"\x01\0\0\0b\x01\0\0\0c"].concat();
        assert_eq!(encode(&record(Some(b"hi"), &own), &ours), expected);
        assert_eq!(decode(&[b"\x02", &expected[1..]].concat()), None, "a newer format");
    }
}
