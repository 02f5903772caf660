//! What operators and monitors see of a host: metrics, health and an HTTP API,
//! which deploys plugins and changes nothing else.
//!
//! ```text
//! worker ── once a commit ──► Metrics ─┐
//!        ── once a commit ──► Views ───┼──► Admin ──► GET /metrics, /api/v1/…
//!        ── once a commit ──► Health ──┘          └─► GET /healthz, /readyz
//! ```
//!
//! Only the route to a stage's state asks the workers for something, a page at
//! a time: a slow reader of the API cannot hold up a record. No label holds a
//! record's key or value, and no other document does.

#[cfg(test)]
pub mod fixture;
mod listener;
mod server;

pub use server::{Admin, DeployAccess, StateAccess, Status};
