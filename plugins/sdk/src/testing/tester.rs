use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use super::sandbox::{Line, Sandbox};
use super::{Exported, Exports, Record};
use crate::timers::Domain;
use crate::{Failure, Input, Output, json, reject, state};

/// One stage of one topic partition, with a plugin in it.
pub struct PluginTester {
    exports: Exports,
    sandbox: Sandbox,
    started: bool,
    /// Milliseconds.
    max_out_of_orderness: u64,
    next_offset: u64,
    /// Outputs that no call has returned yet.
    produced: Vec<Output>,
}

impl PluginTester {
    /// A fresh instance with an empty cache, its clock at 0.
    pub fn of<P: Exported>() -> Self {
        let exports = P::exports();
        let sandbox = Sandbox { timed: exports.on_timer.is_some(), ..Sandbox::default() };
        Self { exports, sandbox, started: false, max_out_of_orderness: 0, next_offset: 0, produced: vec![] }
    }

    /// One more value of the stage's `config`.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.sandbox.config.insert(name.into(), value.into());
        self
    }

    /// The pipeline's `max-out-of-orderness`; none by default.
    pub fn max_out_of_orderness(mut self, bound: Duration) -> Self {
        self.max_out_of_orderness = state::millis(bound);
        self
    }

    /// Calls `init`, where the plugin has it, with an empty cache of its own. The
    /// first record does so too.
    ///
    /// # Errors
    /// Why the host would refuse the version.
    pub fn init(&mut self) -> Result<(), String> {
        let Some(init) = self.exports.init.filter(|_| !self.started) else { return Ok(()) };
        let mut apart = Sandbox { config: self.sandbox.config.clone(), ..Sandbox::default() };
        let outcome = apart.lend(init);
        self.sandbox.kept = mem::take(&mut apart.kept);
        self.started = outcome.is_ok();
        outcome
    }

    /// Puts a record in: first the timers that its timestamp makes due, then the
    /// record, then the timers that it scheduled for a time that has passed. Their
    /// outputs, in this order and as the plugin returned them.
    ///
    /// # Errors
    /// The failure of a timer, which is back and before which nothing else goes on
    /// (a record behind it is not processed), or else the failure of the record, or a reject
    /// where `init` refuses. What failed has written nothing; outputs of timers that
    /// succeeded before it come with the next call.
    pub fn push(&mut self, record: Record) -> Result<Vec<Output>, Failure> {
        self.init().map_err(reject)?;
        let timestamp = record.timestamp.unwrap_or(self.sandbox.now);
        self.move_watermark(timestamp.saturating_sub(self.max_out_of_orderness))?;
        let offset = self.next_offset;
        self.next_offset += 1;
        let Record { topic, partition, key, value, headers, .. } = record;
        let input = Input { topic, partition, offset, timestamp, key, value, headers };
        let process = self.exports.process;
        self.call(|| process(input))?;
        self.run_due(Domain::EventTime)?;
        self.run_due(Domain::ProcessingTime)?;
        Ok(mem::take(&mut self.produced))
    }

    /// Moves event time on to `watermark`, in milliseconds since the Unix epoch; an
    /// earlier one changes nothing. The outputs of the timers that became due.
    ///
    /// # Errors
    /// The failure of a timer: it is back, and what it wrote is undone.
    pub fn advance_watermark(&mut self, watermark: u64) -> Result<Vec<Output>, Failure> {
        self.move_watermark(watermark)?;
        Ok(mem::take(&mut self.produced))
    }

    fn move_watermark(&mut self, watermark: u64) -> Result<(), Failure> {
        self.sandbox.watermark = self.sandbox.watermark.max(Some(watermark));
        self.run_due(Domain::EventTime)
    }

    /// Moves processing time on by `time`. The outputs of the timers that became due.
    ///
    /// # Errors
    /// As [`PluginTester::advance_watermark`].
    pub fn advance_clock(&mut self, time: Duration) -> Result<Vec<Output>, Failure> {
        self.set_clock(self.sandbox.now.saturating_add(state::millis(time)))
    }

    /// Sets processing time, in milliseconds since the Unix epoch. The outputs of
    /// the timers that became due.
    ///
    /// # Errors
    /// As [`PluginTester::advance_watermark`].
    pub fn set_clock(&mut self, now: u64) -> Result<Vec<Output>, Failure> {
        self.sandbox.now = now;
        self.run_due(Domain::ProcessingTime)?;
        Ok(mem::take(&mut self.produced))
    }

    fn run_due(&mut self, domain: Domain) -> Result<(), Failure> {
        let Some(on_timer) = self.exports.on_timer else { return Ok(()) };
        loop {
            let now = match domain {
                Domain::EventTime => self.sandbox.watermark.unwrap_or(0),
                Domain::ProcessingTime => self.sandbox.now,
            };
            let Some((at, name)) = self.sandbox.timers(domain).due(now) else { return Ok(()) };
            self.init().map_err(reject)?;
            self.sandbox.timers(domain).change(&name, None);
            self.call(|| on_timer(domain, name, at))?;
        }
    }

    /// Has the plugin take over from `from_version`.
    ///
    /// # Errors
    /// Why the host would roll the swap back; what it wrote is undone.
    pub fn migrate(&mut self, from_version: &str) -> Result<(), String> {
        self.init()?;
        let Some(migrate) = self.exports.migrate else { return Ok(()) };
        let outcome = self.sandbox.lend(|| migrate(from_version.to_owned()));
        self.settle(outcome)
    }

    /// Has `state` put entries into the cache, with the functions of
    /// [`cache`](crate::cache) and [`state`](crate::state), or look at them.
    pub fn with_state<R>(&mut self, state: impl FnOnce() -> R) -> R {
        let outcome = self.sandbox.lend(state);
        self.sandbox.keep();
        outcome
    }

    /// As after a restart of the host with state that outlives it, or after a trap:
    /// a new instance, with what the plugin kept in [`config`](crate::config)'s
    /// `Settings` gone. Other values in its own memory stay: they are the test's.
    pub fn restart(&mut self) {
        self.sandbox.kept = Default::default();
        self.started = false;
    }

    fn call(&mut self, call: impl FnOnce() -> Result<Vec<Output>, Failure>) -> Result<(), Failure> {
        let outcome = self.sandbox.lend(call);
        let outputs = self.settle(outcome)?;
        self.produced.extend(outputs);
        Ok(())
    }

    fn settle<T, E>(&mut self, outcome: Result<T, E>) -> Result<T, E> {
        match outcome {
            Ok(_) => self.sandbox.keep(),
            Err(_) => self.sandbox.undo(),
        }
        outcome
    }

    /// Every entry of the cache that has not expired.
    pub fn cache(&self) -> BTreeMap<String, Vec<u8>> {
        self.sandbox.cache.all(self.sandbox.now)
    }

    /// The entry under `key` as JSON.
    ///
    /// # Errors
    /// As [`json::read`].
    pub fn entry<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failure> {
        self.sandbox.cache.get(key, self.sandbox.now).map(json::read).transpose()
    }

    /// The timers that are pending, by name, and when each is due, in milliseconds
    /// since the Unix epoch.
    pub fn timers(&self, domain: Domain) -> &BTreeMap<String, u64> {
        match domain {
            Domain::EventTime => self.sandbox.event_timers.all(),
            Domain::ProcessingTime => self.sandbox.processing_timers.all(),
        }
    }

    /// Event time, in milliseconds since the Unix epoch.
    pub fn watermark(&self) -> Option<u64> {
        self.sandbox.watermark
    }

    /// Every line that was logged so far, those of calls that failed too.
    pub fn lines(&self) -> &[Line] {
        &self.sandbox.lines
    }

    /// What the plugin has counted under `name`, in calls that failed too.
    pub fn count(&self, name: &str) -> u64 {
        self.sandbox.counts.get(name).copied().unwrap_or(0)
    }

    /// What the plugin observed last under `name`.
    pub fn gauge(&self, name: &str) -> Option<f64> {
        self.sandbox.gauges.get(name).copied()
    }
}
