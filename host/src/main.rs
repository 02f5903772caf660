//! `gregor`: see `gregor --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gregor::cli::main()
}
