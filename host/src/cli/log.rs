//! The log of a command: which lines, and how they look.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::bars;

#[derive(Clone, Copy, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Starts the log, with the lines that `filter` names.
///
/// # Errors
/// What is wrong with `filter`, and what to write.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let targets = targets(filter)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| bars::Lines)
        // It would tell on standard error that standard error takes nothing, and
        // end the thread when that fails as well: on a full disk, or a closed pipe.
        .log_internal_errors(false)
        .with_ansi(coloured());
    // For all of it, not for this layer: a line that follows one that is filtered by a layer may get lost.
    let shown = filter_fn(|line| is_shown(line.target(), *line.level()));
    let log = tracing_subscriber::registry().with(targets).with(shown);
    match format {
        LogFormat::Text => log.with(lines).init(),
        LogFormat::Json => log.with(lines.json()).init(),
    }
    Ok(())
}

/// A level, or levels by target. Not every word is a target, as tracing has it: of
/// `warning` it would show lines of a target of that name, and no other.
fn targets(filter: &str) -> Result<Targets, String> {
    for part in filter.split(',').map(str::trim) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(format!(
                "`{level}` is no level: write off, error, warn, info, debug or trace, \
                 or one for each target, as in info,librdkafka=debug"
            ));
        }
    }
    filter.parse().map_err(|error| format!("{error}: write a level, or target=level, with commas between them"))
}

/// Whether a line may be shown at all. Below `info`, other libraries print what they
/// send and receive: tokens, passwords, records.
fn is_shown(target: &str, level: Level) -> bool {
    level <= Level::INFO || ["gregor", "librdkafka"].iter().any(|ours| target.starts_with(ours))
}

/// Whether log lines have colours: on a terminal that shows them, unless the user
/// wants none (no-color.org).
fn coloured() -> bool {
    std::io::stderr().is_terminal() && !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|wanted| wanted.is_empty())
}

/// Whether the terminal can do no more than print line after line.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_and_nothing_else() {
        for good in ["warn", "INFO", "info,gregor=trace,librdkafka=trace", "off,gregor::guest=info", "info, a=off"] {
            assert!(targets(good).is_ok(), "{good}");
        }
        for bad in ["warning", "gregor", "info,librdkafka", "gregor=verbose", "info,", "gregor=", "="] {
            let told = targets(bad).map(drop).unwrap_err();
            assert!(told.contains("write off, error, warn, info, debug or trace"), "{bad}: {told}");
        }
    }

    #[test]
    fn other_libraries_are_silent_below_info() {
        for (target, level, shown) in [
            ("gregor::commit", Level::TRACE, true),
            ("librdkafka", Level::DEBUG, true),
            ("ureq_proto::util", Level::TRACE, false),
            ("ureq", Level::DEBUG, false),
            ("wasmtime", Level::WARN, true),
        ] {
            assert_eq!(is_shown(target, level), shown, "{target} {level}");
        }
    }
}
