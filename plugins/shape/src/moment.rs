//! Points in time, as microseconds since the Unix epoch, and the forms they are written in.

use gregor_sdk::document::Value;

const SECOND: i128 = 1_000_000;
const DAY: i128 = 86_400 * SECOND;
/// Of the years 0 to 9999, in days since the Unix epoch.
const DAYS: std::ops::RangeInclusive<i128> = -719_528..=2_932_896;

#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// Microseconds of one unit: a count of seconds, milliseconds or microseconds.
    Count(i128),
    Rfc3339,
    /// As `%Y-%m-%d`.
    Pattern(Vec<Part>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// Of a second: three digits when written, one to six when read.
    Fraction,
    /// `Z`, `+01:00` or `+0100`; `Z` when written.
    Zone,
    Literal(char),
}

/// What a text says of a point in time.
struct Clock {
    year: i128,
    month: i128,
    day: i128,
    hour: i128,
    minute: i128,
    second: i128,
    micros: i128,
    /// Minutes ahead of UTC.
    ahead: i128,
}

impl Format {
    /// # Errors
    /// The formats there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "seconds" => return Ok(Format::Count(SECOND)),
            "millis" => return Ok(Format::Count(1_000)),
            "micros" => return Ok(Format::Count(1)),
            "rfc3339" => return Ok(Format::Rfc3339),
            "date" => return Self::parse("%Y-%m-%d"),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            parts.push(match (character, if character == '%' { characters.next() } else { None }) {
                ('%', Some('Y')) => Part::Year,
                ('%', Some('m')) => Part::Month,
                ('%', Some('d')) => Part::Day,
                ('%', Some('H')) => Part::Hour,
                ('%', Some('M')) => Part::Minute,
                ('%', Some('S')) => Part::Second,
                ('%', Some('f')) => Part::Fraction,
                ('%', Some('z')) => Part::Zone,
                ('%', Some('%')) => Part::Literal('%'),
                ('%', _) => return Err(format!("`{text}` has a `%` before none of Y m d H M S f z %")),
                (other, _) => Part::Literal(other),
            });
        }
        match parts.contains(&Part::Year) && parts.contains(&Part::Month) && parts.contains(&Part::Day) {
            true => Ok(Format::Pattern(parts)),
            false => Err(format!(
                "`{text}` is no format of time: write seconds, millis, micros, rfc3339, date or a pattern such as %d.%m.%Y"
            )),
        }
    }

    /// # Errors
    /// That the value is no time in this form; it is not quoted.
    pub fn read(&self, value: &Value<'_>) -> Result<i128, String> {
        let wrong = || format!("is {} that is no time in the form that is configured", value.kind());
        let text = match value {
            Value::Text(text) => text.trim(),
            Value::Number(number) => number.as_ref(),
            _ => return Err(wrong()),
        };
        let read = match self {
            Format::Count(unit) => count(text, *unit),
            Format::Rfc3339 => rfc3339(text),
            Format::Pattern(parts) => pattern(text, parts),
        };
        read.filter(|micros| DAYS.contains(&micros.div_euclid(DAY))).ok_or_else(wrong)
    }

    /// # Errors
    /// None for a time that [`Format::read`] gave.
    pub fn write<'v>(&self, micros: i128) -> Result<Value<'v>, String> {
        Ok(match self {
            Format::Count(unit) => {
                let (whole, rest) = (micros.div_euclid(*unit), micros.rem_euclid(*unit));
                match (rest, micros < 0) {
                    (0, _) => Value::integer(whole),
                    (rest, false) => decimal(whole, rest, *unit, ""),
                    (rest, true) => decimal(-whole - 1, unit - rest, *unit, "-"),
                }
            }
            Format::Rfc3339 => {
                let fraction = if micros.rem_euclid(SECOND) == 0 { "" } else { ".%f" };
                return Self::parse(&format!("%Y-%m-%dT%H:%M:%S{fraction}%z"))?.write(micros);
            }
            Format::Pattern(parts) => {
                let clock = Clock::of(micros);
                Value::text(parts.iter().map(|part| clock.part(*part)).collect::<String>())
            }
        })
    }
}

