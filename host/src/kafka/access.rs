//! Why brokers do not let this host in, or a principal at a topic. The client
//! library tells it in its callbacks alone: a question to brokers only fails for
//! want of a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::config::Config;
use crate::foreign::ForeignText;
use crate::kafka;
use crate::kafka::BrokerError;

/// Longest look for the reason, where the brokers give none, and the least.
const PATIENCE: Duration = Duration::from_secs(3);
const LEAST_PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at what the callbacks were told.
const LOOK: Duration = Duration::from_millis(250);

/// What stands between this host and its brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    kind: Kind,
    /// In the client library's words.
    reason: ForeignText,
}

/// The gravest last: the first that is told is not always what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The connection closes as where brokers expect another protocol.
    Protocol,
    /// The TLS handshake failed.
    Tls,
    /// The brokers' certificate is signed by nobody that this host trusts.
    Authority,
    /// The brokers' certificate is for another name.
    Name,
    /// The brokers refuse the login.
    Login,
}

impl Obstacle {
    /// Asks the brokers for a connection and listens to why there is none, for as
    /// long as is `left`, but two seconds at least and three at most.
    pub fn find(config: &Config, left: Duration) -> Option<Obstacle> {
        let patience = left.clamp(LEAST_PATIENCE, PATIENCE);
        let client = kafka::base_config(config);
        let topic = config.pipelines.first().map_or("", |pipeline| pipeline.source.as_str());
        let obstacle = listen(&client, topic, patience)?;
        if obstacle.kind != Kind::Authority {
            return Some(obstacle);
        }
        // OpenSSL has one error for both. Without a login: nobody unknown is to hear it.
        let mut nameless = client.clone();
        nameless.set("security.protocol", "ssl").set("ssl.endpoint.identification.algorithm", "none");
        let trusted = listen(&nameless, topic, patience).is_none_or(|other| other.kind < Kind::Tls);
        Some(Obstacle { kind: if trusted { Kind::Name } else { Kind::Authority }, ..obstacle })
    }

    /// Whether waiting does not help. A connection may also close because a
    /// broker is stopping.
    pub fn is_lasting(&self) -> bool {
        self.kind != Kind::Protocol
    }

    /// What is in the way, for those whom nobody has asked for a token: no address
    /// and no name.
    pub fn summary(&self) -> &'static str {
        match self.kind {
            Kind::Login => {
                "the brokers refuse the login of this host: check `sasl.mechanisms`, `sasl.username` and \
                 `sasl.password` in [kafka]"
            }
            Kind::Authority => {
                "the certificate of the brokers is signed by no authority that this host trusts, or has expired: \
                 check `ssl.ca.location` in [kafka]"
            }
            Kind::Name => "the certificate of the brokers is for another name than `bootstrap.servers` in [kafka] has",
            Kind::Tls => {
                "the TLS handshake with the brokers failed: check `ssl.certificate.location` and `ssl.key.location` \
                 in [kafka]"
            }
            Kind::Protocol => {
                "the brokers close the connection, as brokers do that expect another protocol: check \
                 `security.protocol` in [kafka]"
            }
        }
    }

    pub fn into_error(self, config: &Config) -> BrokerError {
        let (servers, reason) = (config.kafka.bootstrap_servers().to_owned(), self.reason);
        match self.kind {
            Kind::Login => BrokerError::Login { servers, reason },
            Kind::Authority => BrokerError::Authority { servers, reason },
            Kind::Name => BrokerError::CertificateName { servers },
            Kind::Tls => BrokerError::Tls { servers, reason },
            Kind::Protocol => {
                let protocol = config.kafka.get("security.protocol").unwrap_or("plaintext").to_owned();
                BrokerError::Protocol { servers, protocol, reason }
            }
        }
    }
}

/// Whether an error says that the principal lacks a right.
pub fn is_denied(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed)
    )
}

/// The error that this principal lacks `right` on a topic.
pub fn denied(config: &Config, role: &'static str, topic: &str, right: &'static str) -> BrokerError {
    BrokerError::Denied {
        role,
        topic: topic.to_owned(),
        right,
        servers: config.kafka.bootstrap_servers().to_owned(),
        principal: config.kafka.get("sasl.username").unwrap_or("NAME").to_owned(),
    }
}

