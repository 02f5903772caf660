//! Servers that want a password, go away, are full, or keep no state.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::server::Server;
use super::*;

#[track_caller]
fn unavailable<T>(outcome: Result<T, StateError>) -> String {
    match outcome {
        Err(StateError::Unavailable(why)) => why,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("available"),
    }
}

#[test]
fn tls_and_a_password_let_in_who_has_both() {
    let dir = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
    fs::write(dir.path().join("cert.pem"), certificate.pem()).unwrap();
    let server = Server::start_in(
        dir,
        "--tls-port PORT --tls-cert-file DIR/cert.pem --tls-key-file DIR/key.pem --tls-ca-cert-file DIR/ca.pem \
         --tls-auth-clients no --requirepass s3cr&t",
    );

    let port = server.port;
    let try_with = |url: &str, ca: Option<&PathBuf>| {
        let settings = config::Redis { ca: ca.cloned(), ..settings(url) };
        Redis::new(&settings).unwrap().store("app", &id(0), 0)
    };
    let good = format!("rediss://:s3cr&t@127.0.0.1:{port}");
    let mut store = try_with(&good, Some(&ca)).unwrap();
    let changes = set(&mut store, &[("anna", "w1")]);
    commit(&mut store, 0, 10, &changes);

    let why = unavailable(try_with(&good, None));
    assert!(why.contains("certificate") && !why.contains("s3cr"), "{why}");
    let other_name = format!("rediss://:s3cr&t@localhost.:{port}");
    assert!(try_with(&other_name, Some(&ca)).is_err());
    for bad in [format!("rediss://:wr0ng@127.0.0.1:{port}"), format!("rediss://127.0.0.1:{port}")] {
        let why = unavailable(try_with(&bad, Some(&ca)));
        assert_eq!(
            why,
            format!("Redis at 127.0.0.1:{port} refuses the user or the password: correct them in redis.url")
        );
    }
    unavailable(try_with(&format!("redis://:s3cr&t@127.0.0.1:{port}"), None));
}

#[test]
fn certificates_that_cannot_be_read_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    for (url, ca, told) in [
        ("rediss://h", dir.path().join("none.pem"), "none.pem cannot be read: "),
        ("rediss://h", empty, "empty.pem holds no certificate in PEM"),
    ] {
        match Redis::new(&config::Redis { ca: Some(ca), ..settings(url) }) {
            Err(StateError::Refused(why)) => assert!(why.contains(told), "{why}"),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("accepted"),
        }
    }
}

#[test]
fn a_server_that_comes_back_is_gone_on_with() {
    let mut server = Server::start("");
    let mut app = App::at(&server.url());
    let mut store = app.open(0);
    let first = set(&mut store, &[("anna", "w1")]);
    prepare(&mut store, 0, 10, &first).unwrap();

    server.kill();
    let why = unavailable(store.finish());
    assert!(why.starts_with(&format!("Redis at 127.0.0.1:{} cannot be reached", server.port)), "{why}");
    let second = set(&mut store, &[("anna", "w2")]);
    unavailable(prepare(&mut store, 10, 20, &second));
    // The interval is given up, but not the one before, which Kafka has.
    store.put("anna", entry("w1")).unwrap();
    store.abort().unwrap();
    unavailable(store.ready());
    unavailable(app.redis.ping());
    unavailable(app.redis.store(&app.name, &id(0), 10));

    server.resume();
    let since = Instant::now();
    while let Err(error) = app.redis.ping() {
        // It reads its data first.
        assert!(since.elapsed() < Duration::from_secs(20), "{error}");
    }
    store.ready().unwrap();
    app.raw = Client::open(server.url()).unwrap().get_connection().unwrap();
    assert_eq!(app.read("anna"), Some(b"w1".to_vec()));
    let third = set(&mut store, &[("anna", "w3")]);
    prepare(&mut store, 10, 30, &third).unwrap();
    store.finish().unwrap();
    assert_eq!(entries(&mut app.open(30)), of([("anna", "w3")]));
}

#[test]
fn a_server_that_hangs_is_not_waited_for() {
    let server = Server::start("");
    let mut app = App::at(&server.url());
    app.redis = Redis::new(&hasty(&server)).unwrap();
    let mut store = app.open(0);
    let mut changes = set(&mut store, &[("anna", "w1")]);
    server.signal("STOP");
    let since = Instant::now();
    let why = unavailable(prepare(&mut store, 0, 10, &changes));
    assert!(why.ends_with("gives no answer within 200ms (redis.timeout)"), "{why}");
    unavailable(app.redis.ping());
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());

    server.signal("CONT");
    changes.extend(set(&mut store, &[("ben", "w2")]));
    prepare(&mut store, 0, 20, &changes).unwrap();
    store.finish().unwrap();
    assert_eq!(entries(&mut app.open(20)), of([("anna", "w1"), ("ben", "w2")]));
}

