//! `/api/v1/pipelines/{pipeline}/pause`, `/resume` and `/watermark`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;

use super::{Named, Status, refuse};
use crate::admin::listener::Peer;
use crate::deploy::{Flowing, Refusal, SetBack};
use crate::observe::Who;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    pub partition: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Back {
    partition: Option<u32>,
    /// Milliseconds since the Unix epoch.
    to: u64,
}

type Asked = Result<Query<Which>, QueryRejection>;

pub async fn pause(
    status: State<Arc<Status>>,
    peer: ConnectInfo<Peer>,
    pipeline: Named<String>,
    asked: Asked,
) -> Response {
    flow(status, peer, pipeline, asked, true).await
}

pub async fn resume(
    status: State<Arc<Status>>,
    peer: ConnectInfo<Peer>,
    pipeline: Named<String>,
    asked: Asked,
) -> Response {
    flow(status, peer, pipeline, asked, false).await
}

/// Answers once every worker has done it.
async fn flow(
    State(status): State<Arc<Status>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Named(pipeline): Named<String>,
    asked: Asked,
    paused: bool,
) -> Response {
    let Ok(Query(Which { partition })) = asked else {
        return refuse(StatusCode::BAD_REQUEST, "this route takes `partition`, a number");
    };
    let _waiting = peer.keep_waiting();
    let (answer, answered) = oneshot::channel();
    let (flows, who) = (status.deploys.flows.clone(), Who::Api(peer.address));
    // A thread of its own, as workers answer between two records.
    let set = move || drop(answer.send(flows.set(&pipeline, partition, paused, who)));
    if let Err(error) = std::thread::Builder::new().name("flow".into()).spawn(set) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("a thread could not be started: {error}"));
    }
    match answered.await {
        Ok(Ok(Flowing { topic, partition, paused })) => {
            Json(json!({ "topic": *topic, "partition": partition, "paused": paused })).into_response()
        }
        Ok(Err(refusal)) => not_done(&refusal),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "this host is ending"),
    }
}

fn not_done(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::NoPipeline(_) | Refusal::NoPartition(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, &refusal.to_string())
}

/// Answers once every worker has set event time back, with the partitions whose event
/// time was past that.
pub async fn watermark(
    State(status): State<Arc<Status>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Named(pipeline): Named<String>,
    asked: Result<Query<Back>, QueryRejection>,
) -> Response {
    let Ok(Query(Back { partition, to })) = asked else {
        let problem = "this route takes `to`, milliseconds since the Unix epoch, and `partition`, a number";
        return refuse(StatusCode::BAD_REQUEST, problem);
    };
    let _waiting = peer.keep_waiting();
    let (answer, answered) = oneshot::channel();
    let (flows, who) = (status.deploys.flows.clone(), Who::Api(peer.address));
    let set = move || drop(answer.send(flows.set_watermark_back(&pipeline, partition, to, who)));
    if let Err(error) = std::thread::Builder::new().name("flow".into()).spawn(set) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("a thread could not be started: {error}"));
    }
    match answered.await {
        Ok(Ok(SetBack { topic, partitions })) => {
            let set =
                partitions.iter().map(|set| json!({ "partition": set.partition, "from": set.from, "done": set.done }));
            Json(json!({ "topic": *topic, "to": to, "partitions": set.collect::<Vec<_>>() })).into_response()
        }
        Ok(Err(refusal)) => not_done(&refusal),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "this host is ending"),
    }
}
