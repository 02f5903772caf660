//! The kinds of values: each function turns a value of the document into its
//! type, or says what to write instead.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::Secret;
use super::document::Value;
use super::read::nearest;

/// What is wrong with a value, and what to do about it.
pub(super) struct Wrong {
    pub problem: String,
    pub cure: String,
}

impl Wrong {
    pub fn new(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { problem: problem.into(), cure: cure.into() }
    }

    /// A value of another kind than `expected`, which comes with its article.
    pub fn kind(value: &Value, expected: &str, cure: impl Into<String>) -> Self {
        Self::new(format!("is {}, not {expected}", value.kind()), cure)
    }
}

pub(super) type Parsed<T> = Result<T, Wrong>;

pub(super) fn string(value: &Value) -> Parsed<String> {
    match value.string() {
        Some(text) if text.trim().is_empty() => Err(Wrong::new("is empty", "give it a value, or leave the key out")),
        Some(text) => Ok(text.into_owned()),
        None => Err(Wrong::kind(value, "a string", "write it in quotes")),
    }
}

pub(super) fn boolean(value: &Value) -> Parsed<bool> {
    value.boolean().ok_or_else(|| Wrong::kind(value, "a boolean", "write true or false, without quotes"))
}

/// A whole number in `range`.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&Value) -> Parsed<T>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |value| {
        let span = format!("write a whole number from {} to {}", range.start(), range.end());
        if matches!(value.settled().as_ref(), Value::Huge) {
            return Err(Wrong::new("is out of range", span));
        }
        let Some(number) = value.integer() else {
            return Err(Wrong::kind(value, "a whole number", format!("{span}, without quotes")));
        };
        match T::try_from(number) {
            Ok(inside) if range.contains(&inside) => Ok(inside),
            _ => Err(Wrong::new(format!("{number} is out of range"), span)),
        }
    }
}

/// A whole number in `range`, or "off" for 0.
pub(super) fn count_or_off(range: RangeInclusive<u32>) -> impl Fn(&Value) -> Parsed<u32> {
    move |value| match value.string().as_deref() {
        Some("off") => Ok(0),
        _ => {
            whole(range.clone())(value).map_err(|wrong| Wrong { cure: format!("{}, or \"off\"", wrong.cure), ..wrong })
        }
    }
}

/// One of the words, each with what it stands for.
pub(super) fn choice<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&Value) -> Parsed<T> {
    move |value| {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let all = names.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
        let Some(given) = value.string() else {
            return Err(Wrong::kind(value, "a string", format!("write {all}")));
        };
        match words.iter().find(|(word, _)| *word == given) {
            Some((_, meaning)) => Ok(*meaning),
            None => Err(Wrong::new(
                format!("{given:?} is unknown here"),
                match nearest(&given, &names) {
                    Some(near) => format!("did you mean {near:?}? It may be {all}"),
                    None => format!("write {all}"),
                },
            )),
        }
    }
}

/// What may be a file's name, a group's and a metric's label at once.
pub(super) fn name(value: &Value) -> Parsed<String> {
    let name = string(value)?;
    if is_name(&name) {
        return Ok(name);
    }
    Err(Wrong::new(format!("{name:?} is not a name"), "use a to z, 0 to 9 and -, at most 63 of them, and no - first"))
}

pub(super) fn is_name(text: &str) -> bool {
    let taken = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(taken) && !text.starts_with('-')
}

/// What Kafka takes as a topic's name.
pub(super) fn topic(value: &Value) -> Parsed<String> {
    let topic = string(value)?;
    if (1..=249).contains(&topic.len()) && is_plain(&topic) && topic != "." && topic != ".." {
        return Ok(topic);
    }
    Err(Wrong::new(
        format!("{topic:?} is not the name of a topic"),
        "Kafka takes A to Z, a to z, 0 to 9 and . _ -, at most 249 of them, and neither . nor ..",
    ))
}

/// The name of a host: part of client ids and transactional ids.
pub(super) fn host_id(value: &Value) -> Parsed<String> {
    let id = string(value)?;
    if id.len() <= 128 && is_plain(&id) {
        return Ok(id);
    }
    Err(Wrong::new(
        format!("{id:?} is not the name of a host"),
        "use A to Z, a to z, 0 to 9 and . _ -, at most 128 of them",
    ))
}

pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
}

/// An address to listen at, or `"off"`.
pub(super) fn admin_address(value: &Value) -> Parsed<Option<SocketAddr>> {
    let cure = "write an IP address with a port, as in \"127.0.0.1:9640\", or \"off\"";
    let Some(text) = value.string() else {
        return Err(Wrong::kind(value, "a string", cure));
    };
    if text == "off" {
        return Ok(None);
    }
    let address = text.parse().map_err(|_| Wrong::new(format!("{text:?} is no address"), cure))?;
    Ok(Some(address))
}

/// A name by which a server is asked, without scheme and port.
pub(super) fn admin_host(value: &Value) -> Parsed<String> {
    let host = string(value)?;
    let is_name = host.len() <= 253 && is_plain(&host) && !host.starts_with(['.', '-']);
    if is_name || host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(host);
    }
    Err(Wrong::new(
        format!("{host:?} is not the name of a server"),
        "write a name or an IP address alone, as in \"gregor.example\", without scheme and port",
    ))
}

/// A token that fits a header. What was written is in no problem's text.
pub(super) fn token(value: &Value) -> Parsed<Secret> {
    let token = string(value)?;
    if token.bytes().all(|c| c.is_ascii_graphic()) {
        return Ok(token.into());
    }
    Err(Wrong::new(
        "holds characters that no HTTP header takes",
        "use visible ASCII characters and no space, as `openssl rand -hex 32` prints them",
    ))
}

/// A key that signs plugins, without its secret half.
pub(super) fn public_key(value: &Value) -> Parsed<wasmsign2::PublicKey> {
    let text = string(value)?;
    super::signer::public_key(&text).ok_or_else(|| {
        Wrong::new(
            "is no public key for ed25519",
            "write the line that `gregor plugin keygen` prints, or what `openssl pkey -pubout` writes",
        )
    })
}

/// Where a Redis is. What was written is in no problem's text: it may hold a password.
pub(super) fn redis_url(value: &Value) -> Parsed<Secret> {
    let url = string(value)?;
    if url.ends_with(['\n', '\r']) {
        return Err(Wrong::new("ends with a line break", "take it off: it is not part of the URL"));
    }
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("redis" | "rediss")) || redis::Client::open(url.as_str()).is_err() {
        return Err(Wrong::new(
            "is not the URL of a Redis",
            "write \"redis://host:6379/0\", or \"rediss://user:password@host:6379/0\" with TLS; \
             in a password, write %40 for @, %2F for / and so on",
        ));
    }
    Ok(url.into())
}
