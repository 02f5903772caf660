//! What commands and hosts tell: true, readable, and no more than it may be.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use wasm_encoder::{Component, ComponentImportSection, ComponentTypeRef, Encode};

use crate::support::component::framed;
use crate::support::{Pipeline, Setup, Stage, kafka, plugin};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn gregor() -> Command {
    let mut gregor = Command::new(env!("CARGO_BIN_EXE_gregor"));
    for name in ["GREGOR_CONFIG", "GREGOR_LOG", "GREGOR_ADMIN_TOKEN", "NO_COLOR"] {
        gregor.env_remove(name);
    }
    gregor
}

/// `component`, which imports these interfaces too.
fn importing(component: &[u8], names: &[&str]) -> Vec<u8> {
    let mut imports = ComponentImportSection::new();
    for name in names {
        imports.import(*name, ComponentTypeRef::Instance(0));
    }
    let mut section = Component::new();
    section.section(&imports);
    [component, &section.finish()[8..]].concat()
}

/// `component` with one more core module in it.
fn holding(component: &[u8], module: &str) -> Vec<u8> {
    let module = wat::parse_str(module).expect("WebAssembly text");
    let mut section = vec![1];
    module.len().encode(&mut section);
    [component, &section, &module].concat()
}

/// What `gregor plugin check` says of a component, with its code.
fn checked(folder: &Path, component: &[u8], arguments: &[&str]) -> (Option<i32>, String) {
    let file = folder.join("echo.wasm");
    fs::write(&file, component).expect("the folder takes a file");
    let output = gregor().args(["plugin", "check"]).arg(&file).args(arguments).output().expect("the binary runs");
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_component_past_a_limit_is_told_the_limit_and_the_cure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let echo = plugin("echo");
    let tables = |count: usize, elements: usize| {
        framed(&(format!("(table {elements} funcref)").repeat(count) + "(func $misbehave)"))
    };
    let more = holding(&echo, "(module (memory 2000))");
    for (component, parts) in [
        (&more, &["it starts with 131072000 bytes of memory", "(67108864)", "`memory`", "--memory"][..]),
        (&tables(1, 20_001), &["it has a table of 20001 elements, and the limit is 20000"]),
        (&tables(5, 1), &["it has 5 tables, and the limit is 4"]),
        (&importing(&echo, &["wasi:cli/stdin@0.3.0"]), &["`wasi:cli/stdin@0.3.0`", "version 0.2", "wasm32-wasip2"]),
    ] {
        let (code, told) = checked(folder.path(), component, &[]);
        assert_eq!(code, Some(4), "{told}");
        assert!(parts.iter().all(|part| told.contains(part)), "not {parts:?}: {told}");
        assert!(!told.contains("damaged") && !told.contains("does not fit"), "{told}");
    }
    assert_eq!(checked(folder.path(), &tables(2, 20_000), &[]).0, Some(0));
    assert_eq!(checked(folder.path(), &more, &["--memory", "126MiB"]).0, Some(0));
    let (code, told) = checked(folder.path(), &more, &["--memory", "126"]);
    assert!(code == Some(2) && told.contains("126 has no unit"), "{told}");
}

#[test]
fn a_check_with_a_configuration_is_that_hosts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let more = holding(&plugin("echo"), "(module (memory 2000))");
    let check = |memory: &str, component: &[u8]| {
        let stage = Stage::new("echo").set("memory", &format!("{memory:?}"));
        let setup = Setup::new().bootstrap("127.0.0.1:1").pipeline(Pipeline::named("one", "in").stage(stage));
        let config = setup.write();
        checked(folder.path(), component, &["--config", config.to_str().expect("a plain path")])
    };
    assert_eq!(check("128MiB", &more).0, Some(0));
    let (code, told) = check("100MiB", &more);
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("more than `memory` of stage echo (104857600)"), "{told}");
}

#[test]
fn a_host_takes_initial_memory_up_to_its_stages() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let more = holding(&plugin("echo"), "(module (memory 2000))");
    let pipeline = |memory: &str| {
        let stage = Stage::new("echo").set("memory", memory);
        Setup::new().workers(1).plugin("echo", &more).pipeline(Pipeline::new(&source).sink(&sink).stage(stage))
    };
    let (code, log) = pipeline("\"1MiB\"").run_refused();
    assert_eq!(code, Some(4), "{log}");
    assert!(
        log.contains("it starts with 131072000 bytes of memory, more than `memory` of stage echo (1048576)"),
        "{log}"
    );
    pipeline("\"128MiB\"").start();
}

