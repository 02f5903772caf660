use serde::{Deserialize, Serialize};

use super::number;

/// What a window keeps of its records, and what comes of that: the
/// `AggregateFunction` of Flink, or initializer, aggregator and merger of Kafka
/// Streams. It is an entry of the cache, so `Serialize` and `Deserialize` come with
/// it, and should not grow with each record.
///
/// ```
/// use gregor_sdk::window::Aggregate;
///
/// /// The longest stay, and how many there were.
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Stays {
///     longest_s: u64,
///     number: u64,
/// }
///
/// impl Aggregate for Stays {
///     type Value = u64;
///     type Output = (u64, u64);
///
///     fn first(_: u64, seconds: u64) -> Self {
///         Stays { longest_s: seconds, number: 1 }
///     }
///
///     fn add(&mut self, _: u64, seconds: u64) {
///         self.longest_s = self.longest_s.max(seconds);
///         self.number += 1;
///     }
///
///     fn merge(&mut self, later: Self) {
///         self.longest_s = self.longest_s.max(later.longest_s);
///         self.number += later.number;
///     }
///
///     fn output(&self) -> (u64, u64) {
///         (self.longest_s, self.number)
///     }
/// }
/// ```
pub trait Aggregate: Sized {
    /// What a record brings; cloned where it is in several windows.
    type Value: Clone;
    /// What is told of a window.
    type Output;

    /// Of the first record to arrive. `at` is its timestamp, in milliseconds since
    /// the Unix epoch.
    fn first(at: u64, value: Self::Value) -> Self;

    /// With one record more; records come in the order of arrival.
    fn add(&mut self, at: u64, value: Self::Value);

    /// With all of a later session. Only sessions need it.
    fn merge(&mut self, later: Self);

    /// What is told of the window now.
    fn output(&self) -> Self::Output;
}

/// The number of records.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Count(u64);

impl Aggregate for Count {
    type Value = ();
    type Output = u64;

    fn first(_: u64, (): ()) -> Self {
        Count(1)
    }

    fn add(&mut self, _: u64, (): ()) {
        self.0 += 1;
    }

    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }

    fn output(&self) -> u64 {
        self.0
    }
}

/// The sum, added in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sum(#[serde(with = "number")] f64);

impl Aggregate for Sum {
    type Value = f64;
    type Output = f64;

    fn first(_: u64, value: f64) -> Self {
        Sum(0.0 + value)
    }

    fn add(&mut self, _: u64, value: f64) {
        self.0 += value;
    }

    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }

    fn output(&self) -> f64 {
        self.0
    }
}

/// The least value; NaN only where all are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Min(#[serde(with = "number")] f64);

impl Aggregate for Min {
    type Value = f64;
    type Output = f64;

    fn first(_: u64, value: f64) -> Self {
        Min(value)
    }

    fn add(&mut self, _: u64, value: f64) {
        self.0 = self.0.min(value);
    }

    fn merge(&mut self, later: Self) {
        self.0 = self.0.min(later.0);
    }

    fn output(&self) -> f64 {
        self.0
    }
}

/// The greatest value; NaN only where all are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Max(#[serde(with = "number")] f64);

impl Aggregate for Max {
    type Value = f64;
    type Output = f64;

    fn first(_: u64, value: f64) -> Self {
        Max(value)
    }

    fn add(&mut self, _: u64, value: f64) {
        self.0 = self.0.max(value);
    }

    fn merge(&mut self, later: Self) {
        self.0 = self.0.max(later.0);
    }

    fn output(&self) -> f64 {
        self.0
    }
}

/// The sum, added in the order of arrival, by the number of records.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    count: u64,
    #[serde(with = "number")]
    sum: f64,
}

impl Aggregate for Mean {
    type Value = f64;
    type Output = f64;

    fn first(_: u64, value: f64) -> Self {
        Mean { count: 1, sum: 0.0 + value }
    }

    fn add(&mut self, _: u64, value: f64) {
        self.count += 1;
        self.sum += value;
    }

    fn merge(&mut self, later: Self) {
        self.count += later.count;
        self.sum += later.sum;
    }

    fn output(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// The value with the latest timestamp; of several, the one that arrived last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Last<T> {
    at: u64,
    value: T,
}

impl<T: Clone> Aggregate for Last<T> {
    type Value = T;
    type Output = T;

    fn first(at: u64, value: T) -> Self {
        Last { at, value }
    }

    fn add(&mut self, at: u64, value: T) {
        self.merge(Last { at, value });
    }

    fn merge(&mut self, later: Self) {
        if later.at >= self.at {
            *self = later;
        }
    }

    fn output(&self) -> T {
        self.value.clone()
    }
}

/// Two at once, of two values.
impl<A: Aggregate, B: Aggregate> Aggregate for (A, B) {
    type Value = (A::Value, B::Value);
    type Output = (A::Output, B::Output);

    fn first(at: u64, (a, b): Self::Value) -> Self {
        (A::first(at, a), B::first(at, b))
    }

    fn add(&mut self, at: u64, (a, b): Self::Value) {
        self.0.add(at, a);
        self.1.add(at, b);
    }

    fn merge(&mut self, later: Self) {
        self.0.merge(later.0);
        self.1.merge(later.1);
    }

    fn output(&self) -> Self::Output {
        (self.0.output(), self.1.output())
    }
}
