//! What the guests share.

pub mod script;

use gregor_sdk::{Input, Output};

/// The record's value as the text that commands a guest; empty for anything
/// that is not UTF-8 text.
pub fn command(record: &Input) -> &str {
    let value = record.value.as_deref().unwrap_or_default();
    std::str::from_utf8(value).unwrap_or_default()
}

/// The number after `name:`, if that is the command.
pub fn number(command: &str, name: &str) -> Option<u64> {
    argument(command, name)?.parse().ok()
}

/// What follows `name:`, if that is the command.
pub fn argument<'a>(command: &'a str, name: &str) -> Option<&'a str> {
    command.strip_prefix(name)?.strip_prefix(':')
}

/// The record as it came: key, value and headers.
pub fn echo(record: Input) -> Vec<Output> {
    vec![Output::new(record.key, record.value).with_headers(record.headers)]
}

/// One output under the record's key with `text` as value.
pub fn answer(record: Input, text: impl Into<String>) -> Vec<Output> {
    vec![Output::new(record.key, text.into().into_bytes()).with_headers(record.headers)]
}

/// A plugin whose `process` is what looks like a closure here.
#[macro_export]
macro_rules! guest {
    (|$record:pat_param| $body:expr) => {
        struct Guest;

        impl gregor_sdk::Plugin for Guest {
            fn process($record: gregor_sdk::Input) -> Result<Vec<gregor_sdk::Output>, gregor_sdk::Failure> {
                $body
            }
        }

        gregor_sdk::export!(Guest);
    };
}

/// A plugin that marks each record with a header `version`.
#[macro_export]
macro_rules! version {
    ($version:literal) => {
        $crate::guest!(|record| {
            let mut outputs = $crate::echo(record);
            for output in &mut outputs {
                output.headers.push(gregor_sdk::Header { name: "version".into(), value: Some($version.into()) });
            }
            Ok(outputs)
        });
    };
}

/// An echo that also exports `lifecycle`: without `init = "ok"` in its config,
/// `init` ends as the expression does.
#[macro_export]
macro_rules! init {
    ($otherwise:expr) => {
        $crate::guest!(|record| Ok($crate::echo(record)));

        #[cfg(target_arch = "wasm32")]
        mod lifecycle {
            // Only this export: its world and the plugin's are merged when the
            // component is made.
            wit_bindgen::generate!({
                path: "../../../wit/v1",
                inline: "
                    package gregor:plugin-test;
                    world with-lifecycle { export gregor:plugin/lifecycle@1.0.0; }
                ",
            });

            impl exports::gregor::plugin::lifecycle::Guest for super::Guest {
                fn init() -> Result<(), String> {
                    match gregor_sdk::config::get("init") {
                        Ok(Some(init)) if init == "ok" => Ok(()),
                        _ => $otherwise,
                    }
                }
            }

            export!(Guest with_types_in self);

            use super::Guest;
        }
    };
}
