//! Stand-ins for values: HMAC-SHA-256, and tokens that are kept in the state.

use gregor_sdk::held::hex;
use gregor_sdk::state::State;
use gregor_sdk::{Failure, Input};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of a key that is worth the name.
const MIN_KEY: usize = 16;
/// Tokens by the HMAC of what they stand for: no value is in the state.
const TOKENS: State<String> = State::new("token");

pub struct Secret(Hmac<Sha256>);

/// Where a token is made. It is the same when its record is processed again, and no
/// other record has it.
pub struct Place<'a> {
    topic: &'a str,
    partition: u32,
    offset: u64,
}

impl<'a> Place<'a> {
    pub fn of(record: &'a Input) -> Self {
        Self { topic: &record.topic, partition: record.partition, offset: record.offset }
    }
}

impl Secret {
    /// # Errors
    /// For a key that is too short.
    pub fn new(key: &str) -> Result<Self, String> {
        if key.len() < MIN_KEY {
            return Err(format!("`hmac-key` in the config must have {MIN_KEY} bytes or more"));
        }
        let mac = Hmac::new_from_slice(key.as_bytes()).map_err(|_| "`hmac-key` in the config cannot be a key")?;
        Ok(Self(mac))
    }

    fn sum(&self, parts: &[&[u8]]) -> String {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        hex(&mac.finalize().into_bytes())
    }

    /// 64 digits.
    pub fn of(&self, text: &str) -> String {
        self.sum(&[text.as_bytes()])
    }

    /// 32 digits, which nobody can compute from the text alone.
    ///
    /// # Errors
    /// Those of the cache.
    pub fn token(&self, text: &str, place: &Place<'_>) -> Result<String, Failure> {
        let of_text = self.of(text);
        let entry = TOKENS.of(&of_text);
        if let Some(token) = entry.get()? {
            return Ok(token);
        }
        let (partition, offset) = (place.partition.to_be_bytes(), place.offset.to_be_bytes());
        let mut token = self.sum(&[&partition, &offset, of_text.as_bytes(), place.topic.as_bytes()]);
        token.truncate(32);
        entry.set(&token)?;
        Ok(token)
    }
}
