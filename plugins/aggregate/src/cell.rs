//! The functions that a config may name, and what each keeps of a window's records.

use gregor_sdk::Failure;
use gregor_sdk::document::Value;
use gregor_sdk::pointer::Pointer;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::distinct::Distinct;

/// Doubles hold every whole number below this.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    /// Of all records, or of those that have the field.
    Count(Option<Pointer>),
    Number(Kind, Pointer),
    First(Pointer),
    Last(Pointer),
    Distinct(Pointer),
    /// Which share of the values is at most what is told, from 0 to 1.
    Quantile(f64, Pointer),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Count,
    Sum,
    Min,
    Max,
    Mean,
    First,
    Last,
    Distinct,
    Quantile,
}

/// What a record has for a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    Present,
    Number(f64),
    Json(String),
}

/// An entry of state. Times in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    Count(u64),
    Sum(Option<Real>),
    Min(Option<Real>),
    Max(Option<Real>),
    Mean(u64, Real),
    First(Option<(u64, String)>),
    Last(Option<(u64, String)>),
    Distinct(Distinct),
    Quantile(Digest),
}

/// A double, whose infinities JSON has no word for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Option<f64>", into = "Option<f64>")]
pub struct Real(pub f64);

impl From<Option<f64>> for Real {
    fn from(number: Option<f64>) -> Self {
        Real(number.unwrap_or(f64::NAN))
    }
}

impl From<Real> for Option<f64> {
    fn from(Real(number): Real) -> Self {
        number.is_finite().then_some(number)
    }
}

impl Function {
    /// # Errors
    /// The functions there are.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let number = |kind, at: &str| Ok(Function::Number(kind, Pointer::parse(at)?));
        match words {
            ["count"] => Ok(Function::Count(None)),
            ["count", at] => Ok(Function::Count(Some(Pointer::parse(at)?))),
            ["sum", at] => number(Kind::Sum, at),
            ["min", at] => number(Kind::Min, at),
            ["max", at] => number(Kind::Max, at),
            ["mean", at] => number(Kind::Mean, at),
            ["first", at] => Ok(Function::First(Pointer::parse(at)?)),
            ["last", at] => Ok(Function::Last(Pointer::parse(at)?)),
            ["distinct", at] => Ok(Function::Distinct(Pointer::parse(at)?)),
            ["quantile", share, at] => match share.parse() {
                Ok(share) if (0.0..=1.0).contains(&share) => Ok(Function::Quantile(share, Pointer::parse(at)?)),
                _ => Err("`quantile` needs a share from 0 to 1, such as 0.95".into()),
            },
            _ => Err(format!(
                "`{}` is no function: write count, count /a, sum /a, min /a, max /a, mean /a, first /a, last /a, \
                 distinct /a or quantile 0.95 /a",
                words.join(" ")
            )),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Function::Count(_) => Kind::Count,
            Function::Number(kind, _) => *kind,
            Function::First(_) => Kind::First,
            Function::Last(_) => Kind::Last,
            Function::Distinct(_) => Kind::Distinct,
            Function::Quantile(..) => Kind::Quantile,
        }
    }

    pub fn field(&self) -> Option<&Pointer> {
        match self {
            Function::Count(at) => at.as_ref(),
            Function::Number(_, at) | Function::First(at) | Function::Last(at) => Some(at),
            Function::Distinct(at) | Function::Quantile(_, at) => Some(at),
        }
    }

    /// What a record has for this; `None` where the field is missing or null.
    ///
    /// # Errors
    /// For what should be a number and is none.
    pub fn of(&self, document: Option<&Value<'_>>) -> Result<Option<Datum>, String> {
        let Some(at) = self.field() else { return Ok(Some(Datum::Present)) };
        let value = match document.and_then(|document| at.of(document)) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        Ok(Some(match self {
            Function::Count(_) => Datum::Present,
            Function::First(_) | Function::Last(_) => Datum::Json(value.to_string()),
            Function::Distinct(_) => Datum::Json(value.canonical()),
            Function::Number(..) | Function::Quantile(..) => {
                let number = value.as_f64();
                Datum::Number(number.ok_or_else(|| format!("`{at}` is {}, not a finite number", value.kind()))?)
            }
        }))
    }

    /// # Errors
    /// For a cell that an other version wrote.
    pub fn told<'v>(&self, cell: &Cell) -> Result<Value<'v>, Failure> {
        Ok(match cell {
            Cell::Count(count) => Value::integer(*count),
            Cell::Sum(number) | Cell::Min(number) | Cell::Max(number) => {
                number.map_or(Value::Null, |Real(number)| told(number))
            }
            Cell::Mean(0, _) => Value::Null,
            Cell::Mean(count, Real(sum)) => told(sum / *count as f64),
            Cell::First(json) | Cell::Last(json) => match json {
                None => Value::Null,
                Some((_, json)) => Value::read(json.as_bytes())?.into_owned(),
            },
            Cell::Distinct(distinct) => Value::integer(distinct.number()),
            Cell::Quantile(digest) => match self {
                Function::Quantile(share, _) => digest.quantile(*share).map_or(Value::Null, told),
                _ => Value::Null,
            },
        })
    }
}

