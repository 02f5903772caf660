//! How each language's plugins become components, and how they are tested.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::bindings::{self, Bindings, WORLD};
use super::{Language, PLUGINS, component, sources, tools};
use crate::command;

/// Builds the plugins whose sources are in `stage`.
///
/// # Errors
/// When a tool is missing or fails.
pub fn plugins(language: Language, stage: &Path) -> Result<()> {
    let out = sources::components(language);
    fs::create_dir_all(&out)?;
    match language {
        Language::Go => bindings::bind(Bindings::Go, &stage.join("wit"))?,
        Language::C => bindings::bind(Bindings::C, &stage.join("wit"))?,
        _ => {}
    }
    for plugin in PLUGINS {
        let to = out.join(format!("{plugin}.wasm"));
        match language {
            Language::Javascript => javascript(stage, &stage.join(plugin).join("plugin.js"), &to)?,
            Language::Typescript => {
                let bundle = stage.join(plugin).join("plugin.bundle.js");
                bundled(stage, &stage.join(plugin).join("plugin.ts"), &bundle)?;
                javascript(stage, &bundle, &to)?;
            }
            Language::Python => python(stage, plugin, &to)?,
            Language::Go => {
                let mut module = fs::read(go(stage, plugin)?)?;
                bindings::embed(&mut module)?;
                fs::write(&to, component::encode(&module)?)?;
            }
            Language::C => fs::write(&to, component::encode(&fs::read(c(stage, plugin)?)?)?)?,
        }
    }
    Ok(())
}

/// Without what a component needs for asynchronous calls, which the host does not offer.
fn javascript(stage: &Path, script: &Path, to: &Path) -> Result<()> {
    let mut tool = Command::new(tools::npm()?.join("componentize-qjs"));
    tool.current_dir(stage).args(["--sync", "--world", WORLD, "--wit"]).arg(wit());
    tool.arg("--js").arg(script).arg("--module-root").arg(stage).arg("--output").arg(to);
    command::run(&mut tool, tools::NODE)
}

/// One script without types out of `source` and what it imports.
fn bundled(stage: &Path, source: &Path, to: &Path) -> Result<()> {
    let mut esbuild = Command::new(tools::npm()?.join("esbuild"));
    esbuild.current_dir(stage).arg(source).args(["--bundle", "--format=esm", "--log-level=warning"]);
    esbuild.args(["--platform=neutral", "--external:gregor:*", "--external:wasi:*", "--external:node:*"]);
    esbuild.arg(format!("--outfile={}", to.display()));
    command::run(&mut esbuild, tools::NODE)
}

fn python(stage: &Path, plugin: &str, to: &Path) -> Result<()> {
    let mut tool = Command::new(tools::pip()?.join("componentize-py"));
    tool.current_dir(stage).arg("--wit-path").arg(wit()).args(["--world", WORLD, "componentize", "app"]);
    for folder in [plugin, "location", "sdk"] {
        tool.args(["--python-path", folder]);
    }
    command::run(tool.arg("--output").arg(to), tools::PYTHON)
}

fn go(stage: &Path, plugin: &str) -> Result<PathBuf> {
    let core = stage.join(plugin).join("core.wasm");
    let mut go = Command::new("go");
    go.current_dir(stage).env("GOOS", "wasip1").env("GOARCH", "wasm");
    // The bindings use a function of Go's runtime that it does not offer by name.
    go.args(["build", "-buildmode=c-shared", "-ldflags=-s -w -checklinkname=0", "-o"]).arg(&core);
    command::run(go.arg(format!("./{plugin}")), tools::GO)?;
    Ok(core)
}

fn c(stage: &Path, plugin: &str) -> Result<PathBuf> {
    let core = stage.join(plugin).join("core.wasm");
    let mut zig = Command::new(tools::pip()?.join("python"));
    zig.current_dir(stage).args(["-m", "ziglang", "cc", "--target=wasm32-wasi", "-mexec-model=reactor"]);
    zig.args(["-std=c11", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-Iwit", "-Isdk", "-Ilocation", "-o"]).arg(&core);
    for folder in [plugin, "location", "sdk", "wit"] {
        zig.args(sources_of(&stage.join(folder))?);
    }
    command::run(zig.arg("wit/plugin_component_type.o"), tools::PYTHON)?;
    Ok(core)
}

/// The C files in `folder`, tests excepted.
fn sources_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|is| is == "c") && !file.ends_with("test.c"));
    files.sort();
    Ok(files)
}

fn wit() -> PathBuf {
    crate::root().join("wit/v1")
}

/// Runs the tests that stand beside the plugins, with the language's own tool for it.
///
/// # Errors
/// When a test fails or the tool is missing.
pub fn test(language: Language, stage: &Path) -> Result<()> {
    match language {
        Language::Javascript => command::run(Command::new("node").arg("--test").current_dir(stage), tools::NODE),
        Language::Typescript => {
            let mut tsc = Command::new(tools::npm()?.join("tsc"));
            command::run(tsc.current_dir(stage).args(["--project", "."]), tools::NODE)?;
            for folder in PLUGINS {
                let to = stage.join(folder).join("plugin.test.js");
                bundled(stage, &stage.join(folder).join("test.ts"), &to)?;
            }
            command::run(Command::new("node").arg("--test").current_dir(stage), tools::NODE)
        }
        Language::Python => {
            for folder in PLUGINS {
                let mut python = Command::new(tools::pip()?.join("python"));
                python.current_dir(stage.join(folder)).env("PYTHONPATH", "../location");
                command::run(python.args(["-m", "unittest", "--quiet"]), tools::PYTHON)?;
            }
            Ok(())
        }
        Language::Go => {
            // What does not call the host: elsewhere there is none to call.
            let mut go = Command::new("go");
            go.current_dir(stage).args(["test", "./location", "./patient-location", "./last-location/track"]);
            command::run(&mut go, tools::GO)
        }
        Language::C => {
            for (folder, own) in [("patient-location", &[][..]), ("last-location", &["last-location/track.c"])] {
                let program = stage.join(folder).join("test");
                let mut cc = Command::new("cc");
                cc.current_dir(stage).args(["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-Ilocation", "-o"]);
                cc.arg(&program).arg(format!("{folder}/test.c")).args(own);
                command::run(cc.args(sources_of(&stage.join("location"))?).arg("-lm"), tools::CC)?;
                command::run(&mut Command::new(&program), tools::CC)?;
            }
            Ok(())
        }
    }
}
