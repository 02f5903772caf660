//! Calls of `timer-processor`, which a version may export.

use wasmtime::Store;
use wasmtime::component::TypedFunc;

use super::{Emitted, Guest, Instance, Version};
use crate::plugin::Failure;
use crate::plugin::abi::v1::gregor::plugin::{timers, types};
use crate::record::Record;
use crate::state::{Cache, Domain, Timer};

/// `on-timer`: domain, name and time.
pub(super) type OnTimer = TypedFunc<(timers::Domain, String, u64), (Result<Vec<Emitted>, types::Failure>,)>;

/// The export of a fresh instance, if it has it.
///
/// # Errors
/// [`Failure::NoInstance`] when it is not of the type that the WIT says.
pub(super) fn find(
    version: &Version,
    instance: &wasmtime::component::Instance,
    store: &mut Store<Guest>,
) -> Result<Option<OnTimer>, Failure> {
    let typed = |index| instance.get_typed_func(&mut *store, index);
    let found = version.on_timer().map(typed).transpose();
    found.map_err(|error| Failure::NoInstance(format!("its on-timer is not that of wit/v1: {error:#}").into()))
}

impl From<timers::Domain> for Domain {
    fn from(domain: timers::Domain) -> Domain {
        match domain {
            timers::Domain::EventTime => Domain::EventTime,
            timers::Domain::ProcessingTime => Domain::ProcessingTime,
        }
    }
}

impl From<Domain> for timers::Domain {
    fn from(domain: Domain) -> timers::Domain {
        match domain {
            Domain::EventTime => timers::Domain::EventTime,
            Domain::ProcessingTime => timers::Domain::ProcessingTime,
        }
    }
}

impl Instance {
    /// Calls the plugin with `timer`, as [`Instance::process`] does with a
    /// record; `source` tells topic and partition.
    ///
    /// # Errors
    /// As [`Instance::process`]; [`Failure::NoInstance`] where the version takes no timers.
    pub fn on_timer(
        &mut self,
        source: &Record<'_>,
        timer: &Timer,
        now_ms: u64,
        cache: &mut Box<Cache>,
    ) -> Result<Vec<Emitted>, Failure> {
        let Some(on_timer) = self.on_timer else {
            return Err(Failure::NoInstance("it exports no timer-processor".into()));
        };
        self.begin(source, Some(timer), now_ms);
        let given = (timer.domain.into(), timer.name().to_owned(), timer.at);
        self.lend(cache, |instance| on_timer.call(&mut instance.store, given).map(|(outcome,)| outcome))
    }
}
