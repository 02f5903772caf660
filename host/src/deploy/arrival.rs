//! A plugin's file that is still being copied into the folder when a host starts.
//! That is no refusal: the first start of a plugin waits for the rest of the file.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use super::Refusal;
use super::loader::Loader;
use super::watch::Stamp;

/// A file that may not be whole is waited for until it has not changed for this
/// long: a copy over a slow network pauses, and nothing else can run.
const WRITTEN: Duration = Duration::from_secs(30);
/// How often a file is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);
/// How every component begins.
const PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// Bytes of the longest number that says how long a section is.
const LONGEST_LENGTH: usize = 5;

impl Loader {
    /// The bytes of a plugin's file, once it is whole or has not changed for a
    /// while. Who ends the host meanwhile ends the process, and this with it.
    ///
    /// # Errors
    /// As [`Loader::read`].
    pub(super) fn read_whole(&self, plugin: &str) -> Result<Vec<u8>, Refusal> {
        let (mut seen, mut quiet_since, mut age, mut told) = (None, Instant::now(), Duration::ZERO, false);
        loop {
            let stamp = Stamp::of(&self.path(plugin));
            if seen.is_none() || stamp != seen {
                (seen, quiet_since, age) = (stamp, Instant::now(), stamp.map_or(WRITTEN, |stamp| stamp.age()));
                let bytes = self.read(plugin)?;
                if !is_cut_off(&bytes) {
                    return Ok(bytes);
                }
                if !std::mem::replace(&mut told, true) && age < WRITTEN {
                    let path = self.path(plugin).display().to_string();
                    tracing::warn!(
                        plugin,
                        path,
                        "the plugin's file is not whole, as if it were still being written. \
                         The start waits until it is whole, or has not changed for {WRITTEN:?}"
                    );
                }
            }
            if age + quiet_since.elapsed() >= WRITTEN {
                // Its refusal says what is wrong with it.
                return self.read(plugin);
            }
            sleep(LOOK);
        }
    }

    /// Whether `bytes`, just read from the plugin's file, are the beginning of a
    /// component that somebody still writes.
    pub(super) fn still_arrives(&self, plugin: &str, bytes: &[u8]) -> bool {
        let young = || Stamp::of(&self.path(plugin)).is_some_and(|stamp| stamp.age() < WRITTEN);
        is_cut_off(bytes) && young()
    }
}

/// Whether the end of a component is missing. The lengths of its sections tell:
/// nothing that nobody trusted has signed is parsed.
fn is_cut_off(bytes: &[u8]) -> bool {
    // Some tools write zeros first, for the space that a file will take.
    let begins = PREAMBLE.iter().zip(bytes).all(|(expected, byte)| byte == expected || *byte == 0);
    begins && sections(bytes.get(PREAMBLE.len()..).unwrap_or_default()).is_none_or(|count| count == 0)
}

/// How many sections `bytes` are; none where the last one is not whole.
fn sections(mut bytes: &[u8]) -> Option<u64> {
    let mut count = 0;
    while let [_id, rest @ ..] = bytes {
        let (mut length, mut digits) = (0_u64, 0);
        for byte in rest.iter().take(LONGEST_LENGTH) {
            length |= u64::from(byte & 0x7f) << (7 * digits);
            digits += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let content = rest.get(digits..)?;
        // No section is empty: zeros are what is not written yet.
        bytes = content.get(usize::try_from(length).ok()?..).filter(|_| length > 0)?;
        count += 1;
    }
    Some(count)
}

impl Stamp {
    /// The time since somebody wrote to the file; none where the clock that the
    /// file's time is from is ahead.
    fn age(&self) -> Duration {
        let modified = self.modified.unwrap_or(SystemTime::UNIX_EPOCH);
        SystemTime::now().duration_since(modified).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_cut_off_until_its_last_byte() {
        let whole = crate::demo_plugins()[2].1;
        assert!(!is_cut_off(whole));
        let boundaries = (0..whole.len()).filter(|length| !is_cut_off(&whole[..*length])).count() as u64;
        // Where a section ends exactly, what is there could be all of it.
        assert_eq!(Some(boundaries + 1), sections(&whole[PREAMBLE.len()..]));
        let mut reserved = vec![0; whole.len()];
        assert!(is_cut_off(&reserved));
        reserved[..1_000].copy_from_slice(&whole[..1_000]);
        assert!(is_cut_off(&reserved));
    }

    #[test]
    fn what_will_never_be_a_component_is_not_waited_for() {
        for bytes in [b"#!/bin/sh\n".as_slice(), b"\0asm\x01\0\0\0", b"\x7fELF"] {
            assert!(!is_cut_off(bytes), "{bytes:?}");
        }
        assert!(is_cut_off(b"") && is_cut_off(b"\0as"));
    }
}
