//! The output's value, written by hand: to the byte what serde_json makes of
//! the same fields, in less time.

use location::Location;

use crate::track::{Step, Track};

/// Bytes of the field names, and of their numbers at their longest.
const ROOM: usize = 256;

pub fn write(location: &Location<'_>, track: &Track, step: &Step) -> Vec<u8> {
    let mut out = Vec::with_capacity(ROOM + location.patient_id.len());
    out.extend_from_slice(br#"{"patientId":"#);
    text(&mut out, &location.patient_id);
    out.extend_from_slice(br#","lat":"#);
    float(&mut out, track.lat);
    out.extend_from_slice(br#","lon":"#);
    float(&mut out, track.lon);
    out.extend_from_slice(br#","ts":"#);
    integer(&mut out, track.ts);
    out.extend_from_slice(br#","count":"#);
    integer(&mut out, track.count);
    out.extend_from_slice(br#","movedM":"#);
    float(&mut out, step.moved_m);
    out.extend_from_slice(br#","totalM":"#);
    float(&mut out, track.total_m);
    #[cfg(feature = "speed")]
    {
        out.extend_from_slice(br#","speedMps":"#);
        float(&mut out, step.speed_mps);
    }
    out.push(b'}');
    out
}

/// `number` must be finite, as all that [`Track::decode`] and parsing let in is.
fn float(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
}

fn integer(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        text.bytes().for_each(|byte| escaped(out, byte));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        0..0x20 => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
        _ => return out.push(byte),
    };
    out.extend_from_slice(&[b'\\', short]);
}
