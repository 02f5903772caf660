//! `/api/v1/pipelines/{pipeline}/state/{decision}`: what becomes of state that is
//! held as `state-mismatch`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::oneshot;

use super::flow::Which;
use super::{Status, refuse};
use crate::admin::listener::Peer;
use crate::deploy::{Decided, Refusal, Request, Who};
use crate::state::Decision;

/// Answers once every worker opens the state of those that it holds.
pub async fn settle(
    State(status): State<Arc<Status>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path((pipeline, decision)): Path<(String, String)>,
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
    status.deploys.request(Request::Settle { pipeline, partition, decision, who: Who::Api(peer.address), answer });
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
