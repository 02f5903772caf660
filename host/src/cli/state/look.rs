//! `gregor state get` and `gregor state scan`.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use comfy_table::{Table, presets};
use serde::Deserialize;
use serde_json::json;

use super::stopped::Stopped;
use super::{Chosen, From, NO_STATE, Refusal, StageArgs, admin_of, bar, refused};
use crate::cli::api::{Api, Failed, NOT_REACHABLE, printable};
use crate::cli::output;
use crate::clock::wall_ms;
use crate::state::{Line, Lookup, MAX_ENTRIES, StateStore, Wanted};

const NONE: u8 = 1;

#[derive(Args)]
pub struct GetArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// The entry's key, as the plugin set it
    key: String,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
pub struct ScanArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// Only keys that begin with this
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only keys after this one, by their bytes
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    /// How many entries at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
struct PlaceArgs {
    /// Only this partition of the source
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Where to look [default: the running host, else where a stopped one left its state]
    #[arg(long, value_enum)]
    from: Option<From>,
    /// Where the host's admin server listens [default: the configuration's `host.admin`]
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What was found, and where.
struct Seen {
    from: From,
    /// The partitions that were looked at.
    partitions: Vec<i32>,
    entries: Vec<Line>,
    next: Option<String>,
}

/// The admin API's answer.
#[derive(Deserialize)]
struct Document {
    app: String,
    partitions: Vec<i32>,
    entries: Vec<Line>,
    next: Option<String>,
}

/// Runs `gregor state get`.
///
/// # Errors
/// When the state cannot be read.
pub fn get(args: &GetArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.stage.choose()?;
    let seen = look(&chosen, &args.place, |_| Wanted::Key(args.key.clone()), 1)?;
    let mut out = output::stdout();
    if args.place.json {
        write_json(&mut out, &seen)?;
    } else {
        // Whatever a terminal would obey stays out of it.
        let terminal = out.is_terminal();
        for line in &seen.entries {
            if seen.entries.len() > 1 {
                write!(out, "partition {}: ", line.partition)?;
            }
            let shown = line.shown();
            writeln!(out, "{}", if terminal { printable(&shown) } else { shown })?;
        }
    }
    Ok(end(&seen, "no such entry"))
}

/// Runs `gregor state scan`.
///
/// # Errors
/// When the state cannot be read.
pub fn scan(args: &ScanArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.stage.choose()?;
    let page = |(after, limit): (Option<String>, usize)| Wanted::Page {
        prefix: args.prefix.clone(),
        after: after.or_else(|| args.after.clone()),
        limit,
    };
    let seen = look(&chosen, &args.place, page, args.limit as usize)?;
    let mut out = output::stdout();
    if args.place.json {
        write_json(&mut out, &seen)?;
    } else if !seen.entries.is_empty() {
        writeln!(out, "{}", table(&seen.entries))?;
    }
    if seen.next.is_some() && !args.place.json {
        complain!("there may be more: go on with --after and the last key, or raise --limit");
    }
    Ok(end(&seen, "no entries"))
}

fn end(seen: &Seen, nothing: &str) -> ExitCode {
    if !seen.entries.is_empty() {
        return ExitCode::SUCCESS;
    }
    let partitions: Vec<_> = seen.partitions.iter().map(i32::to_string).collect();
    let (from, hint) = match seen.from {
        From::Host => ("this host", "; other hosts may have others"),
        from => (from.name(), ""),
    };
    match partitions.is_empty() {
        true => complain!("{nothing}: {from} has no partition of it{hint}"),
        false => complain!("{nothing} in partitions {} of {from}{hint}", partitions.join(", ")),
    }
    ExitCode::from(NONE)
}

fn write_json(out: &mut impl Write, seen: &Seen) -> anyhow::Result<()> {
    let Seen { from, partitions, entries, next } = seen;
    let document = json!({ "from": from.name(), "partitions": partitions, "entries": entries, "next": next });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    Ok(writeln!(out)?)
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["partition", "key", "expires", "value"]);
    for line in lines {
        let time = |at| UNIX_EPOCH.checked_add(Duration::from_millis(at)).unwrap_or(UNIX_EPOCH);
        let expires = line.expires_at.map(|at| humantime::format_rfc3339_millis(time(at)).to_string());
        table.add_row([
            line.partition.to_string(),
            printable(&line.key),
            expires.unwrap_or_else(|| "-".to_owned()),
            printable(&line.shown()),
        ]);
    }
    table
}

