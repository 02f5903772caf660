//! Changelog topics: every change of a stage's state, once for each key and
//! commit interval, in a compacted topic with as many partitions as the source.
//!
//! ```text
//! key      the cache's key
//! value    exactly the plugin's bytes; null where the entry was deleted
//! header   `gregor`: format, source position, expiry, record key (see `codec`)
//! ```
//!
//! At start the host creates or checks the topics; a partition whose local
//! store is not whole gets its entries back by a [`Reader`].

mod codec;
mod ensure;
mod error;
mod reader;
mod replay;
mod tail;
mod topics;

pub use codec::{Decoded, HEADER, Malformed, decode, encode};
pub use ensure::{Changelog, Wanted, ensure};
pub use error::{ChangelogError, ReplayError};
pub use reader::{Reader, reading};
pub use replay::{Progress, Replay, Replayed, read_record, tombstones_may_be_gone};
pub use tail::{Bounds, Tail};
pub use topics::check_names;
