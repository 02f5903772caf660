//! `/api/v1/plugins/{plugin}`: what is kept of a plugin, deploys and rollbacks.
//! Whoever may deploy may see what records hold, so without a token nobody may.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use crossbeam_channel::Sender;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Named, Status, documents, refuse};
use crate::admin::listener::{Bounds, Peer};
use crate::deploy::{Answer, Flows, Outcome, Refusal, Request, Who};
use crate::plugin::Refused;

/// Whom to ask for a deploy, and for a pause.
pub struct DeployAccess {
    /// By plugin.
    requests: HashMap<String, Sender<Request>>,
    pub(super) flows: Arc<Flows>,
    /// Largest component taken, in bytes.
    max_size: u64,
    /// One is read into memory at a time.
    taken: AtomicBool,
}

impl DeployAccess {
    pub fn new(requests: HashMap<String, Sender<Request>>, flows: Arc<Flows>, max_size: u64) -> DeployAccess {
        DeployAccess { requests, flows, max_size, taken: AtomicBool::new(false) }
    }

    /// Hands a request about `plugin` to its deployer; one that nobody takes is
    /// dropped, and its answer with it.
    fn request(&self, plugin: &str, request: Request) {
        if let Some(deployer) = self.requests.get(plugin) {
            drop(deployer.send(request));
        }
    }

    fn take(&self) -> Option<Taken<'_>> {
        (!self.taken.swap(true, Ordering::Acquire)).then_some(Taken(&self.taken))
    }
}

struct Taken<'a>(&'a AtomicBool);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    #[serde(default)]
    approve: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    to: Option<String>,
}

pub async fn plugin(State(status): State<Arc<Status>>, Named(plugin): Named<String>) -> Response {
    match status.plugins.get(&plugin) {
        Some(plugin) => Json(documents::Plugin::from(plugin.value())).into_response(),
        None => unknown(&status),
    }
}

/// Answers once the version is in force or refused.
pub async fn deploy(
    State(status): State<Arc<Status>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Named(plugin): Named<String>,
    asked: Result<Query<Approval>, QueryRejection>,
    body: Body,
) -> Response {
    let Ok(Query(Approval { approve: approved })) = asked else {
        return refuse(StatusCode::BAD_REQUEST, "this route takes `approve`, true or false");
    };
    if !status.plugins.contains_key(&plugin) {
        return unknown(&status);
    }
    let _waiting = peer.keep_waiting();
    let Some(_taken) = status.deploys.take() else {
        return refuse(StatusCode::CONFLICT, "another version is being deployed: try again when that is done");
    };
    let bytes = match timeout(Bounds::BODY, read(body, status.deploys.max_size)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(())) | Err(_) => {
            return refuse(StatusCode::BAD_REQUEST, "the component did not come whole: send it again");
        }
    };
    let who = Who::Api(peer.address);
    let request = |plugin, answer| Request::Deploy { plugin, bytes, approved, who, answer };
    ask(&status, plugin, request).await
}

/// Answers once the version is in force or refused.
pub async fn roll_back(
    State(status): State<Arc<Status>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Named(plugin): Named<String>,
    asked: Result<Query<Target>, QueryRejection>,
) -> Response {
    let Ok(Query(Target { to })) = asked else {
        return refuse(StatusCode::BAD_REQUEST, "this route takes `to`, the beginning of a digest");
    };
    if !status.plugins.contains_key(&plugin) {
        return unknown(&status);
    }
    let who = Who::Api(peer.address);
    let _waiting = peer.keep_waiting();
    ask(&status, plugin, |plugin, answer| Request::RollBack { plugin, to, who, answer }).await
}

/// Answers where the host has no token.
pub async fn closed() -> Response {
    refuse(
        StatusCode::FORBIDDEN,
        "this host is changed only by those with a token, and this host has none: \
         set `host.admin-token`, best by GREGOR__HOST__ADMIN_TOKEN, and restart it",
    )
}

/// The body, or its refusal for its size, which is to be told like any other.
async fn read(body: Body, max_size: u64) -> Result<Result<Vec<u8>, Refusal>, ()> {
    let limit = usize::try_from(max_size).unwrap_or(usize::MAX);
    let announced = axum::body::HttpBody::size_hint(&body).lower();
    if announced > max_size {
        return Ok(Err(Refused::TooLarge { bytes: announced, limit: max_size }.into()));
    }
    match to_bytes(body, limit).await {
        Ok(bytes) => Ok(Ok(bytes.into())),
        Err(error) if error.to_string().contains("length limit") => {
            Ok(Err(Refused::TooLarge { bytes: max_size + 1, limit: max_size }.into()))
        }
        Err(_) => Err(()),
    }
}

async fn ask(status: &Status, plugin: String, request: impl FnOnce(String, Answer) -> Request) -> Response {
    let (answer, answered) = oneshot::channel();
    status.deploys.request(&plugin, request(plugin.clone(), answer));
    let (outcome, digest, pause) = match answered.await {
        Ok(Ok(Outcome::Activated { digest, pause })) => ("activated", digest, Some(pause.as_secs_f64())),
        Ok(Ok(Outcome::Unchanged(digest))) => ("unchanged", digest, None),
        Ok(Err(refusal)) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &refusal.to_string()),
        Err(_) => return refuse(StatusCode::SERVICE_UNAVAILABLE, "this host is ending"),
    };
    let document = json!({ "plugin": plugin, "outcome": outcome, "digest": digest, "pause_seconds": pause });
    Json(document).into_response()
}

fn unknown(status: &Status) -> Response {
    let mut known: Vec<String> = status.plugins.iter().map(|plugin| plugin.key().clone()).collect();
    known.sort_unstable();
    refuse(StatusCode::NOT_FOUND, &format!("no stage runs such a plugin: this host has {}", known.join(", ")))
}
