//! Files of records through a pipeline, and what came out against what was expected.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::build::project_built;
use super::records::{self, Step};
use super::stand::{Stand, Unfit};
use super::{DIFFERS, REFUSED, TestArgs, USAGE, line, refuse};
use crate::author::Project;
use crate::config::Config;
use crate::worker;

const PIPELINE: &str = "test";
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
    let (config, pipeline) = match pipeline(args, &mut components)? {
        Ok(pipeline) => pipeline,
        Err(problem) => return Ok(refuse(USAGE, &problem)),
    };
    let mut differ = 0;
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
        println!("{}", serde_json::to_string_pretty(&json!({ "cases": told, "differ": differ }))?);
    }
    Ok(if differ == 0 { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

/// Those that are named, or the only project's own.
fn cases(args: &TestArgs, named: &[PathBuf]) -> anyhow::Result<Result<Vec<Case>, String>> {
    if let Some(records) = &args.records {
        return Ok(Ok(vec![Case { records: records.clone(), expect: args.expect.clone() }]));
    }
    let [project] = named else {
        return Ok(Err("name a file of records with --records".to_owned()));
    };
    if !project.is_dir() {
        return Ok(Err("name a file of records with --records".to_owned()));
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
fn pipeline(args: &TestArgs, components: &mut Vec<PathBuf>) -> anyhow::Result<Result<(Config, String), String>> {
    let Some(file) = &args.config else {
        let config = written(args, components)?;
        return Ok(Ok((config, PIPELINE.to_owned())));
    };
    let config = crate::cli::load(file)?;
    let wanted = |name: &str| args.pipeline.as_deref().is_none_or(|wanted| wanted == name);
    let Some(pipeline) = config.pipelines.iter().find(|pipeline| wanted(&pipeline.name)) else {
        return Ok(Err(format!(
            "{} has no pipeline {:?}",
            file.display(),
            args.pipeline.as_deref().unwrap_or_default()
        )));
    };
    if components.is_empty() {
        let file = |plugin: &str| config.plugins.dir.join(format!("{plugin}.wasm"));
        components.extend(pipeline.stages.iter().map(|stage| file(&stage.plugin)));
    }
    if components.len() != pipeline.stages.len() {
        let (given, stages) = (components.len(), pipeline.stages.len());
        return Ok(Err(format!("{given} plugins are named, and pipeline {:?} has {stages} stages", pipeline.name)));
    }
    let name = pipeline.name.clone();
    Ok(Ok((config, name)))
}

/// A configuration with these components for stages, as an author would write it.
fn written(args: &TestArgs, components: &[PathBuf]) -> anyhow::Result<Config> {
    let text = |text: &str| toml::Value::from(text).to_string();
    let topics: Vec<String> = args.topics.iter().map(|topic| text(topic)).collect();
    let settings: Vec<String> =
        args.settings.iter().map(|(name, value)| format!("{} = {}", text(name), text(value))).collect();
    let mut document = format!(
        "app = \"gregor-test\"\n[kafka]\n\"bootstrap.servers\" = \"localhost:9092\"\n\
         [[pipeline]]\nname = {}\nsource = \"records\"\nsink = \"output\"\n",
        text(PIPELINE)
    );
    for (name, value) in [("max-out-of-orderness", &args.max_out_of_orderness), ("idle-timeout", &args.idle_timeout)] {
        if let Some(value) = value {
            document.push_str(&format!("{name} = {}\n", text(value)));
        }
    }
    for (index, component) in components.iter().enumerate() {
        let plugin = component.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
        let twice = components[..index].iter().any(|before| before.file_stem() == component.file_stem());
        let name = if twice { format!("{plugin}-{}", index + 1) } else { plugin.clone() };
        document.push_str(&format!(
            "[[pipeline.stage]]\nname = {}\nplugin = {}\nlog = \"trace\"\ntopics = [{}]\nconfig = {{ {} }}\n",
            text(&name),
            text(&plugin),
            topics.join(", "),
            settings.join(", "),
        ));
    }
    Ok(Config::parse(&document, "the stages", Path::new("."), [], &worker::check_property)?)
}

/// Puts a case through, and tells how it went: whether it is as expected, and a document.
fn through(
    args: &TestArgs,
    case: &Case,
    config: Config,
    pipeline: &str,
    components: &[PathBuf],
) -> anyhow::Result<Result<(bool, Value), String>> {
    let name = case.records.display();
    let text = match fs::read_to_string(&case.records) {
        Ok(text) => text,
        Err(error) => return Ok(Err(format!("{name} cannot be read: {error}"))),
    };
    let steps = match records::parse(&text) {
        Ok(steps) => steps,
        Err(problem) => return Ok(Err(format!("{name}: {problem}"))),
    };
    let mut stand = Stand::new(config, pipeline, components, args.partitions)?;
    let mut lines = Vec::new();
    for step in &steps {
        lines.extend(stand.feed(step).with_context(|| name.to_string())?);
    }
    let records = steps.iter().filter(|step| matches!(step, Step::Record(_))).count();
    let failed = lines.iter().filter(|line| line.get("failed").is_some()).count();
    let came_out = format!("{records} records, {} outputs, {failed} failed", lines.len() - failed);
    let document = |same: bool, difference: Option<&str>| {
        json!({
            "records": name.to_string(), "lines": lines, "failed": failed, "same": same, "difference": difference,
        })
    };
    let Some(expect) = case.expect.as_ref() else {
        if !args.json {
            print!("{}", line::print(&lines));
            eprintln!("{name}: {came_out}");
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
    let there = match fs::read_to_string(expect) {
        Ok(text) => text,
        Err(error) => {
            return Ok(Err(format!("{} cannot be read ({error}): --update writes what comes out", expect.display())));
        }
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
