//! Log lines: [`info!`](crate::info) and its like. They are shown from the level
//! on that the stage's `log` names, and off by default. Never put a record's
//! content in one: it leaves the sandbox.

pub use crate::bindings::wasi::logging::logging::Level;
#[cfg(target_arch = "wasm32")]
pub use crate::bindings::wasi::logging::logging::log;
#[cfg(not(target_arch = "wasm32"))]
pub use crate::testing::imports::logging::log;

/// A log line of any [`Level`](crate::logging::Level), written as `format!` has it.
#[macro_export]
macro_rules! log {
    ($level:expr, $($text:tt)+) => {
        $crate::logging::log($level, ::std::module_path!(), &::std::format!($($text)+))
    };
}

/// A log line that only its author reads.
#[macro_export]
macro_rules! debug {
    ($($text:tt)+) => { $crate::log!($crate::logging::Level::Debug, $($text)+) };
}

/// A log line about what goes as it should.
#[macro_export]
macro_rules! info {
    ($($text:tt)+) => { $crate::log!($crate::logging::Level::Info, $($text)+) };
}

/// A log line about what someone should look at.
#[macro_export]
macro_rules! warn {
    ($($text:tt)+) => { $crate::log!($crate::logging::Level::Warn, $($text)+) };
}

/// A log line about what went wrong.
#[macro_export]
macro_rules! error {
    ($($text:tt)+) => { $crate::log!($crate::logging::Level::Error, $($text)+) };
}
