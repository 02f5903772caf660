//! The shape that nearly every record has: one flat object of just the four
//! fields, plain text and short numbers. Read here in one pass; every other
//! value is left to serde_json, invalid ones too.

use std::borrow::Cow;

use crate::{Location, MAX_PATIENT_ID};

/// Most digits of a number read here. Below 2^53 they are exact as a double,
/// and one division by a power of ten rounds correctly (Clinger, "How to Read
/// Floating Point Numbers Accurately", 1990).
const DIGITS: usize = 15;

const POWERS_OF_TEN: [u64; DIGITS] = {
    let mut powers = [1; DIGITS];
    let mut power = 1;
    while power < DIGITS {
        powers[power] = 10 * powers[power - 1];
        power += 1;
    }
    powers
};

/// `None` leaves the value to serde_json.
#[inline(always)]
pub fn read(value: &[u8]) -> Option<Location<'_>> {
    let mut text = Text { value, end: *value.last_chunk()?, at: 0 };
    let (mut patient_id, mut lat, mut lon, mut ts) = (None, None, None, None);
    text.take(b'{')?;
    loop {
        text.take(b'"')?;
        let name = text.name()?;
        text.take(b':')?;
        let repeated = match name {
            Name::PatientId => {
                text.take(b'"')?;
                patient_id.replace(text.string()?).is_some()
            }
            Name::Lat => lat.replace(text.degrees()?).is_some(),
            Name::Lon => lon.replace(text.degrees()?).is_some(),
            Name::Ts => ts.replace(text.integer()?).is_some(),
        };
        if repeated {
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

#[derive(Clone, Copy)]
enum Name {
    PatientId,
    Lat,
    Lon,
    Ts,
}

struct Text<'a> {
    value: &'a [u8],
    /// The value's last bytes.
    end: [u8; WORD],
    at: usize,
}

/// Bytes looked at together: in WebAssembly each turn of a loop costs a look at
/// the call's deadline besides.
const WORD: usize = 8;

/// `byte` in each byte of a word.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; WORD])
}

/// The high bit of the first byte that is zero, and perhaps of later ones.
const fn zero(word: u64) -> u64 {
    below(word, 1)
}

/// The high bit of the first byte below `bound`, and perhaps of later ones.
const fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(each(bound)) & !word & each(0x80)
}

impl<'a> Text<'a> {
    /// The next byte that is no white space.
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        let byte = *self.value.get(self.at)?;
        self.at += 1;
        if byte > b' ' { Some(byte) } else { self.after_space(byte) }
    }

    #[cold]
    fn after_space(&mut self, mut byte: u8) -> Option<u8> {
        while matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            byte = *self.value.get(self.at)?;
            self.at += 1;
        }
        Some(byte)
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// The next bytes, the first one lowest, as they are; past the end, zeros.
    #[inline(always)]
    fn word(&self) -> Option<u64> {
        let rest = self.value.get(self.at..)?;
        Some(match rest.first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => u64::from_le_bytes(self.end).checked_shr(8 * (WORD - rest.len()) as u32).unwrap_or(0),
        })
    }

    /// One of the four, after its opening quote.
    #[inline(always)]
    fn name(&mut self) -> Option<Name> {
        let (name, length) = match self.word()?.to_le_bytes() {
            [b'l', b'a', b't', b'"', ..] => (Name::Lat, 4),
            [b'l', b'o', b'n', b'"', ..] => (Name::Lon, 4),
            [b't', b's', b'"', ..] => (Name::Ts, 3),
            [b'p', b'a', b't', b'i', b'e', b'n', b't', b'I'] => {
                self.at += WORD;
                match self.word()?.to_le_bytes() {
                    [b'd', b'"', ..] => (Name::PatientId, 2),
                    _ => return None,
                }
            }
            _ => return None,
        };
        self.at += length;
        Some(name)
    }

    /// ASCII without escapes, after its opening quote.
    #[inline(always)]
    fn string(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        loop {
            let word = self.word()?;
            let special = zero(word ^ each(b'"')) | zero(word ^ each(b'\\')) | below(word, b' ') | (word & each(0x80));
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                let string = self.value.get(start..self.at)?;
                let closed = self.value.get(self.at) == Some(&b'"');
                self.at += 1;
                return closed.then_some(string);
            }
            self.at += WORD;
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
        let degrees = number as f64 / *POWERS_OF_TEN.get(places)? as f64;
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
            let digits = self.word()? ^ each(b'0');
            let other = (digits.wrapping_add(each(6)) | digits) & each(0xf0);
            let count = other.trailing_zeros() as usize / 8;
            self.at += count;
            number = number.wrapping_mul(*POWERS_OF_TEN.get(count)?).wrapping_add(first(digits, count));
            if count < WORD {
                return (self.at > start).then_some(number);
            }
        }
    }
}

/// The number that the first `count` digits of a word make: pairs, pairs of
/// pairs, both halves.
#[inline(always)]
fn first(digits: u64, count: usize) -> u64 {
    let digits = digits.checked_shl(8 * (WORD - count) as u32).unwrap_or(0);
    let pairs = (digits.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(1 + (10_000 << 32)) >> 32
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
