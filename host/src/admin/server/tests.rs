use serde_json::{Value, json};

use crate::admin::fixture::Served;
use crate::deploy::Kept;
use crate::plugin::Digest;

struct Answer {
    status: u16,
    content_type: String,
    challenge: Option<String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn ask(method: &str, url: &str, authorization: Option<&str>) -> Answer {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let mut answer = config.new_agent().run(request.body(()).unwrap()).unwrap();
    let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Answer {
        status: answer.status().as_u16(),
        content_type: header("content-type").unwrap_or_default(),
        challenge: header("www-authenticate"),
        body: answer.body_mut().read_to_string().unwrap(),
    }
}

fn get(served: &Served, route: &str) -> Answer {
    ask("GET", &format!("{}{route}", served.url), None)
}

#[test]
fn healthz_follows_the_workers_beats() {
    let served = Served::start(None);
    assert_eq!(get(&served, "/healthz").status, 200);
    served.hang();
    let sick = get(&served, "/healthz");
    assert_eq!(sick.status, 503);
    assert!(sick.body.contains("restart this host"), "{}", sick.body);
}

#[test]
fn readyz_says_what_is_missing() {
    let served = Served::start(None);
    let early = get(&served, "/readyz");
    assert_eq!(early.status, 503);
    assert!(early.body.contains("worker 0 is not a member"), "{}", early.body);
    served.join();
    assert_eq!(get(&served, "/readyz").status, 200);
    served.status.health.brokers(1, false);
    let cut_off = get(&served, "/readyz");
    assert_eq!(cut_off.status, 503);
    assert!(cut_off.body.contains("bootstrap.servers"), "{}", cut_off.body);
}

#[test]
fn metrics_are_open_metrics_text() {
    let served = Served::start(None);
    served.status.metrics.consumed("locations", 7);
    let answer = get(&served, "/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(answer.body.contains("gregor_records_consumed_total{topic=\"locations\"} 7\n"), "{}", answer.body);
    assert!(answer.body.ends_with("# EOF\n"));
}

#[test]
fn status_sums_the_host_up() {
    let served = Served::start(None);
    let status = get(&served, "/api/v1/status").json();
    assert!(status["uptime_seconds"].as_u64().is_some_and(|seconds| (90..150).contains(&seconds)), "{status}");
    let mut timeless = status;
    timeless.as_object_mut().unwrap().remove("uptime_seconds");
    let expected = json!({
        "app": "patient-locations", "host": "ward-3", "version": "1.2.3", "workers": 2,
        "partitions": {"running": 1, "held": 1}, "lag": null,
        "standby": [{"pipeline": "locations", "stage": "last-location", "partition": 4, "remaining": 12}],
    });
    assert_eq!(timeless, expected);
}

#[test]
fn lag_is_summed_once_every_end_is_known() {
    let served = Served::start(None);
    served.status.views.iter_mut().for_each(|mut view| view.end = Some(view.position + 5));
    assert_eq!(get(&served, "/api/v1/status").json()["lag"], 10);
}

#[test]
fn partitions_are_listed_by_topic_and_number() {
    let served = Served::start(None);
    let listed = get(&served, "/api/v1/partitions").json();
    let numbers: Vec<_> = listed.as_array().unwrap().iter().map(|entry| entry["partition"].clone()).collect();
    assert_eq!(numbers, [2, 10]);
    let mut second = listed[1].clone();
    let stages = second.as_object_mut().unwrap().remove("stages").unwrap();
    let expected = json!({
        "topic": "locations", "partition": 10, "worker": 1, "state": "held", "failure": "trap", "awaits": null,
        "position": 7, "committed": null, "end": null, "open_transaction": null, "lag": null,
        "remaining": null,
    });
    assert_eq!(second, expected);
    assert_eq!(stages[0]["stage"], "last-location");
    assert_eq!(listed[0]["lag"], 42);
}

#[test]
fn a_state_has_one_name_in_documents_and_metrics() {
    let served = Served::start(None);
    for state in crate::observe::PartitionState::ALL {
        served.status.views.iter_mut().for_each(|mut view| view.state = state);
        let listed = get(&served, "/api/v1/partitions").json();
        assert_eq!(listed[0]["state"], state.name());
    }
}

#[test]
fn plugins_are_listed_by_name_with_their_last_refusal() {
    let served = Served::start(None);
    let mut other = served.status.plugins.get("last-location").unwrap().clone();
    other.plugin = "key-by".to_owned();
    other.refused = Some("no component".to_owned());
    served.status.plugins.insert(other.plugin.clone(), other);
    let listed = get(&served, "/api/v1/plugins").json();
    assert_eq!((&listed[0]["plugin"], &listed[0]["refused"]), (&json!("key-by"), &json!("no component")));
    let digest = "0123456789abcdef".repeat(4);
    let expected =
        json!({"plugin": "last-location", "digest": digest, "since": 1_800_000_000_000_u64, "refused": null});
    assert_eq!(listed[1], expected);
}

#[test]
fn every_route_of_the_first_page_is_there() {
    let served = Served::start(None);
    served.join();
    let page = get(&served, "/");
    let routes: Vec<_> = page.body.lines().filter_map(|line| line.strip_prefix("GET ")).collect();
    assert_eq!(routes.len(), 9, "{}", page.body);
    for route in routes.into_iter().filter(|route| !route.contains('{')) {
        let route = route.split_whitespace().next().unwrap();
        assert_eq!(get(&served, route).status, 200, "{route}");
    }
}

#[test]
fn what_is_not_there_is_refused_as_json() {
    let served = Served::start(None);
    let unknown = get(&served, "/api/v2/status");
    assert_eq!((unknown.status, unknown.content_type.as_str()), (404, "application/problem+json"));
    assert_eq!(unknown.json()["error"], "there is no such route: GET / lists those there are");
    for route in ["/api/v1/status", "/healthz"] {
        let posted = ask("POST", &format!("{}{route}", served.url), None);
        assert_eq!(posted.status, 405, "{route}");
        assert_eq!(posted.json()["error"], "this route answers GET only", "{route}");
    }
}

#[test]
fn a_method_or_a_name_that_cannot_be_is_a_problem_document() {
    let served = Served::start(Some("s3cret"));
    let ask = |method: &str, route: &str| ask(method, &format!("{}{route}", served.url), Some("Bearer s3cret"));
    for (method, route, status, detail) in [
        ("PUT", "/api/v1/plugins/last-location", 405, "this route answers GET and POST only"),
        ("DELETE", "/api/v1/plugins/last-location/rollback", 405, "this route answers POST only"),
        ("PATCH", "/healthz", 405, "this route answers GET only"),
        ("GET", "/api/v1/plugins/%ff", 400, "bytes that are no UTF-8 text"),
        ("POST", "/api/v1/plugins/%ff", 400, "bytes that are no UTF-8 text"),
        ("POST", "/api/v1/pipelines/%c3%28/pause", 400, "bytes that are no UTF-8 text"),
        ("GET", "/api/v1/state/locations/%ff?key=1", 400, "bytes that are no UTF-8 text"),
        ("GET", "/api/v1/plugins/h%C3%B6", 404, "no stage runs such a plugin"),
    ] {
        let told = ask(method, route);
        assert_eq!((told.status, told.content_type.as_str()), (status, "application/problem+json"), "{method} {route}");
        let problem = told.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|told| told.contains(detail)), "{method} {route}: {problem}");
    }
}

