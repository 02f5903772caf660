//! The shape that nearly every record has: one flat object of just the four
//! fields, plain text and short numbers. Read here in one pass; every other
//! value is left to serde_json, invalid ones too.

use std::borrow::Cow;

use crate::{Location, MAX_PATIENT_ID};

/// Most digits of a number read here. Below 2^53 they are exact as a double,
/// and one division by a power of ten rounds correctly (Clinger, "How to Read
/// Floating Point Numbers Accurately", 1990).
const DIGITS: usize = 15;

const POWERS_OF_TEN: [f64; DIGITS] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];

/// `None` leaves the value to serde_json.
#[inline(always)]
pub fn read(value: &[u8]) -> Option<Location<'_>> {
    let mut text = Text { value, at: 0 };
    let (mut patient_id, mut lat, mut lon, mut ts) = (None, None, None, None);
    text.take(b'{')?;
    loop {
        text.take(b'"')?;
        let name = text.string()?;
        text.take(b':')?;
        // Byte by byte: a comparison of slices is a call in WebAssembly.
        let repeated_or_other = match name {
            [b'p', b'a', b't', b'i', b'e', b'n', b't', b'I', b'd'] => {
                text.take(b'"')?;
                patient_id.replace(text.string()?).is_some()
            }
            [b'l', b'a', b't'] => lat.replace(text.degrees()?).is_some(),
            [b'l', b'o', b'n'] => lon.replace(text.degrees()?).is_some(),
            [b't', b's'] => ts.replace(text.integer()?).is_some(),
            _ => true,
        };
        if repeated_or_other {
            return None;
        }
        match text.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    let (patient_id, lat, lon) = (std::str::from_utf8(patient_id?).ok()?, lat?, lon?);
    let valid = text.next().is_none()
        && (1..=MAX_PATIENT_ID).contains(&patient_id.len())
        && lat.abs() <= 90.0
        && lon.abs() <= 180.0;
    valid.then_some(Location { patient_id: Cow::Borrowed(patient_id), lat, lon, ts })
}

struct Text<'a> {
    value: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    /// The next byte that is no white space.
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.value.get(self.at)?;
            self.at += 1;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
        }
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// Printable ASCII without escapes, after its opening quote.
    #[inline(always)]
    fn string(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        loop {
            let byte = *self.value.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => return self.value.get(start..self.at - 1),
                b'\\' | ..b' ' | 0x7f.. => return None,
                _ => {}
            }
        }
    }

    /// A number that is no integer's zero: serde_json tells 0 from -0.
    #[inline(always)]
    fn degrees(&mut self) -> Option<f64> {
        let negative = self.next()? == b'-';
        if !negative {
            self.at -= 1;
        }
        let start = self.at;
        let whole = self.digits(0)?;
        let zeros_first = self.at - start > 1 && self.value.get(start) == Some(&b'0');
        let mut number = whole;
        let mut places = 0;
        if self.value.get(self.at) == Some(&b'.') {
            self.at += 1;
            let from = self.at;
            number = self.digits(whole)?;
            places = self.at - from;
        }
        if self.at - start > DIGITS || zeros_first || number == 0 {
            return None;
        }
        let degrees = number as f64 / POWERS_OF_TEN.get(places)?;
        Some(if negative { -degrees } else { degrees })
    }

    #[inline(always)]
    fn integer(&mut self) -> Option<u64> {
        self.next()?;
        self.at -= 1;
        let start = self.at;
        let number = self.digits(0)?;
        let zero_first = self.value.get(start) == Some(&b'0');
        (self.at - start <= DIGITS && !zero_first).then_some(number)
    }

    /// One digit or more, after those of `number`.
    #[inline(always)]
    fn digits(&mut self, mut number: u64) -> Option<u64> {
        let start = self.at;
        loop {
            let digit = self.value.get(self.at)?.wrapping_sub(b'0');
            if digit > 9 {
                return (self.at > start).then_some(number);
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{parse, parse_any};

    fn number() -> impl Strategy<Value = String> {
        prop_oneof![
            "-?[0-9]{1,3}\\.[0-9]{1,16}",
            "-?[0-9]{1,16}",
            "-?[0-9]{0,3}[.eE+-]{0,3}[0-9]{0,3}",
            Just("1700000000000".to_owned()),
        ]
    }

    fn field() -> impl Strategy<Value = String> {
        let space = || "[ \n\r\t]{0,2}";
        let value =
            prop_oneof![number(), "\"[ -~]{0,12}\"", "\"\\PC{0,4}\"", Just("null".to_owned()), Just("[1]".to_owned())];
        let name =
            prop_oneof![Just("patientId"), Just("lat"), Just("lon"), Just("ts"), Just("ward"), Just("l\\u0061t")];
        (space(), name, space(), space(), value, space())
            .prop_map(|(a, name, b, c, value, d)| format!("{a}\"{name}\"{b}:{c}{value}{d}"))
    }

    fn typical() -> impl Strategy<Value = String> {
        let fields = ("\"[a-z0-9-]{1,12}\"", number(), number(), "[0-9]{1,15}");
        fields.prop_map(|(id, lat, lon, ts)| format!(r#"{{"patientId":{id},"lat":{lat},"lon":{lon},"ts":{ts}}}"#))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn it_says_what_serde_json_says(value in typical()) {
            prop_assert_eq!(parse(value.as_bytes()), parse_any(value.as_bytes()));
        }

        #[test]
        fn it_says_what_serde_json_says_of_any_object(fields in prop::collection::vec(field(), 0..6), end in "[ }x]{0,2}") {
            let value = format!("{{{}}}{end}", fields.join(","));
            prop_assert_eq!(parse(value.as_bytes()), parse_any(value.as_bytes()));
        }

        #[test]
        fn a_value_cut_off_is_what_serde_json_says(value in typical(), kept in 0.0..1.0) {
            let cut = &value.as_bytes()[..(value.len() as f64 * kept) as usize];
            prop_assert_eq!(parse(cut), parse_any(cut));
        }
    }

    #[test]
    fn zeros_before_a_number_are_no_json() {
        for number in ["00.1", "-00.1", "01.5", "007", "00"] {
            for field in ["lat", "lon", "ts"] {
                let value = r#"{"patientId":"1","lat":1.5,"lon":1.5,"ts":5}"#;
                let usual = if field == "ts" { "\"ts\":5".to_owned() } else { format!("\"{field}\":1.5") };
                let value = value.replace(&usual, &format!("\"{field}\":{number}"));
                assert!(parse(value.as_bytes()).is_err(), "{value}");
            }
        }
    }

    #[test]
    fn the_usual_record_is_read_here() {
        let value = br#"{"patientId": "123", "lat": 38.7167, "lon": -9.1333, "ts": 1700000000000}"#;
        assert_eq!(super::read(value), parse_any(value).ok());
    }
}
