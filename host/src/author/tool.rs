//! Tools of the languages, run as their own users run them.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::AuthorError;

/// Runs `command` to its end; what it prints goes to standard error, so that standard
/// output is Gregor's own. `remedy` says how to get the tool where there is none.
///
/// # Errors
/// When it is missing or fails.
pub fn run(command: &mut Command, remedy: &str) -> Result<(), AuthorError> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .map_err(|error| not_started(command, remedy, &error))?;
    match status.success() {
        true => Ok(()),
        false => Err(AuthorError::Tool { tool: name(command), status: status.to_string() }),
    }
}

/// As [`run`], but with what it prints to standard output.
///
/// # Errors
/// When it is missing or fails.
pub fn output(command: &mut Command, remedy: &str) -> Result<Vec<u8>, AuthorError> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| not_started(command, remedy, &error))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(AuthorError::Tool { tool: name(command), status: output.status.to_string() }),
    }
}

/// Whether `command` can be started and succeeds, without a word.
pub fn works(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|it| it.success())
}

/// The program called `name` in the first of `folders` that has it, else on the path.
pub fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    folders.iter().chain(on_path.iter().flatten()).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let shown = [program].into_iter().chain(command.get_args().take(1)).map(OsStr::to_string_lossy);
    format!("`{}`", shown.collect::<Vec<_>>().join(" "))
}

fn not_started(command: &Command, remedy: &str, error: &io::Error) -> AuthorError {
    match error.kind() {
        ErrorKind::NotFound => {
            let missing = command.get_program().to_string_lossy().into_owned();
            AuthorError::Missing { missing, remedy: remedy.to_owned() }
        }
        _ => AuthorError::Tool { tool: name(command), status: error.to_string() },
    }
}