#[test]
fn a_token_guards_all_but_health() {
    let served = Served::start(Some("s3cret"));
    served.join();
    for open in ["/healthz", "/readyz"] {
        assert_eq!(get(&served, open).status, 200, "{open}");
    }
    for route in
        ["/", "/metrics", "/api/v1/status", "/api/v1/partitions", "/api/v1/plugins", "/api/v1/state/a/b", "/nowhere"]
    {
        let url = format!("{}{route}", served.url);
        let refused = ask("GET", &url, None);
        assert_eq!(refused.status, 401, "{route}");
        assert_eq!(refused.challenge.as_deref(), Some("Bearer realm=\"gregor\""), "{route}");
        assert!(refused.json()["error"].as_str().unwrap().contains("Authorization: Bearer"), "{route}");
        for wrong in
            ["Bearer s3cre", "Bearer s3cret2", "Bearer S3cret", "Bearer ", "Bearer", "Basic s3cret", "s3cret", ""]
        {
            assert_eq!(ask("GET", &url, Some(wrong)).status, 401, "{route} with `{wrong}`");
        }
        let admitted = ask("GET", &url, Some("Bearer s3cret")).status;
        let there = !["/nowhere", "/api/v1/state/a/b"].contains(&route);
        assert_eq!(admitted, if there { 200 } else { 404 }, "{route}");
    }
    assert_eq!(ask("GET", &format!("{}/metrics", served.url), Some("bearer s3cret")).status, 200);
}

