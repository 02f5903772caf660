//! Compiles components in a process apart: the compiler's memory is gone with
//! it, and a component made to take for ever or all memory takes down that
//! process and not the host.
//!
//! The child is the host's own binary. It has no path and no environment, so no
//! secret either: the component comes on its standard input, the code goes out
//! on its standard output, one line of error on its standard error. Before it
//! reads the component it gives up what else it could do: see `confinement`.

mod confinement;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use super::Refused;
use super::engine::Precompiler;
use crate::foreign::ForeignText;

/// The subcommand that the child runs.
pub const SUBCOMMAND: &str = "compile-plugin";
/// The child's exit code for a component that the compiler refuses.
pub const REFUSED: u8 = 4;
/// The child's exit code where it could not read the component or write the code.
pub const NOT_WRITTEN: u8 = 5;
/// Bytes of the child's last words that are read.
const LAST_WORDS: u64 = 4 << 10;
/// What a compilation beside records gives way with; see nice(2).
const NICENESS: i32 = 10;
const LOOK: Duration = Duration::from_millis(5);
/// What Rust's runtime, the kernel and wasmtime say when there is no memory left.
const OUT_OF_MEMORY: [&str; 3] = ["memory allocation of", "Cannot allocate memory", "out of memory"];

/// What one compilation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub time: Duration,
    /// Bytes of address space.
    pub memory: u64,
}

/// How components become machine code.
#[derive(Clone, Copy, Debug)]
pub struct Compiler {
    /// Whether this process is `gregor`, which knows the subcommand. Where it is
    /// not, as in a test, it compiles itself, unbounded.
    pub apart: bool,
    pub bounds: Bounds,
}

impl Compiler {
    /// Writes the code for `component` into the file `code`; with a lower priority than
    /// the host's own where it `gives_way`.
    ///
    /// # Errors
    /// What the compiler says of it, a bound that it passed, or what the host lacks.
    pub fn compile(
        &self,
        component: &[u8],
        code_id: u64,
        code: &mut File,
        folder: &Path,
        gives_way: bool,
    ) -> Result<(), Refused> {
        if !self.apart {
            let compiled = Precompiler::new(code_id).and_then(|compiler| compiler.compile(component));
            let compiled = compiled.map_err(|error| Refused::of(&error))?;
            return code.write_all(&compiled).map_err(Refused::not_compiled(folder));
        }
        let niceness = if gives_way { NICENESS } else { 0 };
        let mut child =
            self.spawn(component, code_id, code, folder, niceness).map_err(Refused::not_compiled(folder))?;
        let status = wait(&mut child, self.bounds.time).map_err(Refused::not_compiled(folder))?;
        let Some(status) = status else { return Err(Refused::CompileTimeout(self.bounds.time)) };
        let words = last_words(&mut child);
        self.judge(status, &words, folder)?;
        tell_of_gaps(&words);
        Ok(())
    }

    fn spawn(&self, component: &[u8], code_id: u64, code: &File, folder: &Path, niceness: i32) -> io::Result<Child> {
        let mut input = tempfile::tempfile_in(folder)?;
        input.write_all(component)?;
        input.rewind()?;
        let Bounds { time, memory } = self.bounds;
        // The child's CPU time ends it where the host ended before it did.
        Command::new(own_binary()?)
            .arg(SUBCOMMAND)
            .args([format!("{code_id}"), format!("{memory}"), format!("{}", time.as_secs() + 1), format!("{niceness}")])
            .env_clear()
            .current_dir("/")
            .stdin(input)
            .stdout(code.try_clone()?)
            .stderr(Stdio::piped())
            .spawn()
    }

    fn judge(&self, status: ExitStatus, words: &str, folder: &Path) -> Result<(), Refused> {
        if status.success() {
            return Ok(());
        }
        if OUT_OF_MEMORY.iter().any(|sign| words.contains(sign)) {
            return Err(Refused::CompileMemory(self.bounds.memory));
        }
        match status.code() {
            Some(code) if code == i32::from(REFUSED) => Err(Refused::Invalid(words.into())),
            Some(code) if code == i32::from(NOT_WRITTEN) => {
                Err(Refused::NotCompiled { folder: folder.to_owned(), problem: words.to_owned() })
            }
            _ => Err(Refused::Compiler(status.to_string())),
        }
    }
}