/// A whole number without a fraction.
fn told<'v>(number: f64) -> Value<'v> {
    match number.fract() == 0.0 && number.abs() < EXACT {
        true => Value::integer(number as i64),
        false => Value::float(number),
    }
}

impl Cell {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Count => Cell::Count(0),
            Kind::Sum => Cell::Sum(None),
            Kind::Min => Cell::Min(None),
            Kind::Max => Cell::Max(None),
            Kind::Mean => Cell::Mean(0, Real(0.0)),
            Kind::First => Cell::First(None),
            Kind::Last => Cell::Last(None),
            Kind::Distinct => Cell::Distinct(Distinct::default()),
            Kind::Quantile => Cell::Quantile(Digest::default()),
        }
    }

    pub fn add(&mut self, at: u64, datum: &Datum) {
        let one = match (&*self, datum) {
            (Cell::Count(_), _) => Cell::Count(1),
            (Cell::Sum(_), Datum::Number(number)) => Cell::Sum(Some(Real(*number))),
            (Cell::Min(_), Datum::Number(number)) => Cell::Min(Some(Real(*number))),
            (Cell::Max(_), Datum::Number(number)) => Cell::Max(Some(Real(*number))),
            (Cell::Mean(..), Datum::Number(number)) => Cell::Mean(1, Real(*number)),
            (Cell::First(_), Datum::Json(json)) => Cell::First(Some((at, json.clone()))),
            (Cell::Last(_), Datum::Json(json)) => Cell::Last(Some((at, json.clone()))),
            _ => {
                match (self, datum) {
                    (Cell::Distinct(distinct), Datum::Json(json)) => distinct.add(json.as_bytes()),
                    (Cell::Quantile(digest), Datum::Number(number)) => digest.add(*number),
                    _ => {}
                }
                return;
            }
        };
        self.merge(one);
    }

    /// With the values of later ones; of equal timestamps the first to arrive is the first, and
    /// the last to arrive the last.
    pub fn merge(&mut self, later: Self) {
        let both = |own: &mut Option<Real>, later: Option<Real>, join: fn(f64, f64) -> f64| {
            *own = match (*own, later) {
                (Some(Real(own)), Some(Real(later))) => Some(Real(join(own, later))),
                (own, later) => own.or(later),
            };
        };
        match (self, later) {
            (Cell::Count(own), Cell::Count(later)) => *own += later,
            (Cell::Sum(own), Cell::Sum(later)) => both(own, later, |own, later| own + later),
            (Cell::Min(own), Cell::Min(later)) => both(own, later, f64::min),
            (Cell::Max(own), Cell::Max(later)) => both(own, later, f64::max),
            (Cell::Mean(count, Real(sum)), Cell::Mean(later, Real(further))) => {
                *count += later;
                *sum += further;
            }
            (Cell::First(own), Cell::First(later)) => {
                if let Some((at, _)) = &later
                    && own.as_ref().is_none_or(|(first, _)| at < first)
                {
                    *own = later;
                }
            }
            (Cell::Last(own), Cell::Last(later)) => {
                if let Some((at, _)) = &later
                    && own.as_ref().is_none_or(|(last, _)| at >= last)
                {
                    *own = later;
                }
            }
            (Cell::Distinct(own), Cell::Distinct(later)) => own.merge(later),
            (Cell::Quantile(own), Cell::Quantile(later)) => own.merge(later),
            _ => {}
        }
    }
}
