//! Processes by their pid, and processes that end with this one.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::command;

/// How a process is ended.
#[derive(Clone, Copy)]
pub enum Signal {
    /// Asked to end: SIGTERM.
    Term,
    /// Ended at once: SIGKILL.
    Kill,
}

impl Signal {
    fn flag(self) -> &'static str {
        match self {
            Signal::Term => "-TERM",
            Signal::Kill => "-KILL",
        }
    }
}

/// `program`, with a pipe as standard input at whose end `signal` comes: when
/// the pipe is dropped, or this process ends in any way. The child's pid is
/// the program's. Ctrl-C does not reach it.
pub fn tied(program: &str, signal: Signal) -> Command {
    let mut shell = Command::new("sh");
    // The watcher stays behind; the program takes the shell's own place and pid.
    shell
        .arg("-c")
        .arg("exec 3<&0; (read -r _ <&3; kill \"$0\" $$) & exec \"$@\" 3<&- </dev/null")
        .args([signal.flag(), program])
        .stdin(Stdio::piped())
        .process_group(0);
    shell
}

/// Sends `signal` to `pid`.
///
/// # Errors
/// When there is no such process or it is another user's.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    // The shell's own `kill`: minimal systems have no other.
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill \"$1\" \"$2\"", "sh", signal.flag(), &pid.to_string()]);
    command::run(&mut shell, "a POSIX shell")
}

/// The command line of `pid`, its arguments separated by spaces; nothing
/// when the process has ended.
pub fn command_line(pid: u32) -> Option<String> {
    let line = if Path::new("/proc/self/cmdline").exists() {
        String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).ok()?).replace('\0', " ")
    } else {
        let ps = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
        String::from_utf8_lossy(&ps.ok()?.stdout).into_owned()
    };
    (!line.trim().is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_process_is_known_by_its_arguments_until_it_ends() -> Result<()> {
        let mut child =
            Command::new("sh").args(["-c", "read -r _", "a-name-of-its-own"]).stdin(Stdio::piped()).spawn()?;
        // Until the new process has become the shell, it shows this one's arguments.
        let mut line = command_line(child.id());
        for _ in 0..100 {
            if line.as_ref().is_some_and(|line| line.contains("a-name-of-its-own")) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            line = command_line(child.id());
        }
        assert!(line.is_some_and(|line| line.contains("sh -c read -r _ a-name-of-its-own")));

        signal(child.id(), Signal::Kill)?;
        child.wait()?;
        assert_eq!(command_line(child.id()), None);
        Ok(())
    }

    #[test]
    fn a_tied_process_ends_with_its_pipe() -> Result<()> {
        let mut child = tied("sleep", Signal::Kill).arg("60").spawn()?;
        assert_eq!(child.try_wait()?, None);
        let since = Instant::now();
        drop(child.stdin.take());
        assert!(!child.wait()?.success());
        assert!(since.elapsed() < Duration::from_secs(30));
        Ok(())
    }
}
