//! Connections to the admin server that mean no good.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::extra::{Topics, stage};
use crate::support::{Host, Setup, eventually};

const TOKEN: &str = "s3cret";

fn started() -> (Setup, Host) {
    let topics = Topics::new(1);
    let setup = Setup::new().workers(1).pipeline(topics.pipeline().stage(stage("echo", "")));
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    host.wait_until_ready();
    (setup, host)
}

fn connect(host: &Host) -> TcpStream {
    let stream = TcpStream::connect(eventually("an admin server", || host.admin())).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream
}

/// The status of the answer to a request with these headers.
fn ask(host: &Host, line: &str, headers: &[&str]) -> String {
    let mut stream = connect(host);
    let headers = [headers, &["Connection: close", "Content-Length: 0"]].concat().join("\r\n");
    write!(stream, "{line} HTTP/1.1\r\n{headers}\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn connections_that_drip_leave_health_answered() {
    let (_setup, host) = started();
    let mut dripping: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect(&host);
            stream.write_all(b"POST /api/v1/plugins/echo HTTP/1.1\r\nHost: localhost\r\nX: ").expect("sent");
            stream
        })
        .collect();
    for _ in 0..20 {
        // Those that were closed come again.
        for stream in &mut dripping {
            if stream.write_all(b"x").is_err() {
                *stream = connect(&host);
            }
        }
        assert!(host.answers("/healthz"));
    }
    assert!(host.answers("/readyz"));
}

#[test]
fn other_names_and_foreign_pages_are_refused() {
    let (_setup, host) = started();
    let token = format!("Authorization: Bearer {TOKEN}");
    let get = |name: &str| ask(&host, "GET /metrics", &[&token, name]);
    assert_eq!(get("Host: localhost"), "200");
    assert_eq!(get("Host: evil.example"), "421");
    assert_eq!(ask(&host, "GET /healthz", &["Host: evil.example"]), "200", "health says nothing");
    let pause = |origin: &str| ask(&host, "POST /api/v1/pipelines/line/pause", &[&token, "Host: localhost:1", origin]);
    assert_eq!(pause("Origin: http://evil.example"), "403");
    assert_eq!(pause("Origin: null"), "403");
    assert_eq!(pause("Origin: http://localhost:1"), "200");
}
