//! The admin server.
//!
//! | route | answers |
//! |---|---|
//! | `GET /` | this list |
//! | `GET /healthz` | 200 while every worker goes round, else 503; open to all |
//! | `GET /readyz` | 200 while records can flow, else 503 and the reason; open to all |
//! | `GET /metrics` | OpenMetrics text |
//! | `GET /api/v1/status` | the host as a whole |
//! | `GET /api/v1/partitions` | its topic partitions |
//! | `GET /api/v1/plugins` | its plugins and their versions |
//! | `GET /api/v1/plugins/{plugin}` | one plugin, with the versions that are kept of it |
//! | `POST /api/v1/plugins/{plugin}` | deploys the component in the body; only where there is a token |
//! | `POST /api/v1/plugins/{plugin}/rollback` | brings an earlier version back; only where there is a token |
//! | `POST /api/v1/pipelines/{pipeline}/pause`, `/resume` | its partitions, or one, wait or go on; only where there is a token |
//! | `POST /api/v1/pipelines/{pipeline}/watermark` | its event time is set back; only where there is a token |
//! | `POST /api/v1/pipelines/{pipeline}/state/keep`, `/reset`, `/restore` | what becomes of state held as `state-mismatch`; only where there is a token |
//! | `GET /api/v1/state/{pipeline}/{stage}` | entries of a stage's state; only where there is a token |
//!
//! No other route changes anything or reads a request's body. All but health are
//! answered only where they are asked for by a name of this server.

mod documents;
mod flow;
mod names;
mod plugins;
mod settle;
mod state;

use std::future::{Future, Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::TcpListener;

use self::names::Names;
use super::listener::{self, Bounds};
use crate::config::Secret;
use crate::deploy::PluginStatus;
use crate::observe::{Health, Metrics, Views, views};
use crate::state::Copies;
pub use plugins::DeployAccess;
pub use state::StateAccess;

const PROBLEM: &str = "application/problem+json";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const ROUTES: &str = "\
Gregor's admin server.

GET /healthz            whether the workers live
GET /readyz             whether records can flow
GET /metrics            metrics, in OpenMetrics text
GET /api/v1/status      this host as a whole
GET /api/v1/partitions  its topic partitions
GET /api/v1/plugins     its plugins and their versions
GET /api/v1/plugins/{plugin}
                        one plugin, with the versions that are kept of it
POST /api/v1/plugins/{plugin}?approve=true
                        deploys the component in the body
POST /api/v1/plugins/{plugin}/rollback?to=DIGEST
                        brings an earlier version back; both only where there
                        is a token
POST /api/v1/pipelines/{pipeline}/pause?partition=N
POST /api/v1/pipelines/{pipeline}/resume?partition=N
                        its source's partitions, or one, wait or go on; only
                        where there is a token
POST /api/v1/pipelines/{pipeline}/watermark?to=MS&partition=N
                        sets its event time back, in milliseconds since the
                        Unix epoch; only where there is a token
POST /api/v1/pipelines/{pipeline}/state/keep?partition=N
POST /api/v1/pipelines/{pipeline}/state/reset?partition=N
POST /api/v1/pipelines/{pipeline}/state/restore?partition=N
                        what becomes of the state of its partitions, or one,
                        that are held as state-mismatch; only where there is a
                        token
GET /api/v1/state/{pipeline}/{stage}?key=K
GET /api/v1/state/{pipeline}/{stage}?prefix=P&after=K&limit=N
                        entries of a stage's state; only where there is a token
";

/// What the server shows: shared with the workers, who keep it up to date.
pub struct Status {
    pub app: String,
    pub host: String,
    /// Gregor's version.
    pub version: &'static str,
    pub started: SystemTime,
    pub views: Arc<Views>,
    pub copies: Copies,
    pub metrics: Metrics,
    pub health: Arc<Health>,
    /// By the plugin's name.
    pub plugins: Arc<dashmap::DashMap<String, PluginStatus>>,
    pub state: StateAccess,
    pub deploys: DeployAccess,
}

/// The admin server.
pub struct Admin;

impl Admin {
    /// Listens on `address`, whose port may be 0 for any free one. The future
    /// serves until it is dropped; it must run on a tokio runtime with I/O and
    /// time enabled. Where `token` is given, all routes but the two of health
    /// ask for it as a bearer token. Besides its address, the server is known by
    /// `names`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(
        address: SocketAddr,
        token: Option<Secret>,
        names: Vec<String>,
        status: Arc<Status>,
    ) -> io::Result<(SocketAddr, impl Future<Output = ()> + Send + 'static)> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        let router = router(token, Names::new(bound.ip(), names), status);
        Ok((bound, listener::serve(listener, router, Bounds::ADMIN)))
    }
}

