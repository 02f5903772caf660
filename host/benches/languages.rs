//! `cargo xtask bench --languages`: `last-location` in every language, without a
//! broker: what it costs to compile, to load, to start and to call.
//!
//! Each language is measured in processes of its own. Times are CPU time of the
//! process, memory is its resident set at its peak. The table goes to standard
//! output, to `target/bench/languages.json` and into `docs/authors/languages.md`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, anyhow, ensure};
use gregor::config::{Isolation, Limits};
use gregor::files::OwnedFolder;
use gregor::plan::{CacheLimits, Scope};
use gregor::plugin::compiler::Bounds;
use gregor::plugin::{CodeFolder, Compiler, Digest, Engine, Instance, Outline, Source, Version};
use gregor::record::Record;
use gregor::state::{Cache, MemoryStore};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::ClockId;
use serde::{Deserialize, Serialize};

const LANGUAGES: [&str; 6] = ["rust", "c", "go", "python", "javascript", "typescript"];
const PLUGIN: &str = "last-location";
const PATIENTS: u64 = 10_000;
const MIB: u64 = 1 << 20;
/// As a stage's default.
const MEMORY: u64 = 64 * MIB;
/// Further instances, for what each of them takes.
const INSTANCES: u32 = 8;
/// Calls before those that are measured, and of each further instance.
const WARM: u64 = 2_000;
const FIGURES: (&str, &str) = ("<!-- figures -->\n", "<!-- end of figures -->");

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["compile", language, dir] => told(&compile(language, dir)?),
        ["run", language, dir, calls] => told(&run(language, dir, calls.parse()?)?),
        ["--records", calls] => report(calls.parse()?),
        _ => report(100_000),
    }
}

#[derive(Serialize, Deserialize)]
struct Compiled {
    bytes: u64,
    code_bytes: u64,
    cpu_ms: f64,
}

#[derive(Serialize, Deserialize)]
struct Ran {
    load_ms: f64,
    start_ms: f64,
    call_us: f64,
    first_mib: f64,
    further_mib: f64,
}

#[derive(Serialize)]
struct Measured {
    language: &'static str,
    #[serde(flatten)]
    compiled: Compiled,
    #[serde(flatten)]
    ran: Ran,
}

fn report(calls: u64) -> Result<()> {
    let mut all = Vec::new();
    for language in LANGUAGES {
        let dir = tempfile::tempdir()?;
        let dir = dir.path().to_str().context("a path that is no text")?;
        let compiled = in_a_process(&["compile", language, dir])?;
        let ran = in_a_process(&["run", language, dir, &calls.to_string()])?;
        all.push(Measured { language, compiled, ran });
    }
    let table = table(&all);
    println!("{table}");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::create_dir_all(root.join("target/bench"))?;
    fs::write(root.join("target/bench/languages.json"), serde_json::to_vec_pretty(&all)?)?;
    let page = root.join("docs/authors/languages.md");
    let text = fs::read_to_string(&page)?;
    let (before, rest) = text.split_once(FIGURES.0).context("docs/authors/languages.md has no place for figures")?;
    let (_, after) = rest.split_once(FIGURES.1).context("docs/authors/languages.md has no end of its figures")?;
    fs::write(&page, format!("{before}{}{table}{}{after}", FIGURES.0, FIGURES.1))?;
    println!("also in target/bench/languages.json and docs/authors/languages.md");
    Ok(())
}

