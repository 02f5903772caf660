//! Records as tests write and read them.

use std::collections::BTreeMap;

use rdkafka::message::{BorrowedMessage, Headers, Message};

/// A header's name and value, `None` being Kafka's null.
pub type Header = (String, Option<Vec<u8>>);

/// A record to produce.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// `None`: by key, as Java's default partitioner chooses.
    pub partition: Option<i32>,
    /// Milliseconds since the Unix epoch; `None`: now.
    pub timestamp: Option<i64>,
    pub headers: Vec<Header>,
}

impl Record {
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Record {
        Record { key: Some(key.into()), value: Some(value.into()), ..Record::default() }
    }

    /// A record without a key.
    pub fn keyless(value: impl Into<Vec<u8>>) -> Record {
        Record { value: Some(value.into()), ..Record::default() }
    }

    pub fn tombstone(key: impl Into<Vec<u8>>) -> Record {
        Record { key: Some(key.into()), ..Record::default() }
    }

    pub fn partition(self, partition: i32) -> Record {
        Record { partition: Some(partition), ..self }
    }

    /// `timestamp` in milliseconds since the Unix epoch.
    pub fn timestamp(self, timestamp: i64) -> Record {
        Record { timestamp: Some(timestamp), ..self }
    }

    pub fn header(mut self, name: &str, value: Option<&[u8]>) -> Record {
        self.headers.push((name.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }
}

/// A record as read from a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

impl Received {
    pub fn of(record: &BorrowedMessage<'_>) -> Received {
        let headers = record.headers().map_or(Vec::new(), |headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        });
        Received {
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset(),
            timestamp: record.timestamp().to_millis().unwrap_or(-1),
            key: record.key().map(<[u8]>::to_vec),
            value: record.payload().map(<[u8]>::to_vec),
            headers,
        }
    }

    /// The key as text; empty where it is null.
    pub fn key(&self) -> &str {
        std::str::from_utf8(self.key.as_deref().unwrap_or_default()).expect("a key of text")
    }

    /// The value as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.value.as_deref().expect("a value, not a tombstone")).expect("a value of text")
    }

    /// The value as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.text()).expect("a value of JSON")
    }

    /// The text of the header `name`, if it is there and not null.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

/// The values of each key as text, in the order of `records`.
pub fn by_key(records: &[Received]) -> BTreeMap<String, Vec<String>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        values.entry(record.key().to_owned()).or_default().push(record.text().to_owned());
    }
    values
}