/// Asks page by page until `limit` entries or the end; those of the last key are all there.
fn look(
    chosen: &Chosen,
    place: &PlaceArgs,
    wanted: impl Fn((Option<String>, usize)) -> Wanted,
    limit: usize,
) -> anyhow::Result<Seen> {
    let host = Host::of(chosen, place)?;
    let mut stores = None;
    let mut seen: Option<Seen> = None;
    loop {
        let (after, found) = seen.as_ref().map_or((None, 0), |seen| (seen.next.clone(), seen.entries.len()));
        let wanted = wanted((after, (limit - found.min(limit)).clamp(1, MAX_ENTRIES)));
        let page = match (&host, &mut stores) {
            (Some(host), None) => match host.ask(&wanted, place.partition) {
                Err(Failed::Answer { code: NOT_REACHABLE, .. }) if place.from.is_none() && place.admin.is_none() => {
                    stores = Some(open(chosen, place)?);
                    continue;
                }
                answer => answer.map_err(refused)?,
            },
            (_, Some(stores)) => stores.ask(chosen, wanted)?,
            (None, none) => {
                *none = Some(open(chosen, place)?);
                continue;
            }
        };
        let whole = match seen.take() {
            None => page,
            Some(mut before) => {
                before.entries.extend(page.entries);
                Seen { next: page.next, ..before }
            }
        };
        if whole.next.is_none() || whole.entries.len() >= limit {
            return Ok(whole);
        }
        seen = Some(whole);
    }
}

/// The host to ask.
struct Host<'a> {
    api: Api,
    chosen: &'a Chosen,
}

impl<'a> Host<'a> {
    /// `None` where the user names another place, or no address is known.
    fn of(chosen: &'a Chosen, place: &PlaceArgs) -> anyhow::Result<Option<Host<'a>>> {
        let known = matches!(place.from, None | Some(From::Host));
        match (place.from, if known { admin_of(&chosen.config, place.admin.as_deref())? } else { None }) {
            (_, Some(api)) => Ok(Some(Host { api, chosen })),
            (Some(From::Host), None) => {
                Err(Refusal::usage("`host.admin` names no address to ask: name one with --admin".to_owned()).into())
            }
            _ => Ok(None),
        }
    }

    fn ask(&self, wanted: &Wanted, partition: Option<i32>) -> Result<Seen, Failed> {
        let scope = &self.chosen.stage.scope;
        let mut query: Vec<(&str, String)> = Vec::new();
        match wanted {
            Wanted::Key(key) => query.push(("key", key.clone())),
            Wanted::Page { prefix, after, limit } => {
                query.push(("prefix", prefix.clone()));
                query.extend(after.clone().map(|after| ("after", after)));
                query.push(("limit", limit.to_string()));
            }
        }
        query.extend(partition.map(|partition| ("partition", partition.to_string())));
        let body = self.api.get(&format!("/api/v1/state/{}/{}", scope.pipeline, scope.stage), &query)?;
        let foreign = || format!("{} answers, but not as this version of gregor's admin server does", self.api.base());
        let document: Document = serde_json::from_str(&body).with_context(foreign)?;
        let app = &self.chosen.config.app;
        if document.app != *app {
            let problem = format!(
                "the host at {} runs app `{}`, and the configuration is of `{app}`",
                self.api.base(),
                document.app
            );
            return Err(Refusal { code: NO_STATE, problem }.into());
        }
        let Document { partitions, entries, next, .. } = document;
        Ok(Seen { from: From::Host, partitions, entries, next })
    }
}

/// A stopped host's stores.
struct Stores {
    from: From,
    opened: Vec<(i32, Box<dyn StateStore>)>,
}

fn open(chosen: &Chosen, place: &PlaceArgs) -> anyhow::Result<Stores> {
    let mut stopped = Stopped::find(chosen, place.from)?;
    let bar = bar();
    let mut opened = Vec::new();
    for partition in (0..stopped.partitions()).filter(|partition| place.partition.is_none_or(|one| one == *partition)) {
        if let Some(store) = stopped.open(partition, &bar)? {
            opened.push((partition, store));
        }
    }
    bar.finish_and_clear();
    for note in stopped.notes() {
        complain!("note: {note}");
    }
    Ok(Stores { from: stopped.place(), opened })
}

impl Stores {
    fn ask(&mut self, chosen: &Chosen, wanted: Wanted) -> anyhow::Result<Seen> {
        let scope = &chosen.stage.scope;
        let (pipeline, stage) = (scope.pipeline.clone(), scope.stage.clone());
        let lookup = Lookup { pipeline, stage, partition: None, wanted, now: wall_ms() };
        let found: Result<Vec<_>, _> =
            self.opened.iter_mut().map(|(partition, store)| lookup.ask(*partition, &mut **store, true)).collect();
        let looked = lookup.together(found?);
        let entries = looked.entries.into_iter().map(Line::from).collect();
        Ok(Seen { from: self.from, partitions: looked.partitions, entries, next: looked.next })
    }
}
