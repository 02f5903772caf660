//! `/api/v1/pipelines/{pipeline}/pause` and `/resume`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::{Status, refuse};
use crate::admin::listener::Peer;
use crate::deploy::{Flowing, Refusal, Request, Who};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    pub partition: Option<u32>,
}

type Asked = Result<Query<Which>, QueryRejection>;

pub async fn pause(
    status: State<Arc<Status>>,
    peer: ConnectInfo<Peer>,
    pipeline: Path<String>,
    asked: Asked,
) -> Response {
    flow(status, peer, pipeline, asked, true).await
}

pub async fn resume(
    status: State<Arc<Status>>,
    peer: ConnectInfo<Peer>,
    pipeline: Path<String>,
    asked: Asked,
) -> Response {
    flow(status, peer, pipeline, asked, false).await
}

/// Answers once every worker has done it.
async fn flow(
    State(status): State<Arc<Status>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(pipeline): Path<String>,
    asked: Asked,
    paused: bool,
) -> Response {
    let Ok(Query(Which { partition })) = asked else {
        return refuse(StatusCode::BAD_REQUEST, "this route takes `partition`, a number");
    };
    let _waiting = peer.keep_waiting();
    let (answer, answered) = oneshot::channel();
    status.deploys.request(Request::Flow { pipeline, partition, paused, who: Who::Api(peer.address), answer });
    match answered.await {
        Ok(Ok(Flowing { topic, partition, paused })) => {
            Json(json!({ "topic": *topic, "partition": partition, "paused": paused })).into_response()
        }
        Ok(Err(refusal @ (Refusal::NoPipeline(_) | Refusal::NoPartition(_)))) => {
            refuse(StatusCode::NOT_FOUND, &refusal.to_string())
        }
        Ok(Err(refusal)) => refuse(StatusCode::SERVICE_UNAVAILABLE, &refusal.to_string()),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "this host is ending"),
    }
}
