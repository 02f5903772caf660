//! Running other programs, with errors that say what to install.

use std::io::ErrorKind;
use std::process::{Command, ExitStatus};

use anyhow::{Error, Result, anyhow, bail};

/// Runs `command` to its end, its output streaming through.
///
/// # Errors
/// When the program cannot be started (`install` then tells what to install)
/// or ends with another exit code than 0.
pub fn run(command: &mut Command, install: &str) -> Result<()> {
    let status = status(command, install)?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Like [`run`], but any exit code is an answer.
///
/// # Errors
/// When the program cannot be started.
pub fn status(command: &mut Command, install: &str) -> Result<ExitStatus> {
    command.status().map_err(|error| not_started(command, install, error))
}

/// What a program that could not be started is answered with.
pub fn not_started(command: &Command, install: &str, error: std::io::Error) -> Error {
    let program = command.get_program().display();
    match error.kind() {
        ErrorKind::NotFound => anyhow!("`{program}` is not installed: {install}"),
        _ => anyhow!("`{program}` could not be started: {error}"),
    }
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_answered_with_what_to_install() {
        let error = run(&mut Command::new("no-such-program"), "install it from the attic");
        assert_eq!(
            error.map_err(|e| e.to_string()),
            Err("`no-such-program` is not installed: install it from the attic".to_owned())
        );
    }

    #[test]
    fn a_failing_program_is_named_with_its_arguments() {
        let error = run(Command::new("false").arg("--why"), "");
        assert_eq!(error.map_err(|e| e.to_string()), Err("`false --why` failed: exit status: 1".to_owned()));
    }
}