#[test]
fn no_name_in_a_component_forges_a_line() {
    let forged = "a:b/c\n2026-11-30T12:00:00Z  INFO gregor::deploy::deployer: a new version runs\u{1b}[2K\r";
    let offered = format!("wasi:cli/{forged}@0.2.0");
    let many: Vec<String> = (0..200_000).map(|nth| format!("a:b/c{nth}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for names in [&[forged][..], &[&offered], &many] {
        let component = importing(&plugin("echo"), names);
        let setup = Setup::new().plugin("echo", &component);
        let setup = setup.pipeline(Pipeline::new(&kafka().topic(1)).stage(Stage::new("echo")));
        let (code, log) = setup.run_refused();
        assert_eq!(code, Some(4), "{log}");
        let error = &log[log.find("error: ").expect("an error")..];
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert!(error.contains("it imports `") && error.len() < 4_096, "{} bytes: {error}", error.len());
        assert!(!error.trim_end().chars().any(char::is_control), "{error:?}");
        let audit = fs::read_to_string(setup.data("one").join("audit.log")).expect("an audit log");
        assert_eq!(audit.lines().count(), 1, "{audit}");
        assert!(audit.len() < 4_096 && !audit.trim_end().chars().any(char::is_control), "{audit}");
    }
}

#[test]
fn code_that_cannot_be_written_is_no_fault_of_the_plugin() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("echo.wasm");
    fs::write(&file, plugin("echo")).expect("written");
    let id = gregor::plugin::Engine::new(1, 64 << 20).expect("an engine").code_id().to_string();
    let output = gregor()
        .args(["compile-plugin", &id, "4294967296", "120", "0"])
        .stdin(File::open(&file).expect("the component"))
        .stdout(OpenOptions::new().write(true).open("/dev/full").expect("a full disk"))
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("the compiler runs");
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("No space left on device"), "{}", text(&output.stderr));
}

#[test]
fn a_log_filter_that_is_none_is_refused() {
    let run = |gregor: &mut Command| gregor.args(["config", "check", "--config", "no/such"]).output().expect("it runs");
    for bad in ["warning", "gregor", "info,kafka"] {
        for output in [run(gregor().args(["--log", bad])), run(gregor().env("GREGOR_LOG", bad))] {
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{told}");
            assert!(told.contains("is no level: write off, error, warn, info, debug or trace"), "{told}");
        }
    }
    // Past the log, to the configuration that is not there.
    for unset in ["", " "] {
        let told = text(&run(gregor().env("GREGOR_LOG", unset)).stderr);
        assert!(told.contains("no/such: there is no such file"), "{told}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unset = gregor().current_dir(folder.path()).args(["config", "check"]).env("GREGOR_CONFIG", "").output();
    let told = text(&unset.expect("it runs").stderr);
    assert!(told.contains("gregor.toml: there is no such file"), "{told}");
}

#[test]
fn a_terminal_that_wants_no_colours_gets_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("gregor.toml");
    // A log line at once, and the end: its one plugin is not there.
    let toml = "app = \"a\"\n[kafka]\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n[host]\nadmin = \"off\"\n\
                [[pipeline]]\nname = \"p\"\nsource = \"in\"\n[[pipeline.stage]]\nplugin = \"none\"\n";
    fs::write(&config, toml).expect("written");
    let shown = |variables: &[(&str, &str)]| {
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let mut gregor = gregor();
        gregor.args(["run", "--config"]).arg(&config).env("TERM", "xterm").envs(variables.iter().copied());
        let mut child =
            gregor.stdin(Stdio::null()).stdout(Stdio::null()).stderr(terminal.slave).spawn().expect("the binary runs");
        drop(gregor);
        let mut screen = Vec::new();
        let mut master = File::from(terminal.master);
        let mut bytes = [0; 4096];
        // Ends with an error once nobody has the other side.
        while let Ok(count @ 1..) = master.read(&mut bytes) {
            screen.extend_from_slice(&bytes[..count]);
        }
        child.wait().expect("its end");
        text(&screen)
    };
    let coloured = shown(&[]);
    assert!(coloured.contains("starting") && coloured.contains('\u{1b}'), "{coloured:?}");
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = shown(&[variable]);
        assert!(plain.contains("starting") && !plain.contains('\u{1b}'), "{plain:?}");
    }
    assert!(shown(&[("NO_COLOR", "")]).contains('\u{1b}'), "empty is unset");
}

