//! C: bindings of wit-bindgen, the author's compiler, then the component.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_bindgen_c::Opts;

use super::super::{AuthorError, Project, component, contract, files, tool};

const REMEDY: &str =
    "run `apt install clang lld wasi-libc libclang-rt-dev-wasm32`, or `pip install ziglang`, or set WASI_SDK_PATH";
/// Where Debian's wasi-libc lays its headers.
const DEBIAN: &str = "/usr/include/wasm32-wasi";

pub fn build(project: &Project) -> Result<Vec<u8>, AuthorError> {
    let generated = project.generated()?;
    let (bindings, core) = (generated.join("c"), generated.join("core.wasm"));
    let (mut resolve, world) = contract::resolve(project.world)?;
    let mut generated_files = wit_bindgen_core::Files::default();
    Opts { rename_world: Some("plugin".into()), ..Opts::default() }
        .build()
        .generate(&mut resolve, world, &mut generated_files)
        .map_err(|error| AuthorError::Component(format!("bindings: {error:#}")))?;
    for (path, content) in generated_files.iter() {
        files::write(&bindings.join(path), content)?;
    }

    let mut compiler = compiler(&project.dir)?;
    compiler.current_dir(&project.dir).args(["-mexec-model=reactor", "-O2", "-s", "-Wall", "-I"]).arg(&bindings);
    compiler.args(sources(&project.dir)?).arg(bindings.join("plugin.c"));
    compiler.arg(bindings.join("plugin_component_type.o"));
    tool::run(compiler.arg("-o").arg(&core), REMEDY)?;
    Ok(component::encode(&fs::read(&core).map_err(AuthorError::file(&core))?)?)
}

/// The first of the compilers that are there with WASI's C library.
fn compiler(dir: &Path) -> Result<Command, AuthorError> {
    if let Some(sdk) = env::var_os("WASI_SDK_PATH").map(PathBuf::from) {
        let mut clang = Command::new(sdk.join("bin/clang"));
        clang.arg("--target=wasm32-wasip1");
        return Ok(clang);
    }
    let clang = tool::find("clang", &[]).filter(|_| Path::new(DEBIAN).is_dir() && tool::find("wasm-ld", &[]).is_some());
    if let Some(clang) = clang {
        let mut clang = Command::new(clang);
        clang.args(["--target=wasm32-wasi", "--sysroot=/usr"]);
        return Ok(clang);
    }
    if let Some(zig) = tool::find("zig", &[]) {
        let mut zig = Command::new(zig);
        zig.args(["cc", "--target=wasm32-wasi"]);
        return Ok(zig);
    }
    for python in ["python3", "python"].into_iter().filter_map(|name| tool::find(name, &[dir.join(".venv/bin")])) {
        if tool::works(Command::new(&python).args(["-c", "import ziglang"])) {
            let mut zig = Command::new(python);
            zig.args(["-m", "ziglang", "cc", "--target=wasm32-wasi"]);
            return Ok(zig);
        }
    }
    Err(AuthorError::Missing { missing: "a C compiler for WebAssembly".into(), remedy: REMEDY.into() })
}

/// The C sources in the folder and in its `src`, but for tests: `test_*.c` and `*_test.c`.
fn sources(dir: &Path) -> Result<Vec<PathBuf>, AuthorError> {
    let mut sources = Vec::new();
    for folder in [dir.to_owned(), dir.join("src")].into_iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(&folder).map_err(AuthorError::file(&folder))? {
            let path = entry.map_err(AuthorError::file(&folder))?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let test = stem.starts_with("test_") || stem.ends_with("_test");
            if path.extension().is_some_and(|ending| ending == "c") && !test {
                sources.push(path);
            }
        }
    }
    sources.sort();
    Ok(sources)
}