/// As Markdown has it.
fn table(all: &[Measured]) -> String {
    let mut text = String::from(
        "| language | component MB | compile s | code MB | load ms | start ms | call µs | memory MiB | a further instance MiB |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let mb = |bytes: u64| bytes as f64 / 1e6;
    for Measured { language, compiled, ran } in all {
        text.push_str(&format!(
            "| {language} | {:.2} | {:.2} | {:.2} | {:.1} | {:.2} | {:.1} | {:.0} | {:.1} |\n",
            mb(compiled.bytes),
            compiled.cpu_ms / 1e3,
            mb(compiled.code_bytes),
            ran.load_ms,
            ran.start_ms,
            ran.call_us,
            ran.first_mib,
            ran.further_mib,
        ));
    }
    text
}

/// Runs this program with `words`; what it tells on standard output.
fn in_a_process<T: for<'de> Deserialize<'de>>(words: &[&str]) -> Result<T> {
    let output = Command::new(env::current_exe()?).args(words).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed: {}", words.join(" "), output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn told(told: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(told)?);
    Ok(())
}

fn component(language: &str) -> Result<Vec<u8>> {
    if language == "rust" {
        let known = gregor::demo_plugins().into_iter().find(|(name, _)| *name == PLUGIN);
        return Ok(known.context("it comes with the host")?.1.to_vec());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/guests/{language}/{PLUGIN}.wasm"));
    fs::read(&file).with_context(|| format!("{} is missing: run `cargo xtask languages`", file.display()))
}

fn folder(dir: &str) -> Result<(Engine, CodeFolder)> {
    let engine = Engine::new(INSTANCES + 1, MEMORY).map_err(|error| anyhow!("{error:#}"))?;
    let bounds = Bounds { time: Duration::from_secs(600), memory: 8 << 30 };
    let data = OwnedFolder::open(Path::new(dir))?;
    let code = CodeFolder::open(&data, engine.clone(), Compiler { apart: false, bounds })?;
    Ok((engine, code))
}

fn compile(language: &str, dir: &str) -> Result<Compiled> {
    let bytes = component(language)?;
    let (_engine, code) = folder(dir)?;
    let before = cpu()?;
    code.component(Digest::of(&bytes), &bytes)?;
    let cpu_ms = millis(cpu()? - before);
    let code_bytes = fs::read_dir(dir)?.map(|entry| Ok(entry?.metadata()?.len())).sum::<Result<u64>>()?;
    Ok(Compiled { bytes: bytes.len() as u64, code_bytes, cpu_ms })
}

fn run(language: &str, dir: &str, calls: u64) -> Result<Ran> {
    let bytes = component(language)?;
    let (engine, code) = folder(dir)?;
    let (digest, outline) = (Digest::of(&bytes), Outline::read(&bytes, 64 * MIB)?);
    // What a host does not keep in memory either.
    drop(bytes);
    let base = peak_mib()?;
    let before = cpu()?;
    let (component, source) = code.component(digest, &[])?;
    let version = Arc::new(Version::new(&engine, PLUGIN, digest, &outline, &component)?);
    let load_ms = millis(cpu()? - before);
    ensure!(source == Source::Kept, "the code was not kept");

    let scope = scope();
    let start = || Instance::new(&engine, &version, &scope).map_err(|failure| anyhow!("{failure}"));
    let before = cpu()?;
    let mut first = Caller::new(start()?, &scope);
    let start_ms = millis(cpu()? - before);
    first.call(WARM)?;
    let before = cpu()?;
    first.call(calls)?;
    let call_us = millis(cpu()? - before) * 1e3 / calls as f64;
    let first_mib = peak_mib()? - base;

    let before = peak_mib()?;
    let mut further = Vec::new();
    for _ in 0..INSTANCES {
        let mut caller = Caller::new(start()?, &scope);
        caller.call(WARM)?;
        further.push(caller);
    }
    let further_mib = (peak_mib()? - before) / f64::from(INSTANCES);
    Ok(Ran { load_ms, start_ms, call_us, first_mib, further_mib })
}

fn scope() -> Arc<Scope> {
    Arc::new(Scope {
        pipeline: "locations".into(),
        stage: PLUGIN.into(),
        plugin: PLUGIN.into(),
        limits: Limits {
            timeout: Duration::from_secs(10),
            memory: MEMORY,
            outputs: 1_000,
            output_bytes: 8 * MIB,
            log_lines: 100,
            call_memory: 64 * MIB,
        },
        cache: CacheLimits { bytes: 64 * MIB, value: MIB, call: 64 * MIB },
        isolation: Isolation::Task,
        log: None,
        config: Default::default(),
    })
}

/// An instance and the records it is called with: keyed JSON of about 79 bytes.
struct Caller {
    instance: Instance,
    cache: Box<Cache>,
    offset: u64,
}

impl Caller {
    fn new(instance: Instance, scope: &Scope) -> Caller {
        let cache = Box::new(Cache::new(Box::new(MemoryStore::default()), scope.cache, false));
        Caller { instance, cache, offset: 0 }
    }

    fn call(&mut self, times: u64) -> Result<()> {
        for _ in 0..times {
            let patient = self.offset * 7_919 % PATIENTS;
            let key = format!("patient-{patient:05}");
            let (lat, lon) = (50.0 + (self.offset % 3_001) as f64 / 1e4, 4.0 + (self.offset % 2_003) as f64 / 1e4);
            let ts = 1_700_000_000_000 + self.offset;
            let value = format!(r#"{{"patientId":"{key}","lat":{lat},"lon":{lon},"ts":{ts}}}"#);
            let record = Record {
                topic: "locations",
                partition: 0,
                offset: self.offset.cast_signed(),
                timestamp: ts.cast_signed(),
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
                headers: &[],
            };
            self.cache.begin(ts, record.key);
            let outputs =
                self.instance.process(&record, None, ts, &mut self.cache).map_err(|failure| anyhow!("{failure}"))?;
            self.cache.keep();
            ensure!(outputs.len() == 1, "{} outputs", outputs.len());
            self.offset += 1;
        }
        Ok(())
    }
}

fn cpu() -> Result<Duration> {
    Ok(Duration::from(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?))
}

fn millis(cpu: Duration) -> f64 {
    cpu.as_secs_f64() * 1e3
}

fn peak_mib() -> Result<f64> {
    let peak = getrusage(UsageWho::RUSAGE_SELF)?.max_rss() as f64;
    // In bytes on macOS, else in KiB.
    Ok(if cfg!(target_os = "macos") { peak / MIB as f64 } else { peak / 1024.0 })
}