fn decimal<'v>(whole: i128, rest: i128, unit: i128, sign: &str) -> Value<'v> {
    let digits = unit.to_string().len() - 1;
    let text = format!("{sign}{whole}.{rest:0digits$}");
    Value::Number(text.trim_end_matches('0').to_owned().into())
}

/// Digits, with a fraction of at most a microsecond.
fn count(text: &str, unit: i128) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let of_unit = unit.to_string().len() - 1;
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 20 || !is_plain(whole) || !is_plain(fraction) || fraction.len() > 9 {
        return None;
    }
    let fraction: String = fraction.chars().chain("000000".chars()).take(of_unit).collect();
    let fraction: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    Some(sign * (whole.parse::<i128>().ok()? * unit + fraction))
}

fn rfc3339(text: &str) -> Option<i128> {
    let separator = text.chars().nth(10).filter(|separator| matches!(separator, 'T' | 't' | ' '))?;
    let has_fraction = text.get(19..20) == Some(".");
    let fraction = if has_fraction { ".%f" } else { "" };
    let Format::Pattern(parts) = Format::parse(&format!("%Y-%m-%d{separator}%H:%M:%S{fraction}%z")).ok()? else {
        return None;
    };
    pattern(text, &parts)
}

fn pattern(text: &str, parts: &[Part]) -> Option<i128> {
    let mut clock = Clock { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, micros: 0, ahead: 0 };
    let mut rest = text;
    for part in parts {
        rest = match part {
            Part::Literal(literal) => rest.strip_prefix(*literal)?,
            Part::Year => digits(rest, 4, &mut clock.year)?,
            Part::Month => digits(rest, 2, &mut clock.month)?,
            Part::Day => digits(rest, 2, &mut clock.day)?,
            Part::Hour => digits(rest, 2, &mut clock.hour)?,
            Part::Minute => digits(rest, 2, &mut clock.minute)?,
            Part::Second => digits(rest, 2, &mut clock.second)?,
            Part::Fraction => fraction(rest, &mut clock.micros)?,
            Part::Zone => zone(rest, &mut clock.ahead)?,
        };
    }
    if rest.is_empty() { clock.micros() } else { None }
}

fn digits<'t>(text: &'t str, number: usize, into: &mut i128) -> Option<&'t str> {
    let digits = text.get(..number).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    *into = digits.parse().ok()?;
    text.get(number..)
}

fn fraction<'t>(text: &'t str, into: &mut i128) -> Option<&'t str> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let six: String = text[..length].chars().chain("00000".chars()).take(6).collect();
    *into = six.parse().ok()?;
    text.get(length..)
}

fn zone<'t>(text: &'t str, into: &mut i128) -> Option<&'t str> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some(rest);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (mut hours, mut minutes) = (0, 0);
    let rest = digits(&text[1..], 2, &mut hours)?;
    let rest = digits(rest.strip_prefix(':').unwrap_or(rest), 2, &mut minutes)?;
    *into = sign * (hours * 60 + minutes);
    (hours < 24 && minutes < 60).then_some(rest)
}

impl Clock {
    /// By Howard Hinnant's `civil_from_days`.
    fn of(micros: i128) -> Self {
        let (days, time) = (micros.div_euclid(DAY) + 719_468, micros.rem_euclid(DAY));
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i128::from(month <= 2);
        let seconds = time / SECOND;
        Self {
            year,
            month,
            day: of_year - (153 * shifted + 2) / 5 + 1,
            hour: seconds / 3_600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: time % SECOND,
            ahead: 0,
        }
    }

