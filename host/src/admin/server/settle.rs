//! `/api/v1/pipelines/{pipeline}/state/{decision}`: what becomes of state that is
//! held as `state-mismatch`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::oneshot;

use super::flow::Which;
use super::{Named, Status, refuse};
use crate::admin::listener::Peer;
use crate::deploy::{Decided, Refusal};
use crate::observe::Who;
use crate::state::Decision;

/// Answers once every worker opens the state of those that it holds.
pub async fn settle(
    State(status): State<Arc<Status>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Named((pipeline, decision)): Named<(String, String)>,
    asked: Result<Query<Which>, QueryRejection>,
) -> Response {
    let Ok(Query(Which { partition })) = asked else {
        return refuse(StatusCode::BAD_REQUEST, "this route takes `partition`, a number");
    };
    let Some(decision) = Decision::named(&decision) else {
        return refuse(StatusCode::NOT_FOUND, "there is no such decision: keep, reset and restore are");
    };
    let _waiting = peer.keep_waiting();
    let (answer, answered) = oneshot::channel();
    let (flows, who) = (status.deploys.flows.clone(), Who::Api(peer.address));
    // A thread of its own, as workers answer between two records.
    let settle = move || drop(answer.send(flows.settle(&pipeline, partition, decision, who)));
    if let Err(error) = std::thread::Builder::new().name("settle".into()).spawn(settle) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("a thread could not be started: {error}"));
    }
    match answered.await {
        Ok(Ok(Decided { topic, partitions })) => {
            Json(json!({ "topic": *topic, "partitions": partitions, "decision": decision.name() })).into_response()
        }
        Ok(Err(refusal @ (Refusal::NoPipeline(_) | Refusal::NoPartition(_) | Refusal::NotHeld))) => {
            refuse(StatusCode::NOT_FOUND, &refusal.to_string())
        }
        Ok(Err(refusal)) => refuse(StatusCode::SERVICE_UNAVAILABLE, &refusal.to_string()),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "this host is ending"),
    }
}
