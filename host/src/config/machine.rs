//! What the machine says about itself, for defaults.

use std::fs;
use std::thread;

use super::kind::is_plain;

/// The machine's name, or `gregor` where it is unknown or no name for a host.
pub(super) fn name() -> String {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let names = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    let mut names = names.map(|name| name.trim().to_owned());
    names.find(|name| (1..=128).contains(&name.len()) && is_plain(name)).unwrap_or_else(|| "gregor".into())
}

/// The available cores, at most 4.
pub(super) fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(4)
}