/// Runs a command whose standard output is full, or closed before the first byte.
fn into(output: &str, arguments: &[&str]) -> Output {
    let mut gregor = gregor();
    gregor.args(arguments).stderr(Stdio::piped()).stdin(Stdio::null());
    match output {
        "full" => {
            gregor.stdout(OpenOptions::new().write(true).open("/dev/full").expect("a full disk"));
            gregor.spawn().and_then(std::process::Child::wait_with_output).expect("it runs")
        }
        _ => {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            gregor.stdout(writer);
            gregor.spawn().and_then(std::process::Child::wait_with_output).expect("it runs")
        }
    }
}

#[test]
fn output_that_cannot_be_written_ends_a_command_as_any_tool() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("echo.wasm");
    fs::write(&file, plugin("echo")).expect("written");
    let file = file.to_str().expect("a plain path");
    let setup = Setup::new().bootstrap("127.0.0.1:1").pipeline(Pipeline::named("one", "in").stage(Stage::new("echo")));
    let config = setup.write();
    let answers = Answers::start();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["config", "check", "--config", config.to_str().expect("a plain path")],
        &["plugin", "check", file],
        &["plugin", "check", "--json", file],
        &["status", "--json", "--admin", &answers.address],
        &["plugin", "list", "--json", "--admin", &answers.address],
    ] {
        let closed = into("closed", arguments);
        assert_eq!((closed.status.code(), text(&closed.stderr)), (Some(141), String::new()), "{arguments:?}");
        let full = into("full", arguments);
        let told = "error: the output cannot be written: No space left on device (os error 28)\n";
        assert_eq!((full.status.code(), text(&full.stderr).as_str()), (Some(1), told), "{arguments:?}");
    }
}

/// An admin server that answers `{}` to everything, and what it was asked.
struct Answers {
    address: String,
    asked: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Answers {
    fn start() -> Answers {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = std::sync::Arc::<std::sync::Mutex<String>>::default();
        let heard = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (mut stream, mut bytes) = (stream, [0; 4096]);
                let count = stream.read(&mut bytes).unwrap_or(0);
                heard.lock().expect("not poisoned").push_str(&text(&bytes[..count]));
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
            }
        });
        Answers { address, asked }
    }
}

#[test]
fn a_token_is_in_no_line_of_a_commands_log() {
    let answers = Answers::start();
    let token = "t0ken-of-the-ward-that-nobody-reads";
    let output = gregor()
        .args(["--log", "trace", "status", "--json", "--admin", &answers.address])
        .env("GREGOR_ADMIN_TOKEN", token)
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(answers.asked.lock().expect("not poisoned").contains(token), "the token was sent");
    let told = text(&output.stdout) + &text(&output.stderr);
    assert!(!told.contains("t0ken"), "{told}");
}

#[test]
fn a_token_that_is_no_text_is_told() {
    use std::os::unix::ffi::OsStrExt;
    let output = gregor()
        .args(["status", "--admin", "http://127.0.0.1:1"])
        .env("GREGOR_ADMIN_TOKEN", std::ffi::OsStr::from_bytes(b"t\xe9"))
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("GREGOR_ADMIN_TOKEN is not UTF-8 text"), "{}", text(&output.stderr));
}

#[test]
fn a_configuration_that_trusts_its_network_is_warned() {
    let setup = |insecure: &str| {
        Setup::new()
            .bootstrap("kafka.example:9092")
            .kafka("security.protocol", "sasl_plaintext")
            .host("insecure", insecure)
            .pipeline(Pipeline::named("one", "in").stage(Stage::new("echo")))
    };
    let check =
        |setup: &Setup| gregor().args(["config", "check", "--config"]).arg(setup.write()).output().expect("it runs");
    let refused = check(&setup("false"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("kafka.security.protocol: is sasl_plaintext"), "{}", text(&refused.stderr));
    let taken = check(&setup("true"));
    assert_eq!(taken.status.code(), Some(0), "{}", text(&taken.stderr));
    let warned = text(&taken.stderr);
    assert!(warned.starts_with("warning: ") && warned.contains("is sasl_plaintext"), "{warned}");
    assert_eq!(warned.lines().count(), 1, "{warned}");
}
