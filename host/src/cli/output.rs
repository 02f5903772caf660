//! Standard output, which may be full or whose reader may be gone: a command then
//! ends as any Unix tool does, and what it holds is dropped on the way. Standard error
//! that takes nothing ends nothing: the exit code alone tells what there was to say.

use std::any::Any;
use std::fmt;
use std::io::{self, IsTerminal as _, StdoutLock, Write};
use std::process::ExitCode;

/// As shells report a program that SIGPIPE ended.
const READER_GONE: u8 = 141;
/// What the standard library's macros panic with.
const MACRO_FAILED: &str = "failed printing to std";

/// Standard output. A write that fails unwinds to [`ended`].
pub struct Stdout(StdoutLock<'static>);

pub fn stdout() -> Stdout {
    Stdout(io::stdout().lock())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        written(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        written(self.0.flush())
    }
}

impl Stdout {
    pub fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

/// As `eprintln!`, which panics where standard error is full or closed: in the
/// thread that ends the process it would keep the process from ending.
macro_rules! complain {
    ($($text:tt)*) => { $crate::cli::output::to_stderr(format_args!($($text)*)) };
}

/// See `complain!`.
pub fn to_stderr(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The outcome of a write to standard output, if it did not fail for good.
fn written<T>(outcome: io::Result<T>) -> io::Result<T> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => {
            std::panic::resume_unwind(Box::new(Unwritten(error)))
        }
        outcome => outcome,
    }
}

/// Why standard output took no more.
struct Unwritten(io::Error);

/// Runs a command to its end, or to that of its output.
pub fn ended(command: impl FnOnce() -> ExitCode + std::panic::UnwindSafe) -> ExitCode {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Told below, in a line of its own.
        if !panic.payload_as_str().is_some_and(|text| text.starts_with(MACRO_FAILED)) {
            tell(panic);
        }
    }));
    match std::panic::catch_unwind(command) {
        Ok(code) => code,
        Err(panic) => match failed_output(&*panic) {
            Some(problem) => unwritten(&problem),
            // Told where it happened.
            None => ExitCode::from(101),
        },
    }
}

/// What kept an output from being written, if that is what the panic is about.
fn failed_output(panic: &(dyn Any + Send)) -> Option<String> {
    if let Some(Unwritten(error)) = panic.downcast_ref() {
        return Some(error.to_string());
    }
    let text = panic.downcast_ref::<String>()?.strip_prefix(MACRO_FAILED)?;
    text.split_once(": ").map(|(_, problem)| problem.to_owned())
}

/// The end of a command whose output cannot be written: without a word where
/// nobody reads it, as `head` that has seen enough.
pub fn unwritten(problem: &str) -> ExitCode {
    if problem.contains("Broken pipe") {
        return ExitCode::from(READER_GONE);
    }
    complain!("error: the output cannot be written: {problem}");
    ExitCode::FAILURE
}
