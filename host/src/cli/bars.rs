//! Progress on a terminal, with log lines above it.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::host::Host;
use crate::observe::PartitionState;

/// How often bars are drawn anew.
const LOOK: Duration = Duration::from_millis(100);

/// Every bar of the process: who writes a line takes them away for a moment.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Standard error, for log lines.
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Shows, until `over` hangs up, how far a bounded run is, and what is left to
/// read of changelogs while state is restored. Draws nothing but on a terminal.
pub fn show(host: &Host, over: &Receiver<()>) {
    if !are_drawn() {
        // Returns when it hangs up.
        let _ = over.recv();
        return;
    }
    let run = host.bounds().map(|ends| bar("{bar:40} {human_pos}/{human_len} offsets, {per_sec}", ends.values().sum()));
    let mut restore: Option<ProgressBar> = None;
    while over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        if let Some(run) = &run {
            run.set_position(host.views().iter().map(|view| view.position.unsigned_abs()).sum());
        }
        let views = host.views().iter().filter(|view| view.state == PartitionState::Restoring);
        let restoring: Vec<i64> = views.map(|view| view.remaining.unwrap_or(0)).collect();
        if restoring.is_empty() {
            restore.take().iter().for_each(ProgressBar::finish_and_clear);
            continue;
        }
        let remaining = restoring.iter().sum::<i64>().max(0).unsigned_abs();
        let words = "restoring {msg} {bar:40} {human_pos}/{human_len} changelog records, {per_sec}";
        let bar = restore.get_or_insert_with(|| bar(words, 0));
        bar.set_message(format!("{} partitions", restoring.len()));
        // Further partitions may come meanwhile.
        let total = bar.length().unwrap_or(0).max(remaining);
        bar.set_length(total);
        bar.set_position(total - remaining);
        bar.tick();
    }
    run.iter().chain(&restore).for_each(ProgressBar::finish_and_clear);
}

/// Whether standard error is a terminal that can take a line back.
pub fn are_drawn() -> bool {
    io::stderr().is_terminal() && !super::log::is_dumb()
}

fn bar(words: &str, length: i64) -> ProgressBar {
    let style = ProgressStyle::with_template(words).unwrap_or_else(|_| ProgressStyle::default_bar());
    BARS.add(ProgressBar::new(length.max(0).unsigned_abs()).with_style(style))
}
