//! What lets others on a network read or change what they should not: refused, or a
//! warning where `host.insecure` says that the networks are trusted. Nothing on
//! this machine alone is a risk of that kind.

use std::net::IpAddr;

use super::read::Reader;

/// Characters of a token that anybody guesses who tries for a while.
const GUESSED_TOKEN: usize = 6;
/// Characters of a token that nobody guesses.
const GOOD_TOKEN: usize = 16;

/// Reads `[kafka]`, whose properties these are.
pub(super) fn kafka(reader: &mut Reader<'_>, properties: &[(String, String)], insecure: bool) {
    let value = |key: &str| properties.iter().find(|(name, _)| name == key).map(|(_, value)| value.to_lowercase());
    let servers = value("bootstrap.servers").unwrap_or_default();
    if servers.split(',').all(|server| is_here(server.rsplit_once("://").map_or(server, |(_, server)| server))) {
        return;
    }
    let protocol = value("security.protocol").unwrap_or_default();
    if protocol == "sasl_plaintext" {
        reader.risk(
            "security.protocol",
            insecure,
            format!("is sasl_plaintext: records and logins cross the network to {servers} unencrypted"),
            "write sasl_ssl, or insecure = true in [host] where the network is trusted",
        );
    }
    if !protocol.ends_with("ssl") {
        return;
    }
    if value("enable.ssl.certificate.verification").is_some_and(|value| value == "false") {
        reader.risk(
            "enable.ssl.certificate.verification",
            insecure,
            "is off: any machine on the way can pose as a broker",
            "name the brokers' authority with ssl.ca.location, or write insecure = true in [host] where the network is trusted",
        );
    }
    if value("ssl.endpoint.identification.algorithm").is_some_and(|value| value == "none") {
        reader.risk(
            "ssl.endpoint.identification.algorithm",
            insecure,
            "is none: whoever has any certificate of that authority can pose as a broker",
            "write https, or insecure = true in [host] where the network is trusted",
        );
    }
}

/// Reads `[redis]`, whose `url` this is.
pub(super) fn redis(reader: &mut Reader<'_>, url: &str, insecure: bool) {
    let Some((scheme, rest)) = url.split_once("://") else { return };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (login, server) = authority.rsplit_once('@').unwrap_or(("", authority));
    if is_here(server) {
        return;
    }
    if scheme == "redis" && login.split_once(':').is_some_and(|(_, password)| !password.is_empty()) {
        reader.risk(
            "url",
            insecure,
            format!("has a password and no TLS: password and state cross the network to {server} unencrypted"),
            "begin it with rediss://, or write insecure = true in [host] where the network is trusted",
        );
    }
    if scheme == "rediss" && rest.ends_with("#insecure") {
        reader.risk(
            "url",
            insecure,
            "ends with #insecure: any machine on the way can pose as the server",
            "name the server's authority with `ca`, or write insecure = true in [host] where the network is trusted",
        );
    }
}

/// Reads `[host]`, whose `admin-token` this is.
pub(super) fn token(reader: &mut Reader<'_>, token: &str, insecure: bool) {
    let length = token.len();
    if length < GOOD_TOKEN {
        reader.risk(
            "admin-token",
            insecure || length >= GUESSED_TOKEN,
            format!(
                "has {length} characters: it can be guessed, and whoever has it can replace plugins and read state"
            ),
            "use at least 16 characters, as `openssl rand -hex 32` prints them",
        );
    }
}

/// Whether a server, `host:port`, is this machine.
fn is_here(server: &str) -> bool {
    let server = server.trim();
    let host = match server.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => server.rsplit_once(':').map_or(server, |(host, _)| host),
    };
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
