#![doc = include_str!("../../docs/architecture.md")]

pub mod admin;
pub mod author;
pub mod cli;
pub mod clock;
pub mod commit;
pub mod config;
pub mod deploy;
pub mod files;
pub mod foreign;
pub mod host;
pub mod kafka;
pub mod observe;
pub mod origin;
pub mod plan;
pub mod plugin;
pub mod position;
pub mod record;
pub mod redrive;
pub mod repeated;
pub mod state;
pub mod task;
pub mod worker;

/// The plugins that come with the host, by name: components for `wasm32-wasip2`,
/// compiled with it, that `gregor demo` and the benchmark run.
pub fn demo_plugins() -> [(&'static str, &'static [u8]); 3] {
    [
        ("patient-location", include_bytes!(concat!(env!("OUT_DIR"), "/patient-location.wasm"))),
        ("last-location", include_bytes!(concat!(env!("OUT_DIR"), "/last-location.wasm"))),
        ("key-by", include_bytes!(concat!(env!("OUT_DIR"), "/key-by.wasm"))),
    ]
}

/// `last-location` once more, with `speedMps` in its output: what the demo swaps to.
fn demo_plugin_with_speed() -> &'static [u8] {
    include_bytes!(concat!(env!("OUT_DIR"), "/speed/last-location.wasm"))
}
