//! The stage's `config`: names and values, all as text.
//!
//! ```
//! use std::time::Duration;
//! use gregor_sdk::config::{Config, Settings};
//!
//! struct Silence {
//!     after: Duration,
//! }
//!
//! impl Settings for Silence {
//!     fn read(config: &Config) -> Result<Self, String> {
//!         config.only(&["after"])?;
//!         Ok(Silence { after: config.duration("after")?.unwrap_or(Duration::from_secs(300)) })
//!     }
//! }
//! ```
//!
//! `Silence::load()?` in `process` reads it once for each instance, and
//! `Silence::check()` as [`Lifecycle::init`](crate::Lifecycle::init) refuses a
//! version whose config cannot work before it meets a record.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use crate::timers::Domain;
use crate::{Failure, reject};

pub use crate::bindings::wasi::config::store::Error;
#[cfg(target_arch = "wasm32")]
pub use crate::bindings::wasi::config::store::{get, get_all};
#[cfg(not(target_arch = "wasm32"))]
pub use crate::testing::imports::config::{get, get_all};

/// Units of a duration, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// All of the stage's `config`. The errors of its functions name the value and
/// what to write, for someone who reads them in the host's log.
pub struct Config(BTreeMap<String, String>);

impl Config {
    /// # Errors
    /// When the host cannot tell.
    pub fn of_stage() -> Result<Self, String> {
        match get_all() {
            Ok(values) => Ok(Self(values.into_iter().collect())),
            Err(Error::Upstream(reason) | Error::Io(reason)) => {
                Err(format!("the stage's config could not be read: {reason}"))
            }
        }
    }

    /// # Errors
    /// For a name that is not among `known`: most often it is misspelt.
    pub fn only(&self, known: &[&str]) -> Result<(), String> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(format!("`{name}` in the config is unknown: known are `{}`", known.join("`, `"))),
        }
    }

    /// The value of `name`, if there is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of `name`, if there is one.
    ///
    /// # Errors
    /// When it cannot be read as a `T`; `expected` says what to write.
    pub fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, String> {
        let parse = |text: &str| text.trim().parse().map_err(|_| format!("`{name}` in the config must be {expected}"));
        self.text(name).map(parse).transpose()
    }

    /// The duration under `name`, if there is one, written as in the host's own
    /// configuration: a whole number with `ms`, `s`, `m` or `h`.
    ///
    /// # Errors
    /// When it is none, or longer than 64 bits of milliseconds.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, String> {
        let wrong = || format!("`{name}` in the config must be a whole number with ms, s, m or h, such as \"5m\"");
        let parse = |text: &str| {
            let text = text.trim();
            let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
            let (_, worth) = UNITS.iter().find(|(known, _)| *known == unit)?;
            digits.parse::<u64>().ok()?.checked_mul(*worth).map(Duration::from_millis)
        };
        self.text(name).map(|text| parse(text).ok_or_else(wrong)).transpose()
    }

    /// Which of `choices` is under `name`, if there is one: a word, and what it stands for.
    ///
    /// # Errors
    /// For any other word; it names those there are.
    pub fn choice<T: Clone>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, String> {
        let choose = |text: &str| {
            let chosen = choices.iter().find(|(word, _)| *word == text.trim());
            chosen.map(|(_, means)| means.clone()).ok_or_else(|| {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                format!("`{name}` in the config must be one of `{}`", words.join("`, `"))
            })
        };
        self.text(name).map(choose).transpose()
    }

    /// The times that a plugin may go by: `time = "event"` or `"processing"`.
    ///
    /// # Errors
    /// For any other word.
    pub fn time(&self, name: &str) -> Result<Option<Domain>, String> {
        self.choice(name, &[("processing", Domain::ProcessingTime), ("event", Domain::EventTime)])
    }

    /// The items under `name`, which are parted by commas, without the space around them;
    /// none where there is no such value.
    ///
    /// # Errors
    /// For an empty item.
    pub fn list(&self, name: &str) -> Result<Vec<&str>, String> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        let items: Vec<&str> = text.split(',').map(str::trim).collect();
        match items.iter().any(|item| item.is_empty()) {
            true => Err(format!("`{name}` in the config has an empty item: write `a` or `a, b`")),
            false => Ok(items),
        }
    }

    /// A topic's name under `name`, if there is one.
    ///
    /// # Errors
    /// For an empty one.
    pub fn topic(&self, name: &str) -> Result<Option<String>, String> {
        match self.text(name) {
            Some("") => Err(format!("`{name}` in the config is empty: name a topic or leave it out")),
            topic => Ok(topic.map(str::to_owned)),
        }
    }

    /// Names that begin with `prefix`, without it, and their values, by name.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What a plugin makes of its [`Config`].
pub trait Settings: Sized + 'static {
    /// # Errors
    /// What is wrong and what to write instead.
    fn read(config: &Config) -> Result<Self, String>;

    /// Read when first asked for, then kept for as long as the instance lives.
    ///
    /// # Errors
    /// A reject when [`Settings::read`] refuses. A plugin that calls
    /// [`Settings::check`] in `init` never gets so far.
    fn load() -> Result<Rc<Self>, Failure> {
        kept::get_or_read(|| Self::read(&Config::of_stage()?)).map_err(reject)
    }

    /// For [`Lifecycle::init`](crate::Lifecycle::init).
    ///
    /// # Errors
    /// Those of [`Settings::read`].
    fn check() -> Result<(), String> {
        kept::get_or_read(|| Self::read(&Config::of_stage()?)).map(drop)
    }
}

/// Values of an instance, one for each type.
#[derive(Default)]
pub(crate) struct Kept(Vec<(TypeId, Rc<dyn Any>)>);

impl Kept {
    fn get<T: 'static>(&self) -> Option<Rc<T>> {
        let (_, value) = self.0.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.clone().downcast().ok()
    }

    fn keep<T: 'static>(&mut self, value: Rc<T>) {
        self.0.push((TypeId::of::<T>(), value));
    }
}

mod kept {
    use std::rc::Rc;

    #[cfg(target_arch = "wasm32")]
    use self::instance::with;
    #[cfg(not(target_arch = "wasm32"))]
    use crate::testing::imports::config::with_kept as with;

    pub fn get_or_read<T: 'static>(read: impl FnOnce() -> Result<T, String>) -> Result<Rc<T>, String> {
        if let Some(value) = with(|kept| kept.get()) {
            return Ok(value);
        }
        let value = Rc::new(read()?);
        with(|kept| kept.keep(value.clone()));
        Ok(value)
    }

    #[cfg(target_arch = "wasm32")]
    mod instance {
        use std::cell::RefCell;

        use crate::config::Kept;

        thread_local! {
            static KEPT: RefCell<Kept> = const { RefCell::new(Kept(Vec::new())) };
        }

        pub fn with<R>(look: impl FnOnce(&mut Kept) -> R) -> R {
            KEPT.with_borrow_mut(look)
        }
    }
}
