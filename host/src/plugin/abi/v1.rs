//! Bindings of `wit/v1`. Borrowed on the way in: a record's bytes are copied
//! once, into the guest's memory.

wasmtime::component::bindgen!({
    path: "../wit/v1",
    world: "plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { default: trappable },
});

/// What a version must export.
pub const PROCESSOR: &str = "gregor:plugin/processor";
/// What a version may export: `init`, which checks its configuration.
pub const LIFECYCLE: &str = "gregor:plugin/lifecycle@1.0.0";
/// What a version may export: `on-timer`, called when a timer is due.
pub const TIMER_PROCESSOR: &str = "gregor:plugin/timer-processor@1.0.0";
/// What a version may export: `migrate`, which takes over the state of the version before.
pub const MIGRATION: &str = "gregor:plugin/migration@1.0.0";
