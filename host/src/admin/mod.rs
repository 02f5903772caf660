//! What operators and monitors see of a host: metrics, health and a read-only
//! HTTP API.
//!
//! ```text
//! worker ── once a commit ──► Metrics ─┐
//!        ── once a commit ──► Views ───┼──► Admin ──► GET /metrics, /api/v1/…
//!        ── once a commit ──► Health ──┘          └─► GET /healthz, /readyz
//! ```
//!
//! Nothing here asks a worker for anything: a slow reader of the API cannot
//! hold up a record. Neither labels nor documents hold a record's key or value.

#[cfg(test)]
pub mod fixture;
mod health;
mod listener;
mod metrics;
mod server;
mod views;

pub use health::Health;
pub use metrics::Metrics;
pub use server::{Admin, PluginStatus, Status};
pub use views::Views;