/// Connects until a broker answers, something lasting stands in the way, every broker
/// was tried, or time is up.
fn listen(client: &ClientConfig, topic: &str, patience: Duration) -> Option<Obstacle> {
    let mut client = client.clone();
    // Told as a line of the log only, and that as one of little interest.
    client.set("log.connection.close", "true").set_log_level(RDKafkaLogLevel::Info);
    let client: BaseConsumer<Listener> = client.create_with_context(Listener::default()).ok()?;
    let deadline = Instant::now() + patience;
    loop {
        let answer = client.fetch_metadata(Some(topic), LOOK);
        // Serves the callbacks; each call serves some.
        for _ in 0..64 {
            drop(client.poll(Duration::ZERO));
        }
        let heard = client.context().heard();
        let lasting = heard.as_ref().is_some_and(Obstacle::is_lasting);
        let all_down = client.context().all_down.load(Ordering::Relaxed);
        if answer.is_ok() || lasting || all_down || Instant::now() >= deadline {
            return heard.filter(|_| answer.is_err());
        }
    }
}

/// Keeps the gravest obstacle that the client library tells of.
#[derive(Default)]
struct Listener {
    gravest: Mutex<Option<Obstacle>>,
    /// No broker is left to try.
    all_down: AtomicBool,
}

impl Listener {
    fn heard(&self) -> Option<Obstacle> {
        self.gravest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hear(&self, kind: Kind, reason: &str) {
        let mut heard = self.gravest.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.as_ref().is_none_or(|known| known.kind < kind) {
            *heard = Some(Obstacle { kind, reason: reason.into() });
        }
    }
}

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == "FAIL" && is_hung_up(line) {
            // Without the name of the thread.
            let reason =
                line.strip_prefix("[thrd:").and_then(|line| line.split_once("]: ")).map_or(line, |(_, rest)| rest);
            self.hear(Kind::Protocol, reason);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(Code::Authentication) => self.hear(Kind::Login, reason),
            Some(Code::SSL) if reason.contains("certificate verify failed") => self.hear(Kind::Authority, reason),
            Some(Code::SSL) => self.hear(Kind::Tls, reason),
            Some(Code::BrokerTransportFailure) if reason.contains("PLAINTEXT broker listener") => {
                self.hear(Kind::Protocol, reason)
            }
            Some(Code::AllBrokersDown) => self.all_down.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl ConsumerContext for Listener {}

/// Whether a broker closed a connection that was up, as one does that hears another
/// protocol than it expects.
fn is_hung_up(line: &str) -> bool {
    line.contains("Disconnected") && ["in state UP", "in state APIVERSION"].iter().any(|state| line.contains(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_of_what_the_client_library_tells_is_kept() {
        let listener = Listener::default();
        let fail = |line: &str| listener.log(RDKafkaLogLevel::Info, "FAIL", line);
        let error = |code: Code, reason: &str| listener.error(KafkaError::Global(code), reason);
        let kind = || listener.heard().map(|obstacle| obstacle.kind);
        error(Code::BrokerTransportFailure, "b:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused");
        fail("[thrd:b:1/bootstrap]: b:1/bootstrap: Disconnected (after 60000ms in state CONNECT)");
        assert_eq!(kind(), None);
        fail("[thrd:b:1/bootstrap]: b:1/bootstrap: Disconnected: connection closed by peer (after 7ms in state UP)");
        let told = listener.heard().map(|obstacle| (obstacle.kind, obstacle.is_lasting(), obstacle.reason.to_string()));
        let reason = "b:1/bootstrap: Disconnected: connection closed by peer (after 7ms in state UP)";
        assert_eq!(told, Some((Kind::Protocol, false, reason.to_owned())));
        error(Code::SSL, "ssl://b:1: SSL handshake failed: error:0A00045C: tlsv13 alert certificate required");
        assert_eq!(kind(), Some(Kind::Tls));
        error(Code::SSL, "ssl://b:1: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed");
        assert_eq!(kind(), Some(Kind::Authority));
        error(Code::Authentication, "sasl_ssl://b:1: SASL authentication error: Authentication failed");
        fail("[thrd:b:1/bootstrap]: b:1/bootstrap: Disconnected (after 1ms in state APIVERSION_QUERY)");
        assert_eq!(kind(), Some(Kind::Login));
    }
}