/// Why the child has no code to show.
#[derive(Debug)]
pub enum Unserved {
    /// What the compiler says of the component.
    Component(ForeignText),
    /// What kept the child from reading, writing or confining itself.
    Host(io::Error),
}

impl From<io::Error> for Unserved {
    fn from(error: io::Error) -> Unserved {
        Unserved::Host(error)
    }
}

/// The child's part: confines itself, then compiles. What this machine cannot keep
/// from it is told on standard error.
///
/// # Errors
/// [`Unserved`].
pub fn serve(code_id: u64, memory: u64, cpu_seconds: u64, niceness: i32) -> Result<(), Unserved> {
    confinement::close_inherited();
    // Looks at the processor, which the confinement may keep it from.
    let compiler = Precompiler::new(code_id).map_err(io::Error::other)?;
    let gaps = confinement::confine(memory, cpu_seconds, niceness)?;
    let mut component = Vec::new();
    io::stdin().read_to_end(&mut component)?;
    let code = compiler.compile(&component).map_err(|error| Unserved::Component(ForeignText::of_error(&error)))?;
    let mut out = io::stdout();
    out.write_all(&code)?;
    out.flush()?;
    if !gaps.is_empty() {
        // The code is written already, so a line that cannot be written costs nothing.
        let _ = writeln!(io::stderr(), "{}", gaps.join(", "));
    }
    Ok(())
}

/// Tells once what a child whose words these are could not give up.
fn tell_of_gaps(words: &str) {
    static TOLD: Once = Once::new();
    if !words.is_empty() {
        TOLD.call_once(|| tracing::warn!(missing = words, "this kernel does not confine the compiler completely"));
    }
}

/// Waits for the child; `None` where it was killed for taking too long.
fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

fn last_words(child: &mut Child) -> String {
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What cannot be read is missing from an error's text.
        let _ = stderr.take(LAST_WORDS).read_to_end(&mut words);
    }
    String::from_utf8_lossy(&words).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The binary that runs, also after its file was replaced by another version's.
fn own_binary() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const COMPILER: Compiler =
        Compiler { apart: true, bounds: Bounds { time: Duration::from_secs(7), memory: 1 << 30 } };

    #[test]
    fn the_end_of_the_child_is_told_by_its_cause() {
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        let signal = ExitStatus::from_raw;
        let told = |status, words: &str| {
            let judged = COMPILER.judge(status, words, Path::new("/data/compiled"));
            judged.map_err(|refused| refused.to_string())
        };
        assert_eq!(told(exit(0), ""), Ok(()));
        assert!(told(exit(4), "type mismatch").unwrap_err().ends_with("does not run: type mismatch"));
        assert!(told(signal(6), "memory allocation of 8 bytes failed").unwrap_err().contains("(1073741824 bytes)"));
        assert!(told(exit(4), "Cannot allocate memory (os error 12)").unwrap_err().contains("compile-memory"));
        assert!(told(signal(11), "").unwrap_err().contains("signal: 11"));
        assert!(told(exit(101), "panicked").unwrap_err().contains("exit status: 101"));
        let full = told(exit(5), "No space left on device (os error 28)").unwrap_err();
        assert!(full.contains("cannot be written to /data/compiled (No space left on device (os error 28))"), "{full}");
        assert!(!full.contains("damaged"), "{full}");
    }

    #[test]
    fn a_full_disk_is_no_fault_of_the_component() {
        let (full, component) = (Path::new("/dev/full"), crate::demo_plugins()[2].1);
        if !full.exists() {
            return;
        }
        let engine = crate::plugin::Engine::new(1, 64 << 20).unwrap();
        let mut code = File::options().write(true).open(full).unwrap();
        let here = Compiler { apart: false, ..COMPILER };
        let refused =
            here.compile(component, engine.code_id(), &mut code, Path::new("/data/compiled"), false).unwrap_err();
        assert!(refused.to_string().contains("/data/compiled (No space left on device"), "{refused}");
    }
}
