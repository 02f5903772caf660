//! Dead letters on their way back through their pipeline.
//!
//! `gregor dead-letter redrive` writes each as a request into the pipeline's
//! redrive topic, `<app>-<pipeline>-redrive`: compacted, with as many partitions
//! as the source, in the partition that the record came from. Every host follows
//! that topic. The worker that owns the source partition processes the requests
//! of it between two records, as its cache is there, and writes a mark under the
//! request's key when it is done:
//!
//! ```text
//! dead-letter topic ─► gregor dead-letter redrive ─► redrive topic ─► Follower ─► Requests
//!                                                         ▲                          │ next
//!                                                        mark ◀── outputs ◀── Task ◀─┘
//! ```
//!
//! **Once for each dead letter.** The key names the source record and how often
//! it has been redriven, so asking again for one that is done, or that another
//! asks for at the same time, changes nothing. Under exactly-once the mark is in
//! the transaction of the outputs. At least once it is sent once their offsets
//! are committed, and a crash in between repeats the letter.
//!
//! **No partition of two minds.** An owner takes requests only once it has read
//! what anyone wrote before it became the owner, the marks of the one before it
//! included. What a redrive did to the state is told apart from what stood before
//! by the count of redriven letters in the committed [position](crate::position::Position).
//!
//! **Memory is bounded.** A host knows where each request stands in the redrive topic.
//! It holds 16 MiB of letters, and reads others again when their turn comes.
//!
//! **A letter may lack its record**, which did not fit the dead-letter topic. The
//! follower reads the record from the source when the letter's turn comes, and checks
//! it against the letter's hash.
//!
//! **The copy goes.** The mark has no payload and takes the request's place when
//! the brokers compact the topic. Only marks stay.

mod follower;
mod letter;
mod request;
mod requests;
mod retrieval;
mod truncated;

pub use follower::Follower;
pub use letter::{Failed, Letter, OWN_KEY, is_ours};
pub use request::{Done, Entry, Key, Request, headers};
pub use requests::Requests;
pub use truncated::{TRUNCATED, Truncated};
