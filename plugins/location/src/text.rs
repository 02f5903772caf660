//! Text of records, written into a buffer with few instructions.

/// Decimal places that [`decimal`] looks for: of degrees, a centimetre.
const PLACES: usize = 7;
const SCALE: u64 = 10_u64.pow(PLACES as u32);
/// What [`decimal`] takes, in units of its last place: up to fifteen digits,
/// and nothing so small that it would be written with an exponent.
const RANGE: std::ops::Range<f64> = 1e4..1e15;

/// Eight digits.
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// Appends `text`. A copy of a length that is known only at run time is a call
/// out of WebAssembly; the copies here have fixed lengths and may overlap.
#[inline(always)]
pub fn append(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        16..=32 => append_ends::<16>(out, text),
        8..=15 => append_ends::<8>(out, text),
        4..=7 => append_ends::<4>(out, text),
        1..=3 => text.iter().for_each(|byte| out.push(*byte)),
        _ => out.extend_from_slice(text),
    }
}

/// `text` has `N` to twice `N` bytes.
#[inline(always)]
fn append_ends<const N: usize>(out: &mut Vec<u8>, text: &[u8]) {
    if let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) {
        let before_last = out.len() + text.len() - N;
        out.extend_from_slice(first);
        out.truncate(before_last);
        out.extend_from_slice(last);
    }
}

/// Appends `number` with as many decimal places as it takes to read it back,
/// `whole` where that is none, and says whether it did: numbers of more than
/// seven places or fifteen digits, and small ones, are left to others.
///
/// A decimal number of up to fifteen digits comes back from a double
/// unchanged, so no shorter one can stand for the same double: this is the text
/// that the shortest of all is, for a fraction of what finding it takes.
#[inline(always)]
pub fn decimal(out: &mut Vec<u8>, number: f64, whole: &[u8]) -> bool {
    let scaled = (number.abs() * SCALE as f64 + 0.5).floor();
    if !RANGE.contains(&scaled) || scaled / SCALE as f64 != number.abs() {
        return false;
    }
    let scaled = scaled as u64;
    if number < 0.0 {
        out.push(b'-');
    }
    integer(out, scaled / SCALE);
    let rest = (scaled % SCALE) as u32;
    if rest == 0 {
        append(out, whole);
        return true;
    }
    // Seven digits and a zero, of which all zeros at the end go.
    let (first, last) = (four_digits(rest / 1_000), four_digits(rest % 1_000 * 10));
    let zeros = (((u64::from(last) << 32) | u64::from(first)) ^ ZEROS).leading_zeros();
    out.push(b'.');
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&last.to_le_bytes());
    out.truncate(out.len() - zeros as usize / 8);
    true
}

/// Appends `number`.
#[inline(always)]
pub fn integer(out: &mut Vec<u8>, number: u64) {
    if number >= 10_000 {
        return append(out, itoa::Buffer::new().format(number).as_bytes());
    }
    let digits = four_digits(number as u32);
    let zeros = (digits ^ ZEROS as u32).trailing_zeros().min(24) & 24;
    out.extend_from_slice(&(digits >> zeros).to_le_bytes());
    out.truncate(out.len() - zeros as usize / 8);
}

/// The text of a number below 10,000, the first digit lowest.
#[inline(always)]
fn four_digits(number: u32) -> u32 {
    let pairs = (number / 100) | ((number % 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f;
    tens | ((pairs - 10 * tens) << 8) | ZEROS as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(number: f64, whole: &str) -> Option<String> {
        let mut out = b"x".to_vec();
        decimal(&mut out, number, whole.as_bytes()).then(|| String::from_utf8(out[1..].to_vec()).unwrap())
    }

    #[test]
    fn text_of_any_length_is_appended_whole() {
        let text: Vec<u8> = (0..100).collect();
        for len in 0..=text.len() {
            let mut out = b"before".to_vec();
            append(&mut out, &text[..len]);
            assert_eq!(out, [b"before", &text[..len]].concat());
        }
    }

    #[test]
    fn integers_are_written_as_they_are() {
        for number in (0..20_000).chain([u64::MAX]) {
            let mut out = b"x".to_vec();
            integer(&mut out, number);
            assert_eq!(out, format!("x{number}").as_bytes());
        }
    }

    #[test]
    fn degrees_of_usual_precision_are_written_here() {
        for (number, text) in [
            (38.7167, "38.7167"),
            (-9.1333, "-9.1333"),
            (52.123_456_7, "52.1234567"),
            (180.0, "180.0"),
            (-0.001, "-0.001"),
            (99_999_999.999_999_9, "99999999.9999999"),
        ] {
            assert_eq!(written(number, ".0").as_deref(), Some(text));
        }
        assert_eq!(written(-90.0, "").as_deref(), Some("-90"));
    }

    #[test]
    fn other_numbers_are_left_to_others() {
        for number in [0.0, -0.0, 1e-4, 1e8, 0.1 + 0.2, 1.0 / 3.0, f64::NAN, f64::INFINITY, f64::MIN] {
            assert_eq!(written(number, ".0"), None, "{number}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_written_is_the_shortest_that_reads_back(
            number in prop_oneof![
                (-2_000_000_000_i64..2_000_000_000, 0..9).prop_map(|(n, places)| n as f64 / 10_f64.powi(places)),
                -1e9..1e9,
                any::<f64>(),
            ]
        ) {
            if let Some(text) = written(number, ".0") {
                prop_assert_eq!(text, serde_json::to_string(&number).unwrap());
            }
            if let Some(text) = written(number, "") {
                prop_assert_eq!(text, number.to_string());
            }
        }
    }

    #[test]
    fn numbers_of_four_digits_keep_their_zeros() {
        for number in 0..10_000 {
            assert_eq!(four_digits(number).to_le_bytes(), *format!("{number:04}").as_bytes());
        }
    }
}