    /// `None` where there is no such day or time of day; a leap second is the next one.
    fn micros(&self) -> Option<i128> {
        if !(1..=12).contains(&self.month) || self.day < 1 || self.hour > 23 || self.minute > 59 || self.second > 60 {
            return None;
        }
        let year = self.year - i128::from(self.month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        let midnight = Self::of(days * DAY);
        if (midnight.year, midnight.month, midnight.day) != (self.year, self.month, self.day) {
            return None;
        }
        let seconds = (self.hour * 60 + self.minute - self.ahead) * 60 + self.second;
        Some(days * DAY + seconds * SECOND + self.micros)
    }

    fn part(&self, part: Part) -> String {
        match part {
            Part::Year => format!("{:04}", self.year),
            Part::Month => format!("{:02}", self.month),
            Part::Day => format!("{:02}", self.day),
            Part::Hour => format!("{:02}", self.hour),
            Part::Minute => format!("{:02}", self.minute),
            Part::Second => format!("{:02}", self.second),
            Part::Fraction => format!("{:03}", self.micros / 1_000),
            Part::Zone => "Z".to_owned(),
            Part::Literal(literal) => literal.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changed(value: &str, from: &str, to: &str) -> Result<String, String> {
        let value = Value::read(value.as_bytes()).expect("JSON");
        let micros = Format::parse(from).expect("good").read(&value)?;
        Ok(Format::parse(to).expect("good").write(micros)?.to_string())
    }

    #[test]
    fn times_are_the_same_in_every_form() {
        for (value, from, to, expected) in [
            ("1767254400000", "millis", "rfc3339", r#""2026-01-01T08:00:00Z""#),
            ("1767254400123", "millis", "rfc3339", r#""2026-01-01T08:00:00.123Z""#),
            (r#""2026-01-01T09:30:00.5+01:30""#, "rfc3339", "millis", "1767254400500"),
            (r#""2026-01-01 08:00:00Z""#, "rfc3339", "seconds", "1767254400"),
            ("1767254400.25", "seconds", "millis", "1767254400250"),
            ("1500", "millis", "seconds", "1.5"),
            ("-1500", "millis", "seconds", "-1.5"),
            (r#""29.02.2024, 23:59""#, "%d.%m.%Y, %H:%M", "date", r#""2024-02-29""#),
            (r#""0000-03-01""#, "date", "%d/%m/%Y", r#""01/03/0000""#),
            (r#""1969-12-31""#, "date", "millis", "-86400000"),
            (r#""9999-12-31""#, "date", "micros", "253402214400000000"),
        ] {
            assert_eq!(changed(value, from, to).as_deref(), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_without_being_quoted() {
        for (value, from) in [
            (r#""2025-02-29""#, "date"),
            (r#""2026-13-01""#, "date"),
            (r#""2026-01-01T25:00:00Z""#, "rfc3339"),
            (r#""2026-01-01T00:00:00""#, "rfc3339"),
            (r#""2026-01-01T00:00:00+2500""#, "rfc3339"),
            (r#""é026-01-01T""#, "rfc3339"),
            ("1e12", "millis"),
            ("999999999999999999999", "seconds"),
            ("true", "millis"),
            (r#""SECRET""#, "date"),
        ] {
            let problem = changed(value, from, "millis").expect_err(value);
            assert!(problem.contains("no time in the form") && !problem.contains("SECRET"), "{problem}");
        }
        for format in ["%Q", "%Y-%m", "noon", "%"] {
            assert!(Format::parse(format).is_err(), "{format}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_time_comes_back_from_every_form(millis in -62_167_219_200_000_i64..253_402_300_799_999) {
            for form in ["rfc3339", "%Y %m %d %H:%M:%S.%f", "seconds", "micros"] {
                let there = changed(&millis.to_string(), "millis", form).unwrap();
                prop_assert_eq!(changed(&there, form, "millis"), Ok(millis.to_string()), "{}", there);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            for form in ["rfc3339", "date", "millis", "%d%m%Y%f%z"] {
                let _ = Format::parse(form).unwrap().read(&Value::text(text.as_str()));
            }
        }
    }
}
