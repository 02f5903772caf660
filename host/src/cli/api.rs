//! The admin API of a running host, as commands ask it.

use std::env::VarError;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use ureq::http::Uri;

/// A busy host answers in milliseconds; one that does not is to be reported
/// before a container's health check gives up on the command.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than any answer: a page of values that are as large as may be.
const LARGEST: u64 = 4 << 30;

pub const NOT_WELL: u8 = 1;
pub const CONFIGURATION: u8 = 2;
pub const NOT_REACHABLE: u8 = 3;
pub const REFUSED: u8 = 4;

/// Why there is nothing to show.
#[derive(Debug)]
pub enum Failed {
    /// The server's answer, or that there was none, and the exit code for it.
    Answer {
        code: u8,
        problem: String,
    },
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed::Other(error.into())
    }
}

/// The admin server of one host.
pub struct Api {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
    /// How a token is given.
    remedy: String,
}

impl Api {
    /// `address` as `http://HOST:PORT`, with or without its scheme.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(address: &str, token: Option<String>, remedy: String) -> Result<Api, Failed> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // The host is named by its own address; a proxy for the outside
            // would neither reach it nor may it see the token.
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build();
        let given = address;
        let address = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
        let served = |uri: &Uri| uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        if !address.parse().is_ok_and(|uri| served(&uri)) {
            let problem = format!("--admin {given} is not an address: write it as http://HOST:PORT");
            return Err(Failed::Answer { code: CONFIGURATION, problem });
        }
        let base = address.trim_end_matches('/').to_owned();
        Ok(Api { agent: config.into(), base, token, remedy })
    }

    /// The server's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A document of the API.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn document(&self, name: &str) -> Result<Value, Failed> {
        let body = self.get(&format!("/api/v1/{name}"), &[])?;
        let foreign = || format!("{} answers, but not as gregor's admin server does", self.base);
        Ok(serde_json::from_str(&body).with_context(foreign)?)
    }

    /// The body of a route's answer.
    ///
    /// # Errors
    /// When there is none, or it is not 200.
    pub fn get(&self, route: &str, query: &[(&str, String)]) -> Result<String, Failed> {
        let mut request = self.agent.get(format!("{}{route}", self.base));
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = request.call().map_err(|error| self.not_reachable(&error))?;
        self.body(route, answer)
    }

    /// Sends `body`, and waits at most `patience` for the answer's body.
    ///
    /// # Errors
    /// When there is none, or it is not 200.
    pub fn post(
        &self,
        route: &str,
        query: &[(&str, String)],
        body: &[u8],
        patience: Duration,
    ) -> Result<String, Failed> {
        let mut request =
            self.agent.post(format!("{}{route}", self.base)).config().timeout_global(Some(patience)).build();
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        // So that what is too large is refused before it is sent.
        request = request.header("expect", "100-continue");
        let answer = request.send(body).map_err(|error| self.not_reachable(&error))?;
        self.body(route, answer)
    }

    fn body(&self, route: &str, mut answer: ureq::http::Response<ureq::Body>) -> Result<String, Failed> {
        let body = answer.body_mut().with_config().limit(LARGEST).read_to_string();
        let body = body.map_err(|error| self.not_reachable(&error))?;
        match answer.status().as_u16() {
            200 => Ok(body),
            401 => Err(Failed::Answer {
                code: CONFIGURATION,
                problem: format!("{} wants a token: {}", self.base, self.remedy),
            }),
            422 => Err(Failed::Answer { code: REFUSED, problem: error_of(&body) }),
            status => {
                let problem = format!("{}{route} answers {status}: {}", self.base, printable(body.trim()));
                Err(Failed::Answer { code: NOT_WELL, problem })
            }
        }
    }

    fn not_reachable(&self, error: &ureq::Error) -> Failed {
        let problem = format!(
            "no host answers at {} ({error}): check that it runs and that --admin names its `host.admin` address",
            self.base
        );
        Failed::Answer { code: NOT_REACHABLE, problem }
    }
}

/// The token in the environment variable `name`, if there is one.
///
/// # Errors
/// When it is no text.
pub fn token(name: &str) -> Result<Option<String>, Failed> {
    match std::env::var(name) {
        Ok(token) => Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            let problem = format!("{name} is not UTF-8 text: set it to the host's `host.admin-token`");
            Err(Failed::Answer { code: CONFIGURATION, problem })
        }
    }
}

/// The problem that an answer names.
fn error_of(body: &str) -> String {
    let problem = serde_json::from_str::<Value>(body).ok().and_then(|body| Some(body["error"].as_str()?.to_owned()));
    printable(&problem.unwrap_or_else(|| body.trim().to_owned()))
}

/// Text that may hold the words of a plugin or of a record, without what a
/// terminal would obey.
pub fn printable(text: &str) -> String {
    text.chars().map(|symbol| if symbol.is_control() { ' ' } else { symbol }).collect()
}
