//! Local images under the names of the public ones; `xtask/container/README.md` lists them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::engine::{Engine, INSTALL, output};
use crate::cargo::ensure_toolchain;
use crate::{command, kafka};

const DEBIAN: &str = "debian:bookworm-slim";

/// Builds the stand-ins that are missing.
///
/// # Errors
/// When a package, the toolchain or a jar cannot be had, or a build fails.
pub fn build(engine: &Engine) -> Result<()> {
    eprintln!("\n== stand-ins for the public images");
    if !exists(engine, DEBIAN) {
        debian(engine)?;
    }
    for (image, name, stage) in [
        ("rust:1.95.0-bookworm", "rust", rust as fn(&Path) -> Result<()>),
        ("apache/kafka:4.3.1", "kafka", kafka),
        ("redis:7", "redis", |_| Ok(())),
    ] {
        if exists(engine, image) {
            continue;
        }
        eprintln!("Building {image}");
        let context = emptied(engine.folder()?.join("context"))?;
        stage(&context)?;
        let dockerfile = scaffold(&format!("{name}.Dockerfile"));
        let mut build = engine.build();
        build.args(["--quiet", "--tag", image, "--file"]).arg(dockerfile).arg(&context);
        command::run(&mut build, INSTALL)?;
        fs::remove_dir_all(&context)?;
    }
    Ok(())
}

fn exists(engine: &Engine, image: &str) -> bool {
    let found = engine.docker(["image", "inspect", image]).output();
    found.is_ok_and(|output| output.status.success())
}

fn scaffold(name: &str) -> PathBuf {
    crate::root().join("xtask/container").join(name)
}

fn emptied(folder: PathBuf) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn debian(engine: &Engine) -> Result<()> {
    eprintln!("Building {DEBIAN}");
    let system = emptied(engine.folder()?.join("bookworm"))?;
    let log = engine.folder()?.join("debootstrap.log");
    let out = fs::File::create(&log)?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "bookworm"]).arg(&system).arg(mirror()?);
    debootstrap.stdout(out.try_clone()?).stderr(out);
    command::run(&mut debootstrap, INSTALL).with_context(|| format!("{} tells more", log.display()))?;

    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&system).args(["-c", "."]).stdout(Stdio::piped());
    let mut tar = tar.spawn()?;
    let archive = tar.stdout.take().context("tar has no output")?;
    let mut import = engine.docker(["import", "-", DEBIAN]);
    import.stdin(archive).stdout(Stdio::null());
    command::run(&mut import, INSTALL)?;
    ensure!(tar.wait()?.success(), "tar failed on {}", system.display());
    fs::remove_dir_all(&system)?;
    Ok(())
}

/// The mirror this machine's own packages come from.
fn mirror() -> Result<String> {
    let lists = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
    lists
        .iter()
        .filter_map(|list| fs::read_to_string(list).ok())
        .find_map(|text| first_mirror(&text))
        .with_context(|| format!("neither {} names a Debian mirror", lists.join(" nor ")))
}

/// The first mirror in a list of either of apt's formats.
fn first_mirror(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        match words.next()? {
            "URIs:" => words.next(),
            "deb" => words.find(|word| word.contains("://")),
            _ => None,
        }
        .map(str::to_owned)
    })
}

/// The toolchain, the crates already downloaded, and whom this machine trusts.
fn rust(context: &Path) -> Result<()> {
    ensure_toolchain()?;
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(crate::root()))?;
    copy(Path::new(&sysroot), &context.join("toolchain"))?;
    // Its documentation is half of it.
    let _ = fs::remove_dir_all(context.join("toolchain/share"));
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let registry = home.context("there is no home folder")?.join("registry");
    fs::create_dir(context.join("registry"))?;
    for part in ["index", "cache"] {
        copy(&registry.join(part), &context.join("registry").join(part))?;
    }
    fs::copy("/etc/ssl/certs/ca-certificates.crt", context.join("ca-certificates.crt"))?;
    fs::copy(scaffold("rustup"), context.join("rustup"))?;
    Ok(())
}

fn kafka(context: &Path) -> Result<()> {
    copy(&kafka::fetch_jars()?, &context.join("libs"))?;
    for name in ["kafka-run", "kafka-tool"] {
        fs::copy(scaffold(name), context.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    command::run(Command::new("cp").arg("-R").arg(from).arg(to), INSTALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_both_formats() {
        let sources = "# first\nTypes: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\n";
        assert_eq!(first_mirror(sources).as_deref(), Some("http://mirror.test/debian"));
        let list = "deb [signed-by=/k] http://mirror.test/debian bookworm main\n";
        assert_eq!(first_mirror(list).as_deref(), Some("http://mirror.test/debian"));
        assert_eq!(first_mirror("# deb http://mirror.test/debian\n\n"), None);
    }
}
