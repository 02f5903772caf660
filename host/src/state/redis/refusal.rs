//! What Redis' errors mean and what to do about them. Its own words are not
//! passed on where they could hold a key.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

use crate::state::store::StateError;

/// `address` is Redis' host and port.
pub(super) fn explained(error: &RedisError, address: &str, timeout: Duration) -> StateError {
    let unavailable = |why: String| StateError::Unavailable(format!("Redis at {address} {why}"));
    if error.is_timeout() {
        return unavailable(format!("gives no answer within {timeout:?} (redis.timeout)"));
    }
    if error.is_io_error() {
        // From the operating system or TLS, about the connection.
        return unavailable(format!("cannot be reached: {error}"));
    }
    // What fails inside a script carries its code in the text, up to Redis 6.2,
    // or a sentence in its place: each server and version has its own.
    let code = error.code().unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    let says = |word: &str| code == word || detail.contains(&format!("-{word} ")) || detail.starts_with(word);
    if error.kind() == ErrorKind::AuthenticationFailed || says("WRONGPASS") || says("NOAUTH") {
        return unavailable("refuses the user or the password: correct them in redis.url".into());
    }
    let forbidden = ["user executing the script can't", "ACL failure in script"];
    if says("NOPERM") || forbidden.iter().any(|words| detail.contains(words)) {
        return unavailable(
            "lets this user not run a command, or not touch a key, that Gregor needs: see docs/configuration.md".into(),
        );
    }
    if says("OOM") {
        return StateError::Full(format!("Redis at {address} has reached its maxmemory: raise it"));
    }
    if says("READONLY") {
        return unavailable("is a replica that takes no writes: name the primary in redis.url".into());
    }
    if says("LOADING") {
        return unavailable("is still loading its data".into());
    }
    if says("MISCONF") {
        return unavailable("takes no writes because it cannot save its data: see its log and its disk".into());
    }
    if ["MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"].into_iter().any(says) {
        return StateError::Refused(format!("{address} is a Redis Cluster: name a Redis that is none"));
    }
    if code.is_empty() {
        unavailable(format!("gave an answer that was not understood ({})", error.category()))
    } else {
        unavailable(format!("refuses a command ({code}): see its log"))
    }
}
