//! What a worker's producer takes, whatever the topics do.

use crate::config::Config;

/// How much larger than its topic's `max.message.bytes` an output may be that is
/// compressed: brokers bound what is left of it then.
const COMPRESSION: u64 = 16;
/// The least that the producer's queue holds, in KiB.
const QUEUE_KIB: u64 = 16 << 10;
/// The most that librdkafka takes for `message.max.bytes`.
const MOST: u64 = 1_000_000_000;
/// Bytes that the client library counts beside key, value and headers, at most.
const OVERHEAD: u64 = 128;

/// Bounds on what is handed to a producer, in bytes before compression.
#[derive(Clone, Copy, Debug)]
pub struct SendBounds {
    /// The user's own, of `message.max.bytes` and `queue.buffering.max.kbytes`.
    pub client: u64,
    compressed: bool,
}

impl SendBounds {
    pub fn of(config: &Config) -> SendBounds {
        let number = |key: &str| config.kafka.get(key).and_then(|value| value.trim().parse::<u64>().ok());
        let message = number("message.max.bytes").unwrap_or(MOST);
        let queue = number("queue.buffering.max.kbytes").map_or(MOST, |kib| kib.saturating_mul(1 << 10));
        let codec = config.kafka.get("compression.type").or_else(|| config.kafka.get("compression.codec"));
        SendBounds { client: message.min(queue), compressed: codec.is_some_and(|codec| codec != "none") }
    }

    /// The largest output that is tried for a topic with this `max.message.bytes`.
    pub fn largest(&self, max_batch_bytes: u64) -> u64 {
        let factor = if self.compressed { COMPRESSION } else { 1 };
        max_batch_bytes.saturating_mul(factor).min(self.client).min(MOST)
    }

    /// The client's `message.max.bytes` where the largest output has so many bytes.
    pub fn message_max_bytes(largest: u64) -> u64 {
        (largest + OVERHEAD).clamp(1_000, MOST)
    }

    /// The client's `queue.buffering.max.kbytes` then: it bounds one record too.
    pub fn queue_kib(largest: u64) -> u64 {
        QUEUE_KIB.max(largest.div_ceil(1 << 10) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_holds_the_largest_output() {
        assert_eq!(SendBounds::queue_kib(1_048_588), QUEUE_KIB);
        assert!(SendBounds::queue_kib(50 << 20) * 1_024 > 50 << 20);
    }

    #[test]
    fn what_may_be_compressed_may_be_larger() {
        let bounds = |compressed, client| SendBounds { client, compressed };
        assert_eq!(bounds(false, MOST).largest(1_000), 1_000);
        assert_eq!(bounds(true, MOST).largest(1_000), 16_000);
        assert_eq!(bounds(true, 5_000).largest(1_000), 5_000);
        assert_eq!(bounds(true, MOST).largest(u64::MAX), MOST);
    }
}
