//! `/api/v1/plugins/{plugin}`: what is kept of a plugin, deploys and rollbacks.
//! Whoever may deploy may see what records hold, so without a token nobody may.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use crossbeam_channel::Sender;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard, oneshot};
use tokio::time::timeout;

use super::{Named, Status, documents, refuse};
use crate::admin::listener::{Bounds, Peer};
use crate::deploy::{Answer, Flows, Outcome, Refusal, Request};
use crate::observe::Who;
use crate::plugin::Refused;

/// When to ask again, in seconds, where uploads before this one take long.
const RETRY_AFTER: &str = "30";

/// Whom to ask for a deploy, and for a pause.
pub struct DeployAccess {
    /// By plugin.
    deployers: HashMap<String, Access>,
    pub(super) flows: Arc<Flows>,
    /// Largest component taken, in bytes.
    max_size: u64,
}

/// The way to the deployer of one plugin.
struct Access {
    requests: Sender<Request>,
    /// One component of a plugin is read into memory and deployed at a time, in
    /// the order in which they came.
    turn: Mutex<()>,
}

impl DeployAccess {
    pub fn new(requests: HashMap<String, Sender<Request>>, flows: Arc<Flows>, max_size: u64) -> DeployAccess {
        let access = |(plugin, requests)| (plugin, Access { requests, turn: Mutex::default() });
        DeployAccess { deployers: requests.into_iter().map(access).collect(), flows, max_size }
    }
}

impl Access {
    /// The turn of an upload, once those before it are done; none where they take
    /// longer than `patience`.
    async fn turn(&self, patience: Duration) -> Option<MutexGuard<'_, ()>> {
        timeout(patience, self.turn.lock()).await.ok()
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
    let Some(deployer) = status.deploys.deployers.get(&plugin) else { return ending() };
    let _waiting = peer.keep_waiting();
    let Some(_turn) = deployer.turn(Bounds::TURN).await else { return occupied() };
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
    let Some(deployer) = status.deploys.deployers.get(&plugin) else { return ending() };
    // Where the deployer has ended, the answer is dropped with the request.
    drop(deployer.requests.send(request(plugin.clone(), answer)));
    let (outcome, digest, pause) = match answered.await {
        Ok(Ok(Outcome::Activated { digest, pause })) => ("activated", digest, Some(pause.as_secs_f64())),
        Ok(Ok(Outcome::Unchanged(digest))) => ("unchanged", digest, None),
        Ok(Err(refusal)) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &refusal.to_string()),
        Err(_) => return ending(),
    };
    let document = json!({ "plugin": plugin, "outcome": outcome, "digest": digest, "pause_seconds": pause });
    Json(document).into_response()
}

fn ending() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "this host is ending")
}

/// Answers where an upload's turn did not come in time.
fn occupied() -> Response {
    let problem = "other versions of this plugin are still being deployed; this one was not read. \
                   Send it again when they are done: `gregor plugin history` shows what is in force";
    let mut refused = refuse(StatusCode::CONFLICT, problem);
    refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    refused
}

fn unknown(status: &Status) -> Response {
    let mut known: Vec<String> = status.plugins.iter().map(|plugin| plugin.key().clone()).collect();
    known.sort_unstable();
    refuse(StatusCode::NOT_FOUND, &format!("no stage runs such a plugin: this host has {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_whose_turn_does_not_come_is_told_when_to_ask_again() {
        let access = Access { requests: crossbeam_channel::unbounded().0, turn: Mutex::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let first = access.turn(Duration::from_secs(60)).await.unwrap();
            assert!(access.turn(Duration::from_millis(10)).await.is_none());
            drop(first);
            assert!(access.turn(Duration::from_secs(60)).await.is_some());
        });
        let refused = occupied();
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        assert_eq!(refused.headers()[header::RETRY_AFTER], RETRY_AFTER);
    }
}
