//! `gregor`: see `gregor --help`.

use std::process::ExitCode;

use clap::Parser;

/// Also librdkafka's, which takes and gives back a dozen blocks for each record:
/// less than glibc's by a tenth of all CPU time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gregor::cli::run(gregor::cli::Cli::parse())
}
