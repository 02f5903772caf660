//! Brokers that do not let a host in: what stands in the way is named.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support::{Broker, Guarded, Pipeline, Setup, Stage, until};

/// A broker with a listener for logins and one for TLS, and what clients need for both.
struct Ward {
    broker: Guarded,
    authority: String,
    topic: String,
}

impl Ward {
    fn new() -> Ward {
        let authority = authority();
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = certificate.signed_by(&key, &authority).expect("a certificate");
        let broker = Broker::start_guarded(&(key.serialize_pem() + &certificate.pem()), "gregor", "stranger", "s3cret");
        let topic = broker.kafka().topic(1);
        Ward { authority: authority.pem(), topic, broker }
    }

    /// A host of `echo` at one of the broker's addresses.
    fn host(&self, servers: &str, properties: &[(&str, &str)]) -> Setup {
        let setup = Setup::new().bootstrap(servers).host("start-timeout", "\"8s\"");
        let setup = setup.pipeline(Pipeline::new(&self.topic).stage(Stage::new("echo")));
        properties.iter().fold(setup, |setup, (property, value)| setup.kafka(property, value))
    }

    fn login<'a>(&self, user: &'a str, password: &'a str) -> [(&'a str, &'a str); 4] {
        [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", user),
            ("sasl.password", password),
        ]
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut authority = CertificateParams::new([]).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A certificate of the same name as its issuer passes for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority")
}

/// The one line with which a host refuses to start, for lack of brokers.
#[track_caller]
fn refused(setup: &Setup, parts: &[&str]) {
    let (code, log) = setup.run_refused();
    assert_eq!(code, Some(3), "{log}");
    let error = &log[log.find("error: ").unwrap_or_else(|| panic!("no error in {log}"))..];
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in parts {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
    assert!(!error.contains("check that it runs"), "{error}");
}

#[test]
fn what_keeps_a_host_from_its_brokers_is_named() {
    let ward = Ward::new();
    let (login, tls) = (ward.broker.login(), ward.broker.tls());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let setup = ward.host(&login, &ward.login("gregor", "wrong"));
            refused(&setup, &["refuse the login of this host", &login, "`sasl.password`"]);
        });
        scope.spawn(|| {
            let plain = ward.host(&login, &[]);
            refused(&plain, &["close the connection", "another `security.protocol` than plaintext", "sasl_plaintext"]);
        });
        scope.spawn(|| {
            let setup = ward.host(&login, &ward.login("stranger", "s3cret"));
            let command = format!("--allow-principal User:stranger --operation Read --topic {}", ward.topic);
            refused(&setup, &[&format!("has no right on source topic `{}`", ward.topic), "grant it Read", &command]);
        });
        scope.spawn(|| {
            let setup = ward.host(&tls, &[("security.protocol", "ssl"), ("ssl.ca.location", "ca.pem")]);
            fs::write(setup.path().join("ca.pem"), authority().pem()).expect("written");
            refused(&setup, &["is signed by no authority that this host trusts", &tls, "`ssl.ca.location`"]);
        });
        scope.spawn(|| {
            let other = tls.replace("localhost", "127.0.0.1");
            let setup = ward.host(&other, &[("security.protocol", "ssl"), ("ssl.ca.location", "ca.pem")]);
            fs::write(setup.path().join("ca.pem"), &ward.authority).expect("written");
            refused(&setup, &["is for another name", &other]);
        });
    });
    // With all of it right the host runs, the file found beside its configuration.
    let setup = ward.host(&tls, &[("security.protocol", "ssl"), ("ssl.ca.location", "ca.pem")]);
    fs::write(setup.path().join("ca.pem"), &ward.authority).expect("written");
    let mut host = setup.host("id", "\"one\"").start();
    assert_eq!(host.term(), Some(0));
}

#[test]
fn a_running_host_says_why_brokers_refuse_it() {
    let mut ward = Ward::new();
    let login = ward.broker.login();
    let setup = ward.host(&login, &ward.login("gregor", "s3cret"));
    let mut host = setup.start();
    ward.broker.change_password("s3cret", "changed");
    until("readiness says why", || {
        host.ask("/readyz").is_some_and(|(status, why)| {
            let told = why.starts_with("the brokers refuse the login of this host: check `sasl.mechanisms`");
            // Everybody may ask.
            assert!(!told || !why.contains(&login), "{why}");
            status == 503 && told
        })
    });
    assert!(host.answers("/healthz"));
    assert_eq!(host.log().matches(&format!("the brokers at {login} refuse the login of this host")).count(), 1);
    ward.broker.change_password("changed", "s3cret");
    host.wait_until_ready();
    assert_eq!(host.term(), Some(0));
}
