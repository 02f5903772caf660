//! JavaScript and TypeScript: esbuild makes one file of the sources, componentize-qjs
//! puts it and QuickJS into a component. Both come from the project's `node_modules`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::author::files::{self, Embedded};
use crate::author::{AuthorError, Project, contract, tool};
use crate::plugin::Digest;

const SUPPORT: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/support.rs"));
const NODE: &str = "install Node.js from https://nodejs.org, then run `npm install` in the project's folder";
/// Where a project may start, in this order.
const ENTRIES: [&str; 8] = [
    "src/plugin.ts",
    "src/index.ts",
    "plugin.ts",
    "index.ts",
    "src/plugin.js",
    "src/index.js",
    "plugin.js",
    "index.js",
];

pub fn build(project: &Project) -> Result<Vec<u8>, AuthorError> {
    let generated = project.generated()?;
    let (wit, bundle, out) = (generated.join("wit"), generated.join("bundle.js"), generated.join("component.wasm"));
    contract::lay_out(&wit)?;
    for (path, content) in SUPPORT.iter().filter(|(path, _)| path.starts_with("javascript/")) {
        files::write(&generated.join(path), content)?;
    }
    let entry = ENTRIES.iter().find(|entry| project.dir.join(entry).is_file()).ok_or_else(|| AuthorError::File {
        file: project.dir.clone(),
        problem: format!("has no source to start with: call it one of {}", ENTRIES.join(", ")),
    })?;

    let mut esbuild = Command::new(installed(project, "esbuild")?);
    esbuild.current_dir(&project.dir).arg(entry);
    esbuild.args(["--bundle", "--format=esm", "--platform=neutral", "--target=es2023", "--log-level=warning"]);
    esbuild.args(["--main-fields=module,main", "--external:gregor:*", "--external:wasi:*"]);
    esbuild.arg("--inject:.gregor/javascript/text-encoding.js");
    tool::run(esbuild.arg(format!("--outfile={}", bundle.display())), NODE)?;

    // QuickJS starts while the component is made, and the random numbers that it takes then
    // are in it: the same sources would give another digest each time.
    let program = installed(project, "componentize-qjs")?;
    let (source, of) = (made_of(project, &bundle, &program)?, generated.join("component.of"));
    if fs::read(&of).is_ok_and(|last| last == source.as_bytes()) && out.is_file() {
        return fs::read(&out).map_err(AuthorError::file(&out));
    }
    drop(fs::remove_file(&of));
    // Without --sync the component is made for asynchronous calls, which wit/v1 has none of.
    let mut qjs = Command::new(program);
    qjs.current_dir(&project.dir).arg("--sync").args(["--world", project.world.name()]);
    qjs.arg("--wit").arg(&wit).arg("--js").arg(&bundle);
    tool::run(qjs.arg("--output").arg(&out), NODE)?;
    files::write(&of, source.as_bytes())?;
    fs::read(&out).map_err(AuthorError::file(&out))
}

/// The digest of all that a component depends on: the sources in one file, the world, the
/// WIT and the version of the tool.
fn made_of(project: &Project, bundle: &Path, program: &Path) -> Result<String, AuthorError> {
    let bundle = fs::read(bundle).map_err(AuthorError::file(bundle))?;
    let package = program.with_file_name("../componentize-qjs/package.json");
    let package = fs::read(&package).map_err(AuthorError::file(&package))?;
    let mut all = Vec::new();
    let mut add = |part: &[u8]| {
        all.extend_from_slice(&part.len().to_le_bytes());
        all.extend_from_slice(part);
    };
    add(&bundle);
    add(&package);
    add(project.world.name().as_bytes());
    contract::content().for_each(add);
    Ok(Digest::of(&all).to_string())
}

/// A program of the project's packages; npm lays them in a folder above it where it is
/// part of a larger one.
fn installed(project: &Project, name: &str) -> Result<PathBuf, AuthorError> {
    let folders = project.dir.ancestors().map(|folder| folder.join("node_modules/.bin"));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file()).ok_or_else(|| AuthorError::Missing {
        missing: format!("the package {name}"),
        remedy: format!(
            "run `npm install` in {}; package.json names it among its devDependencies",
            project.dir.display()
        ),
    })
}
