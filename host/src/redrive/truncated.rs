//! A dead letter without its record's payload, as the whole record did not fit
//! the dead-letter topic: what it says of the record that it stands for.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::record::{Header, Record};

/// What is left out, with commas between: `key`, `value`, `headers`.
pub const TRUNCATED: &str = "gregor-truncated";
const KEY_BYTES: &str = "gregor-key-bytes";
const VALUE_BYTES: &str = "gregor-value-bytes";
const HEADER_COUNT: &str = "gregor-header-count";
const HEADER_BYTES: &str = "gregor-header-bytes";
const SHA256: &str = "gregor-sha256";

/// Sizes and hash of a record that is not in its dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// Bytes of the key; none where it is null.
    pub key_bytes: Option<u64>,
    /// Bytes of the value; none of a tombstone.
    pub value_bytes: Option<u64>,
    pub header_count: u64,
    /// Bytes of all names and values; none where the host did not take them over.
    pub header_bytes: Option<u64>,
    /// SHA-256 over key and value, in hexadecimal.
    pub sha256: String,
}

impl Truncated {
    pub fn of(record: &Record<'_>) -> Truncated {
        let bytes = |field: Option<&[u8]>| field.map(|field| field.len() as u64);
        let of_header = |(name, value): &Header| name.len() + value.as_ref().map_or(0, Vec::len);
        Truncated {
            key_bytes: bytes(record.key),
            value_bytes: bytes(record.value),
            header_count: record.headers.len() as u64,
            header_bytes: Some(record.headers.iter().map(of_header).sum::<usize>() as u64),
            sha256: hash(record.key, record.value),
        }
    }

    /// Of a record that has `count` headers which were left out, as they are too many;
    /// 0: it came with all that it has.
    pub fn with_left_out(self, count: usize) -> Truncated {
        match count {
            0 => self,
            count => Truncated { header_count: count as u64, header_bytes: None, ..self },
        }
    }

    /// As the letter's headers, after the one that says what is left out.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let present = |name, bytes: Option<u64>| bytes.map(|bytes| (name, bytes.to_string()));
        present(KEY_BYTES, self.key_bytes)
            .into_iter()
            .chain(present(VALUE_BYTES, self.value_bytes))
            .chain([(HEADER_COUNT, self.header_count.to_string())])
            .chain(present(HEADER_BYTES, self.header_bytes))
            .chain([(SHA256, self.sha256.clone())])
    }

    /// From a letter's headers, of which `text` finds one by its name; none where
    /// the letter is whole.
    pub fn read<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Option<Truncated> {
        let number = |name| text(name).and_then(|number| number.parse().ok());
        text(TRUNCATED)?;
        Some(Truncated {
            key_bytes: number(KEY_BYTES),
            value_bytes: number(VALUE_BYTES),
            header_count: number(HEADER_COUNT).unwrap_or(0),
            header_bytes: number(HEADER_BYTES),
            sha256: text(SHA256)?.to_owned(),
        })
    }

    /// Whether key and value are those of the record that failed.
    pub fn is_of(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
        self.sha256 == hash(key, value)
    }

    /// Bytes of the record's key, value and headers.
    pub fn bytes(&self) -> u64 {
        let fields = [self.key_bytes, self.value_bytes, self.header_bytes];
        fields.into_iter().flatten().fold(0, u64::saturating_add)
    }
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes: Option<u64>| bytes.map_or("null".to_owned(), |bytes| format!("{bytes} bytes"));
        let (key, value) = (bytes(self.key_bytes), bytes(self.value_bytes));
        write!(f, "key {key}, value {value}, {} headers", self.header_count)?;
        self.header_bytes.map_or(Ok(()), |bytes| write!(f, " of {bytes} bytes"))
    }
}

/// Each field with its length before it, so that no two records look alike.
fn hash(key: Option<&[u8]>, value: Option<&[u8]>) -> String {
    let mut hash = Sha256::new();
    for field in [key, value] {
        // Kafka bounds a field by 31 bits, so no length is that of null.
        hash.update(field.map_or(u64::MAX, |field| field.len() as u64).to_le_bytes());
        hash.update(field.unwrap_or_default());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>, headers: &'a [Header]) -> Record<'a> {
        Record { topic: "t", partition: 0, offset: 0, timestamp: 0, key, value, headers }
    }

    #[test]
    fn what_is_written_of_a_record_is_read() {
        let headers = [("ward".to_owned(), Some(b"3".to_vec())), ("null".to_owned(), None)];
        for (key, value) in [(None, None), (Some(&b""[..]), Some(&b""[..])), (Some(b"k"), Some(b"value"))] {
            let truncated = Truncated::of(&record(key, value, &headers));
            let written: Vec<_> = truncated.headers().chain([(TRUNCATED, "value".to_owned())]).collect();
            let text = |wanted: &str| written.iter().find(|(name, _)| *name == wanted).map(|(_, value)| &**value);
            assert_eq!(Truncated::read(text), Some(truncated.clone()));
            assert_eq!((truncated.header_count, truncated.header_bytes), (2, Some(9)));
            assert!(truncated.is_of(key, value));
        }
        assert_eq!(Truncated::read(|_| None), None, "a whole letter");
    }

    #[test]
    fn records_that_differ_have_other_hashes() {
        let all = [(None, None), (Some(&b""[..]), None), (None, Some(&b""[..])), (Some(b"ab"), Some(b"c"))];
        for (key, value) in all {
            let truncated = Truncated::of(&record(key, value, &[]));
            let alike = all.iter().filter(|(key, value)| truncated.is_of(*key, *value)).count();
            assert_eq!((alike, truncated.is_of(Some(b"a"), Some(b"bc"))), (1, false));
        }
    }
}