fn hasty(server: &Server) -> config::Redis {
    config::Redis { timeout: Duration::from_millis(200), ..settings(&server.url()) }
}

#[test]
fn a_full_server_refuses_to_prepare_and_nothing_else() {
    let server = Server::start("--maxmemory-policy noeviction");
    let mut app = App::at(&server.url());
    let mut limit =
        |bytes: u32| -> () { redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).query(&mut app.raw).unwrap() };
    let mut store = app.redis.store(&app.name, &id(0), 0).unwrap();
    let changes = set(&mut store, &[("anna", "w1"), ("ben", "w1")]);
    commit(&mut store, 0, 10, &changes);
    let changes = change(&mut store, [("anna".into(), Some(entry("w2"))), ("ben".into(), None)]);
    prepare(&mut store, 10, 20, &changes).unwrap();
    limit(1_000);
    // Kafka has it, so it goes through.
    store.finish().unwrap();
    let changes = set(&mut store, &[("anna", "w3")]);
    let error = prepare(&mut store, 20, 30, &changes).unwrap_err();
    assert_eq!(
        error,
        StateError::Full(format!("Redis at 127.0.0.1:{} has reached its maxmemory: raise it", server.port))
    );
    store.abort().unwrap();
    // And it can still be read.
    let mut store = app.redis.store(&app.name, &id(0), 20).unwrap();
    assert_eq!(entries(&mut store), of([("anna", "w2")]));

    limit(0);
    let changes = set(&mut store, &[("anna", "w3")]);
    commit(&mut store, 20, 30, &changes);
    assert_eq!(entries(&mut app.open(30)), of([("anna", "w3")]));
}

#[test]
fn servers_that_would_lose_state_are_refused() {
    let server = Server::start("--maxmemory 100mb --maxmemory-policy allkeys-lru");
    let app = App::at(&server.url());
    assert!(app.refused(0).contains("(maxmemory-policy allkeys-lru): set maxmemory-policy to noeviction"));
    let server = Server::start("--cluster-enabled yes");
    let app = App::at(&server.url());
    assert!(app.refused(0).contains("is a Redis Cluster"));
    assert!(matches!(app.redis.ping(), Err(StateError::Refused(_))));
}

#[test]
fn a_user_needs_no_more_than_is_documented() {
    let server = Server::start("");
    let mut app = App::at(&server.url());
    let rights = ["~APP:*", "resetchannels", "-@all", "+@read", "+@write", "+@scripting", "+@connection", "+info"];
    let documented = include_str!("../../../../../docs/configuration.md");
    assert!(documented.contains(&format!("ACL SETUSER gregor on >PASSWORD {}\n", rights.join(" "))));
    let rights = rights.map(|right| right.replace("APP", &app.name));
    let () = redis::cmd("ACL").arg(&["SETUSER", "gregor", "on", ">pw"]).arg(&rights).query(&mut app.raw).unwrap();
    app.redis = Redis::new(&settings(&format!("redis://gregor:pw@127.0.0.1:{}", server.port))).unwrap();
    app.redis.ping().unwrap();
    let mut store = app.open(0);
    let ends = Entry::durable(b"w".to_vec(), Some(now() + 60_000), Origin::Null);
    let changes = change(&mut store, [("anna".into(), Some(ends)), ("ben".into(), Some(entry("w")))]);
    commit(&mut store, 0, 10, &changes);
    let changes = change(&mut store, [("ben".into(), None)]);
    prepare(&mut store, 10, 20, &changes).unwrap();
    store.abort().unwrap();
    let () = app.raw.del(format!("{}:ben", app.store())).unwrap();
    assert_eq!(entries(&mut app.open(10)), of([("anna", "w")]));
}

#[test]
fn what_a_server_forbids_is_said() {
    let server = Server::start("");
    let mut app = App::at(&server.url());
    let user: () =
        redis::cmd("ACL").arg(&["SETUSER", "gregor", "on", ">pw", "~*", "+@all", "-hset"]).query(&mut app.raw).unwrap();
    let () = user;
    let limited = Redis::new(&settings(&format!("redis://gregor:pw@127.0.0.1:{}", server.port))).unwrap();
    let why = unavailable(limited.store("app", &id(0), 0));
    assert!(why.contains("lets this user not run a command"), "{why}");

    let replica = Server::start(&format!("--replicaof 127.0.0.1 {}", server.port));
    let why = unavailable(Redis::new(&settings(&replica.url())).unwrap().store("app", &id(0), 0));
    assert!(why.contains("name the primary"), "{why}");
}

#[test]
fn scripts_that_redis_forgot_are_loaded_again() {
    let server = Server::start("");
    let mut app = App::at(&server.url());
    let mut store = app.open(0);
    let changes = set(&mut store, &[("anna", "w1")]);
    prepare(&mut store, 0, 10, &changes).unwrap();
    let () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut app.raw).unwrap();
    store.finish().unwrap();
    assert_eq!(app.read("anna"), Some(b"w1".to_vec()));
}