#[test]
fn state_is_closed_to_all_where_there_is_no_token() {
    let served = Served::start(None);
    for route in ["/api/v1/state/locations/last-location?key=1", "/api/v1/state/no/stage", "/api/v1/state/a/b?x=1"] {
        let refused = get(&served, route);
        assert_eq!(refused.status, 403, "{route}");
        assert!(refused.json()["error"].as_str().unwrap().contains("`host.admin-token`"), "{}", refused.body);
    }
}

#[test]
fn a_question_about_state_that_makes_no_sense_is_told_what_does() {
    let served = Served::start(Some("s3cret"));
    let ask = |route: &str| {
        let answer = ask("GET", &format!("{}/api/v1/state/{route}", served.url), Some("Bearer s3cret"));
        (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(get(&served, "/api/v1/state/locations/last-location").status, 401);
    let (status, error) = ask("locations/other?key=1");
    assert_eq!(status, 404);
    assert!(error.contains("this host has locations/last-location"), "{error}");
    for (query, part) in [
        ("keys=1", "takes `key`"),
        ("limit=many", "takes `key`"),
        ("limit=0", "`limit` is"),
        ("limit=1001", "`limit` is"),
        ("key=1&prefix=", "`key` asks for one"),
    ] {
        let (status, error) = ask(&format!("locations/last-location?{query}"));
        assert_eq!(status, 400, "{query}");
        assert!(error.contains(part), "{query}: {error}");
    }
    let (status, error) = ask("locations/last-location?key=1&partition=3");
    assert_eq!(status, 404);
    assert!(error.contains("partition 3 is not on this host"), "{error}");
}

#[test]
fn a_plugin_is_shown_with_its_versions_newest_first() {
    let served = Served::start(None);
    let kept = |name: &str, since| Kept {
        digest: Digest::of(name.as_bytes()),
        bytes: 5,
        since,
        by: "folder".to_owned(),
        imports: ["gregor:plugin/cache".to_owned()].into(),
        rolled_back: false,
    };
    served.status.plugins.get_mut("last-location").unwrap().versions = vec![kept("a", 1), kept("b", 2)];
    let plugin = get(&served, "/api/v1/plugins/last-location").json();
    assert_eq!(plugin["plugin"], "last-location");
    let expected = json!({
        "digest": Digest::of(b"b").to_string(), "bytes": 5, "since": 2, "by": "folder",
        "imports": ["gregor:plugin/cache"], "rolled_back": false,
    });
    assert_eq!(plugin["versions"][0], expected);
    assert_eq!(plugin["versions"][1]["since"], 1);
    let unknown = get(&served, "/api/v1/plugins/other");
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["error"].as_str().unwrap().contains("this host has last-location"), "{}", unknown.body);
}

#[test]
fn plugins_are_changed_by_those_with_a_token_only() {
    let (open, guarded) = (Served::start(None), Served::start(Some("s3cret")));
    for route in ["/api/v1/plugins/last-location", "/api/v1/plugins/last-location/rollback"] {
        let refused = ask("POST", &format!("{}{route}", open.url), None);
        assert_eq!(refused.status, 403, "{route}");
        assert!(refused.json()["error"].as_str().unwrap().contains("`host.admin-token`"), "{}", refused.body);
        let url = format!("{}{route}", guarded.url);
        assert_eq!(ask("POST", &url, None).status, 401, "{route}");
        assert_eq!(ask("POST", &url, Some("Bearer wrong")).status, 401, "{route}");
        assert_eq!(ask("POST", &format!("{url}?aprove=true"), Some("Bearer s3cret")).status, 400, "{route}");
        // The fixture has nobody who deploys.
        assert_eq!(ask("POST", &url, Some("Bearer s3cret")).status, 503, "{route}");
    }
    let unknown = ask("POST", &format!("{}/api/v1/plugins/other", guarded.url), Some("Bearer s3cret"));
    assert_eq!(unknown.status, 404);
    let got = ask("GET", &format!("{}/api/v1/plugins/last-location/rollback", guarded.url), Some("Bearer s3cret"));
    assert_eq!((got.status, &got.json()["error"]), (405, &json!("this route answers POST only")));
}

#[test]
fn an_address_in_use_is_an_error() {
    let served = Served::start(None);
    let address = served.url.trim_start_matches("http://").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let second = runtime.block_on(crate::admin::Admin::bind(address, None, Vec::new(), served.status.clone()));
    assert_eq!(second.err().map(|error| error.kind()), Some(std::io::ErrorKind::AddrInUse));
}
