//! Files of records through a pipeline, and what came out against what was expected.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::super::build::project_built;
use super::json::Json;
use super::pipeline::{self, Stages};
use super::records::{self, Step};
use super::stand::{Stand, Unfit};
use super::{DIFFERS, REFUSED, TestArgs, USAGE, line, refuse};
use crate::author::Project;
use crate::config::Config;
use crate::files::foreign::{self, ForeignError};

/// In place of a file's name: the records come by standard input.
const STANDARD_INPUT: &str = "-";
/// Longest file of records, or of what is expected of them, in bytes.
const MAX_SIZE: u64 = 1 << 30;
const NO_RECORDS: &str = "name a file of records with --records, or - for standard input";
const RECORDS: &str = ".records.jsonl";
const EXPECTED: &str = ".expected.jsonl";

/// A file of records, and the one for what is expected of it.
struct Case {
    records: PathBuf,
    expect: Option<PathBuf>,
}

/// # Errors
/// When a file cannot be read or written.
pub fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let named = match (args.plugins.is_empty(), &args.config) {
        (true, None) => vec![PathBuf::from(".")],
        _ => args.plugins.clone(),
    };
    let cases = match cases(args, &named)? {
        Ok(cases) => cases,
        Err(problem) => return Ok(refuse(USAGE, &problem)),
    };
    let mut components = Vec::new();
    for plugin in &named {
        components.push(match plugin.is_dir() {
            false => plugin.clone(),
            true => match Project::open(plugin).and_then(|project| project_built(&project)) {
                Ok(built) => built.file,
                Err(error) => return Ok(refuse(error.exit_code(), &error.to_string())),
            },
        });
    }
    let (config, pipeline) = match stages(args, &mut components)? {
        Ok(pipeline) => pipeline,
        Err(problem) => return Ok(refuse(USAGE, &problem)),
    };
    let mut differ = 0_usize;
    let mut told = Vec::new();
    for case in &cases {
        match through(args, case, config.clone(), &pipeline, &components) {
            Ok(Err(problem)) => return Ok(refuse(USAGE, &problem)),
            Ok(Ok((same, document))) => {
                differ += usize::from(!same);
                told.push(document);
            }
            Err(error) => match error.downcast_ref::<Unfit>() {
                Some(unfit) => return Ok(refuse(REFUSED, &unfit.to_string())),
                None => return Err(error),
            },
        }
    }
    if args.json {
        let mut document = Json::object();
        document.set("cases", Json::List(told));
        document.set("differ", differ);
        println!("{document:#}");
    }
    Ok(if differ == 0 { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

/// Those that are named, or the only project's own.
fn cases(args: &TestArgs, named: &[PathBuf]) -> anyhow::Result<Result<Vec<Case>, String>> {
    if let Some(records) = &args.records {
        return Ok(Ok(vec![Case { records: records.clone(), expect: args.expect.clone() }]));
    }
    let [project] = named else {
        return Ok(Err(NO_RECORDS.to_owned()));
    };
    if !project.is_dir() {
        return Ok(Err(NO_RECORDS.to_owned()));
    }
    let folder = project.join("cases");
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let records = entry?.path();
        if let Some(stem) = records.to_str().and_then(|path| path.strip_suffix(RECORDS)) {
            cases.push(Case { expect: Some(format!("{stem}{EXPECTED}").into()), records });
        }
    }
    cases.sort_by(|one, other| one.records.cmp(&other.records));
    Ok(match cases.is_empty() {
        true => {
            Err(format!("{} has no file NAME{RECORDS}: write one, or name another with --records", folder.display()))
        }
        false => Ok(cases),
    })
}

/// The configuration, and which of its pipelines; `components` become its stages'.
fn stages(args: &TestArgs, components: &mut Vec<PathBuf>) -> anyhow::Result<Result<(Config, String), String>> {
    match &args.config {
        Some(file) => pipeline::configured(file, args.pipeline.as_deref(), components),
        None => {
            let stages = Stages {
                settings: &args.settings,
                topics: &args.topics,
                max_out_of_orderness: args.max_out_of_orderness.as_deref(),
                idle_timeout: args.idle_timeout.as_deref(),
            };
            Ok(Ok((stages.written(components)?, pipeline::NAME.to_owned())))
        }
    }
}

/// Puts a case through, and tells how it went: whether it is as expected, and a document.
fn through(
    args: &TestArgs,
    case: &Case,
    config: Config,
    pipeline: &str,
    components: &[PathBuf],
) -> anyhow::Result<Result<(bool, Json), String>> {
    let (name, bytes) = match case.records == Path::new(STANDARD_INPUT) {
        true => ("standard input".to_owned(), foreign::standard_input(MAX_SIZE)),
        false => (case.records.display().to_string(), foreign::read(&case.records, MAX_SIZE)),
    };
    let hint = if matches!(bytes, Err(ForeignError::NotRegular(_))) { "; - reads standard input" } else { "" };
    let text = match decoded(bytes) {
        Ok(text) => text,
        Err(problem) => return Ok(Err(format!("{name} {problem}{hint}"))),
    };
    let steps = match records::parse(&text) {
        Ok(steps) => steps,
        Err(problem) => return Ok(Err(format!("{name}: {problem}"))),
    };
    let mut stand = Stand::new(config, pipeline, components, args.partitions)?;
    let mut lines = Vec::new();
    for step in &steps {
        lines.extend(stand.feed(step).with_context(|| name.clone())?);
    }
    let records = steps.iter().filter(|step| matches!(step, Step::Record(_))).count();
    let failed = lines.iter().filter(|line| line.get("failed").is_some()).count();
    let came_out = format!("{records} records, {} outputs, {failed} failed", lines.len() - failed);
    let document = |same: bool, difference: Option<&str>| {
        let mut document = Json::object();
        document.set("records", &*name);
        document.set("lines", Json::List(lines.clone()));
        document.set("failed", failed);
        document.set("same", same);
        document.set("difference", difference.map_or_else(Json::null, Json::from));
        document
    };
    let Some(expect) = case.expect.as_ref() else {
        if !args.json {
            print!("{}", line::print(&lines));
            complain!("{name}: {came_out}");
        }
        return Ok(Ok((true, document(true, None))));
    };
    if args.update {
        fs::write(expect, line::print(&lines)).with_context(|| format!("cannot write {}", expect.display()))?;
        if !args.json {
            println!("{name}: {came_out}; written to {}", expect.display());
        }
        return Ok(Ok((true, document(true, None))));
    }
    let there = match decoded(foreign::read(expect, MAX_SIZE)) {
        Ok(text) => text,
        Err(problem) => return Ok(Err(format!("{} {problem}; --update writes what comes out", expect.display()))),
    };
    let expected = match line::parse(&there) {
        Ok(expected) => expected,
        Err(problem) => return Ok(Err(format!("{}: {problem}", expect.display()))),
    };
    let difference = line::difference(&expected, &lines, args.tolerance);
    if !args.json {
        match &difference {
            None => println!("{name}: {came_out}, as expected"),
            Some(difference) => {
                println!("{name}: {came_out}; not as {} has it (- missing, + too much):", expect.display());
                print!("{difference}");
            }
        }
    }
    Ok(Ok((difference.is_none(), document(difference.is_none(), difference.as_deref()))))
}

/// What a file of lines has in it.
fn decoded(bytes: Result<Vec<u8>, ForeignError>) -> Result<String, String> {
    let bytes = bytes.map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        format!("is not UTF-8 at byte {}: write other bytes as valueBase64", error.utf8_error().valid_up_to())
    })
}
