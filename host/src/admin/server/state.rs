//! `/api/v1/state/{pipeline}/{stage}`: entries of a stage's state, as of the
//! last record that this host's tasks processed. They are health data: without
//! a token nobody gets them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::{IntoResponse, Response};
use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{Named, Status, now_ms, refuse};
use crate::state::{Found, Line, Lookup, MAX_ENTRIES, Wanted};
use crate::worker::Command;

/// Longest wait for the workers; they answer between two records.
const PATIENCE: Duration = Duration::from_secs(2);
const DEFAULT_LIMIT: usize = 100;

/// Whom to ask for entries.
#[derive(Clone, Default)]
pub struct StateAccess {
    /// Pipeline and stage, in the configuration's order.
    pub stages: Vec<(String, String)>,
    /// Commands to each worker.
    pub workers: Vec<Sender<Command>>,
}

/// What is asked for: `key`, or a page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    key: Option<String>,
    prefix: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
    partition: Option<i32>,
}

/// The answer.
#[derive(Serialize)]
struct Document<'a> {
    app: &'a str,
    /// The partitions of the source that answered: those this host has, without
    /// those whose state is being restored.
    partitions: Vec<i32>,
    /// By key, then partition.
    entries: Vec<Line>,
    /// The `after` of the next page; `null` at the end.
    next: Option<String>,
}

/// Answers where the host has a token.
pub async fn state(
    State(status): State<Arc<Status>>,
    Named((pipeline, stage)): Named<(String, String)>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Ok(Query(asked)) = asked else {
        let problem = "this route takes `key`, or `prefix`, `after` and `limit`, and with both `partition`";
        return refuse(StatusCode::BAD_REQUEST, problem);
    };
    if !status.state.stages.iter().any(|known| (&*known.0, &*known.1) == (&*pipeline, &*stage)) {
        let known: Vec<_> = status.state.stages.iter().map(|(pipeline, stage)| format!("{pipeline}/{stage}")).collect();
        let problem = format!("there is no such stage: this host has {}", known.join(", "));
        return refuse(StatusCode::NOT_FOUND, &problem);
    }
    let (partition, now) = (asked.partition, now_ms());
    let wanted = match asked.wanted() {
        Ok(wanted) => wanted,
        Err(problem) => return refuse(StatusCode::BAD_REQUEST, problem),
    };
    let lookup = Arc::new(Lookup { pipeline, stage, partition, wanted, now });
    let found = match ask(&status.state.workers, &lookup).await {
        Ok(found) => found,
        Err(problem) => return refuse(StatusCode::SERVICE_UNAVAILABLE, &problem),
    };
    if let Some(partition) = partition.filter(|_| found.is_empty()) {
        let problem = format!(
            "partition {partition} is not on this host, or its state is being restored: \
             GET /api/v1/partitions lists those that are"
        );
        return refuse(StatusCode::NOT_FOUND, &problem);
    }
    let looked = lookup.together(found);
    let entries = looked.entries.into_iter().map(Line::from).collect();
    let document = Document { app: &status.app, partitions: looked.partitions, entries, next: looked.next };
    let mut answer = Json(document).into_response();
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Answers where the host has none.
pub async fn closed() -> Response {
    refuse(
        StatusCode::FORBIDDEN,
        "state is shown only to those with a token, and this host has none: \
         set `host.admin-token`, best by GREGOR__HOST__ADMIN_TOKEN, and restart it",
    )
}

impl Asked {
    fn wanted(self) -> Result<Wanted, &'static str> {
        let Asked { key, prefix, after, limit, .. } = self;
        match key {
            Some(_) if prefix.is_some() || after.is_some() || limit.is_some() => {
                Err("`key` asks for one entry and goes with `partition` only")
            }
            Some(key) => Ok(Wanted::Key(key)),
            None => match limit.unwrap_or(DEFAULT_LIMIT) {
                limit @ 1..=MAX_ENTRIES => Ok(Wanted::Page { prefix: prefix.unwrap_or_default(), after, limit }),
                _ => Err("`limit` is 1 to 1000"),
            },
        }
    }
}

async fn ask(workers: &[Sender<Command>], lookup: &Arc<Lookup>) -> Result<Vec<Found>, String> {
    let deadline = Instant::now() + PATIENCE;
    let asked: Vec<_> = workers
        .iter()
        .map(|worker| {
            let (answer, answered) = oneshot::channel();
            // A worker that has ended drops the command, and its answer with it.
            drop(worker.send(Command::Look { lookup: lookup.clone(), answer }));
            answered
        })
        .collect();
    let mut found = Vec::new();
    for (worker, answered) in asked.into_iter().enumerate() {
        match timeout_at(deadline, answered).await {
            Ok(Ok(Ok(entries))) => found.extend(entries),
            Ok(Ok(Err(error))) => return Err(format!("the state cannot be read: {error}")),
            Ok(Err(_)) => return Err(format!("worker {worker} has ended: see this host's log")),
            Err(_) => return Err(format!("worker {worker} did not answer within 2 s: try again")),
        }
    }
    Ok(found)
}
