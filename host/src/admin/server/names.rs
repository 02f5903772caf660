//! The names under which this server is asked. A page from elsewhere whose name
//! was made to lead here (DNS rebinding) asks under its own name, and a page that
//! sends its visitor's browser here says where it is from.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::refuse;

/// Bytes of a foreign name that an answer repeats.
const SHOWN: usize = 100;

/// What this server is called.
pub struct Names {
    bound: IpAddr,
    /// `host.admin-hosts`.
    more: Vec<String>,
}

impl Names {
    pub fn new(bound: IpAddr, more: Vec<String>) -> Names {
        Names { bound: bound.to_canonical(), more }
    }

    /// Whether `host`, a name or an address without a port, is this server.
    fn admit(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        let by_address = literal.parse::<IpAddr>().is_ok_and(|address| {
            let address = address.to_canonical();
            // An address cannot be made to lead elsewhere, as a name can.
            address.is_loopback() || address == self.bound || self.bound.is_unspecified()
        });
        by_address || host == "localhost" || host.ends_with(".localhost") || self.is_named(literal)
    }

    /// Whether the configuration names it.
    fn is_named(&self, host: &str) -> bool {
        self.more.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// What is wrong with where a request is asked, or where it is from.
    fn refusal(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<(StatusCode, String)> {
        let Some(asked) = authority(uri, headers) else {
            let problem = "the request names no host: send one `Host` header with this server's name";
            return Some((StatusCode::BAD_REQUEST, problem.to_owned()));
        };
        if !self.admit(asked.host()) {
            let problem = format!(
                "this server is not called {}: ask it by its address, or add that name to `host.admin-hosts`",
                shown(asked.host())
            );
            return Some((StatusCode::MISDIRECTED_REQUEST, problem));
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD);
        let foreign = headers.get_all(ORIGIN).iter().find(|origin| !self.is_own(origin.to_str().ok(), &asked))?;
        changes.then(|| {
            let problem = format!(
                "a page of {} may change nothing here: open it from this server, or add its name to `host.admin-hosts`",
                shown(&String::from_utf8_lossy(foreign.as_bytes()))
            );
            (StatusCode::FORBIDDEN, problem)
        })
    }

    /// Whether a page is this server's own, or of a name that the configuration has.
    fn is_own(&self, origin: Option<&str>, asked: &Authority) -> bool {
        let page = origin.and_then(|origin| origin.parse::<Uri>().ok()?.into_parts().authority);
        page.is_some_and(|page| page == *asked || self.is_named(page.host()))
    }
}

/// The one host that a request names.
fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    let mut named = headers.get_all(HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return None };
    host.to_str().ok()?.parse().ok()
}

fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    format!("{cut:?}")
}

/// Refuses what is asked under another name, and what a foreign page would change.
pub async fn require_name(State(names): State<Arc<Names>>, request: Request, next: Next) -> Response {
    match names.refusal(request.method(), request.uri(), request.headers()) {
        None => next.run(request).await,
        Some((status, problem)) => refuse(status, &problem),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn status(bound: &str, method: Method, host: &str, origin: Option<&str>) -> u16 {
        let names = Names::new(bound.parse().unwrap(), vec!["gregor.example".to_owned()]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        names.refusal(&method, &"/metrics".parse().unwrap(), &headers).map_or(200, |(status, _)| status.as_u16())
    }

    #[test]
    fn only_names_of_this_server_are_answered() {
        let own =
            ["localhost", "localhost:9640", "LOCALHOST.", "a.localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:9640"];
        let named = ["gregor.example", "Gregor.Example:443"];
        for host in own.iter().chain(&named) {
            assert_eq!(status("127.0.0.1", Method::GET, host, None), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.7:9640", "gregor"] {
            assert_eq!(status("127.0.0.1", Method::GET, host, None), 421, "{host}");
        }
        assert_eq!(status("10.0.0.7", Method::GET, "10.0.0.7:9640", None), 200);
        assert_eq!(status("10.0.0.7", Method::GET, "10.0.0.8:9640", None), 421);
        assert_eq!(status("0.0.0.0", Method::GET, "10.0.0.8:9640", None), 200, "any of its addresses");
        assert_eq!(status("0.0.0.0", Method::GET, "evil.example", None), 421);
        assert_eq!(status("127.0.0.1", Method::GET, "a b", None), 400);
    }

    #[test]
    fn pages_from_elsewhere_change_nothing() {
        let post = |origin| status("127.0.0.1", Method::POST, "localhost:9640", Some(origin));
        for own in ["http://localhost:9640", "https://gregor.example", "http://gregor.example:8080"] {
            assert_eq!(post(own), 200, "{own}");
        }
        for foreign in ["http://localhost:3000", "http://127.0.0.1:9640", "https://evil.example", "null", ""] {
            assert_eq!(post(foreign), 403, "{foreign}");
        }
        assert_eq!(status("127.0.0.1", Method::POST, "localhost:9640", None), 200, "no browser");
        assert_eq!(status("127.0.0.1", Method::GET, "localhost:9640", Some("https://evil.example")), 200);
    }
}
