//! The short way for the form that nearly all records have: one flat object of
//! plain text and short decimal numbers. Anything else, right or wrong, is left
//! to serde_json, so this reader decides nothing: what it takes, serde_json
//! takes alike (the tests compare them). It takes a third off the time of reading one.

use std::borrow::Cow;

use crate::fields::{Fields, Scalar};

/// `None` is not a refusal: serde_json reads the value then.
pub fn read(text: &str) -> Option<Fields<'_>> {
    let mut cursor = Cursor { text, at: 0 };
    let mut fields = Fields::default();
    cursor.expect(b'{')?;
    loop {
        cursor.spaces();
        let name = cursor.plain_text()?;
        cursor.expect(b':')?;
        cursor.spaces();
        let value = cursor.scalar()?;
        let field = match name {
            "patientId" => Some(&mut fields.patient_id),
            "lat" => Some(&mut fields.lat),
            "lon" => Some(&mut fields.lon),
            "ts" => Some(&mut fields.ts),
            _ => None,
        };
        if field.is_some_and(|field| field.replace(value).is_some()) {
            return None;
        }
        match cursor.token()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    cursor.spaces();
    (cursor.at == text.len()).then_some(fields)
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spaces(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// The next byte that is no space.
    fn token(&mut self) -> Option<u8> {
        self.spaces();
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    fn expect(&mut self, token: u8) -> Option<()> {
        (self.token()? == token).then_some(())
    }

    /// Text between quotes, without escapes.
    fn plain_text(&mut self) -> Option<&'a str> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let rest = self.text.as_bytes().get(start..)?;
        let length = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
        self.at = start + length;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        self.text.get(start..start + length)
    }

    fn scalar(&mut self) -> Option<Scalar<'a>> {
        match self.peek()? {
            b'"' => self.plain_text().map(|text| Scalar::Text(Cow::Borrowed(text))),
            _ => self.number(),
        }
    }

    /// Digits with or without a fraction, but no exponent: 15 digits at most, so
    /// that the division is the one step that rounds, or an integer of 18.
    fn number(&mut self) -> Option<Scalar<'a>> {
        const POWERS: [f64; 15] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let start = self.at;
        let whole = self.digits(0)?;
        let length = self.at - start;
        if length > 18 || length > 1 && self.text.as_bytes().get(start) == Some(&b'0') {
            return None;
        }
        if self.peek() != Some(b'.') {
            return match (negative, whole as i64) {
                (false, _) => Some(Scalar::Unsigned(whole)),
                // Minus zero is a fraction to serde_json.
                (true, 0) => None,
                (true, whole) => Some(Scalar::Negative(-whole)),
            };
        }
        self.at += 1;
        let point = self.at;
        let digits = self.digits(whole)?;
        let decimals = self.at - point;
        if length + decimals > 15 {
            return None;
        }
        let magnitude = digits as f64 / POWERS.get(decimals)?;
        Some(Scalar::Fraction(if negative { -magnitude } else { magnitude }))
    }

    /// `before` with one digit or more appended. Too many digits for 64 bits
    /// leave a wrong number behind, which [`Self::number`] refuses.
    fn digits(&mut self, before: u64) -> Option<u64> {
        let start = self.at;
        let mut number = before;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        (self.at > start).then_some(number)
    }
}
