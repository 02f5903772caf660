//! Why brokers do not let a running host in: a login that was changed, a certificate
//! that expired. Its clients only lose their connections.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::config::Config;
use crate::kafka::access::Obstacle;
use crate::observe::Health;

/// How often the workers' word on brokers is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks for the reason: each is a login that brokers may refuse.
const AGAIN: Duration = Duration::from_secs(10);

/// Looks for what is in the way whenever no broker answers a worker, and tells
/// `health` and the log, until `stop` hangs up.
pub fn follow(config: &Config, health: &Health, stop: &Receiver<()>) {
    let mut told: Option<&'static str> = None;
    let mut looked: Option<Instant> = None;
    while stop.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        if health.reaches_brokers() {
            (told, looked) = (None, None);
            health.obstacle(None);
            continue;
        }
        if looked.is_some_and(|looked| looked.elapsed() < AGAIN) {
            continue;
        }
        let obstacle = Obstacle::find(config, Duration::ZERO);
        looked = Some(Instant::now());
        let why = obstacle.as_ref().map(Obstacle::summary);
        health.obstacle(why);
        if let Some(obstacle) = obstacle.filter(|_| why != told) {
            tracing::error!("{}", obstacle.into_error(config));
        }
        told = why;
    }
}