fn router(token: Option<Secret>, names: Names, status: Arc<Status>) -> Router {
    let (state, plugin, rollback) = match token {
        Some(_) => (get(state::state), get(plugins::plugin).post(plugins::deploy), post(plugins::roll_back)),
        None => (get(state::closed), get(plugins::plugin).post(plugins::closed), post(plugins::closed)),
    };
    let (pause, resume, watermark) = match token {
        Some(_) => (post(flow::pause), post(flow::resume), post(flow::watermark)),
        None => (post(plugins::closed), post(plugins::closed), post(plugins::closed)),
    };
    let settle = match token {
        Some(_) => post(settle::settle),
        None => post(plugins::closed),
    };
    let guarded = Router::new()
        .route("/", get(ROUTES))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(host))
        .route("/api/v1/partitions", get(partitions))
        .route("/api/v1/plugins", get(plugins))
        .route("/api/v1/plugins/{plugin}", plugin.fallback(only("GET and POST")))
        .route("/api/v1/plugins/{plugin}/rollback", rollback.fallback(only("POST")))
        .route("/api/v1/pipelines/{pipeline}/pause", pause.fallback(only("POST")))
        .route("/api/v1/pipelines/{pipeline}/resume", resume.fallback(only("POST")))
        .route("/api/v1/pipelines/{pipeline}/watermark", watermark.fallback(only("POST")))
        .route("/api/v1/pipelines/{pipeline}/state/{decision}", settle.fallback(only("POST")))
        .route("/api/v1/state/{pipeline}/{stage}", state)
        .fallback(no_route)
        .method_not_allowed_fallback(only("GET"))
        .layer(from_fn_with_state(token.map(Arc::new), require_token))
        .layer(from_fn_with_state(Arc::new(names), names::require_name));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(only("GET"))
        .merge(guarded)
        .with_state(status)
}

async fn healthz(State(status): State<Arc<Status>>) -> (StatusCode, &'static str) {
    if status.health.alive(now_ms()) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "a worker has not answered for 60 s: restart this host\n")
    }
}

async fn readyz(State(status): State<Arc<Status>>) -> (StatusCode, String) {
    let Status { health, views, .. } = &*status;
    // What brokers refuse a partition says more than that it makes no progress.
    match health.ready(now_ms()).and_then(|()| views::served(views)).and_then(|()| health.progresses()) {
        Ok(()) => (StatusCode::OK, health.waiting().map_or("ready\n".to_owned(), |why| format!("ready\n{why}\n"))),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn metrics(State(status): State<Arc<Status>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPEN_METRICS)], status.metrics.encode(&status.views, &status.copies))
}

async fn host(State(status): State<Arc<Status>>) -> Response {
    Json(documents::Host::of(&status, SystemTime::now())).into_response()
}

async fn partitions(State(status): State<Arc<Status>>) -> impl IntoResponse {
    Json(documents::partitions(&status.views))
}

async fn plugins(State(status): State<Arc<Status>>) -> impl IntoResponse {
    Json(documents::plugins(&status.plugins))
}

async fn no_route() -> Response {
    refuse(StatusCode::NOT_FOUND, "there is no such route: GET / lists those there are")
}

/// Answers where a route has none for a method.
fn only(methods: &'static str) -> impl Fn() -> Ready<Response> + Clone {
    move || ready(refuse(StatusCode::METHOD_NOT_ALLOWED, &format!("this route answers {methods} only")))
}

/// The names in a route's path, decoded.
pub struct Named<T>(pub T);

impl<T, S> FromRequestParts<S> for Named<T>
where
    S: Send + Sync,
    Path<T>: FromRequestParts<S, Rejection = PathRejection>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Response> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Named(names)),
            Err(_) => Err(refuse(StatusCode::BAD_REQUEST, "the path names something in bytes that are no UTF-8 text")),
        }
    }
}

async fn require_token(
    State(token): State<Option<Arc<Secret>>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let given = headers.get(AUTHORIZATION).and_then(|header| header.as_bytes().split_first_chunk::<7>());
    let admitted = match (&token, given) {
        (None, _) => true,
        (Some(token), Some((scheme, given))) => {
            scheme.eq_ignore_ascii_case(b"Bearer ") && same(given, token.expose().as_bytes())
        }
        (Some(_), None) => false,
    };
    if admitted {
        return next.run(request).await;
    }
    let problem = "this route wants the admin token: send `Authorization: Bearer <host.admin-token>`";
    let mut refused = refuse(StatusCode::UNAUTHORIZED, problem);
    let challenge = axum::http::HeaderValue::from_static("Bearer realm=\"gregor\"");
    refused.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    refused
}

/// Compares in a time that depends on the lengths only, so that a token cannot
/// be found byte by byte.
fn same(given: &[u8], token: &[u8]) -> bool {
    let difference =
        given.iter().zip(token).fold(0, |difference, (one, other)| std::hint::black_box(difference | (one ^ other)));
    given.len() == token.len() && difference == 0
}

/// A problem document (RFC 9457); `error` is what the answer was before there was one.
fn refuse(status: StatusCode, problem: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let document = serde_json::json!({
        "title": title, "status": status.as_u16(), "detail": problem, "error": problem,
    });
    (status, [(CONTENT_TYPE, PROBLEM)], document.to_string()).into_response()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests;
