//! Signatures over components: ed25519, in a custom section in front, as
//! wasmsign2 has them. They cover every byte after that section.

use std::collections::HashSet;

use wasmsign2::{Module, PublicKey, PublicKeySet, SecretKey, WSError};

use super::Refusal;
use crate::foreign::ForeignText;
use crate::plugin::Refused;

/// Keys that signatures are accepted of; where there are none, signatures are
/// not asked for.
#[derive(Clone, Debug)]
pub struct Trusted(PublicKeySet);

impl Trusted {
    pub fn new(keys: &[PublicKey]) -> Trusted {
        Trusted(PublicKeySet::new(keys.iter().cloned().collect::<HashSet<_>>()))
    }

    /// # Errors
    /// When there are keys, and none of them signed exactly these bytes.
    pub fn check(&self, component: &[u8]) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        if !lengths_fit(component) {
            return Err(Refusal::Untrusted);
        }
        match self.0.verify(&mut &*component, None) {
            Ok(_) => Ok(()),
            Err(WSError::NoSignatures) => Err(Refusal::Unsigned),
            Err(_) => Err(Refusal::Untrusted),
        }
    }
}

/// Whether the lengths that a signature section names are within it: wasmsign2
/// takes memory for what they say before it looks.
fn lengths_fit(component: &[u8]) -> bool {
    fn walk(component: &[u8]) -> Option<()> {
        let mut section = Bytes(component.get(8..)?);
        if section.take(1)? != [0] {
            return Some(());
        }
        let mut section = Bytes(section.slice()?);
        if section.slice()? != b"signature" {
            return Some(());
        }
        section.take(3)?;
        for _ in 0..section.number()? {
            let mut set = Bytes(section.slice()?);
            let hashes = set.number()?;
            set.take(hashes.checked_mul(32)?)?;
            for _ in 0..set.number()? {
                let mut signature = Bytes(set.slice()?);
                signature.slice()?;
                signature.take(1)?;
                signature.slice()?;
            }
        }
        Some(())
    }
    walk(component).is_some()
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// An unsigned LEB128 number of 32 bits.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).ok();
            }
        }
        None
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }
}

/// A component with a signature of `key` in front, in the place of one it had.
///
/// # Errors
/// When it is no component, or damaged.
pub fn sign(component: &[u8], key: &SecretKey) -> Result<Vec<u8>, Refused> {
    let damaged = |error: WSError| Refused::Invalid(ForeignText::of_error(&error));
    let signed = key.sign(Module::deserialize(&mut &*component).map_err(damaged)?, None).map_err(damaged)?;
    let mut bytes = Vec::with_capacity(component.len() + 256);
    signed.serialize(&mut bytes).map_err(damaged)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use wasmsign2::KeyPair;

    use super::*;

    fn component() -> &'static [u8] {
        crate::demo_plugins()[2].1
    }

    #[test]
    fn without_keys_nothing_is_asked() {
        assert!(Trusted::new(&[]).check(component()).is_ok());
    }

    #[test]
    fn only_what_a_trusted_key_signed_is_accepted() {
        let (ours, theirs) = (KeyPair::generate(), KeyPair::generate());
        let trusted = Trusted::new(&[theirs.pk.clone(), ours.pk.clone()]);
        let signed = sign(component(), &ours.sk).unwrap();
        assert!(trusted.check(&signed).is_ok());
        assert!(matches!(trusted.check(component()), Err(Refusal::Unsigned)));
        assert!(matches!(Trusted::new(&[theirs.pk]).check(&signed), Err(Refusal::Untrusted)));
        // A signature takes the place of the one before.
        let again = sign(&signed, &ours.sk).unwrap();
        assert_eq!(again, signed);
    }

    #[test]
    fn a_change_of_any_byte_or_of_the_length_is_found() {
        let key = KeyPair::generate();
        let trusted = Trusted::new(std::slice::from_ref(&key.pk));
        let signed = sign(component(), &key.sk).unwrap();
        let start = signed.len() - component().len();
        for at in (start + 8..signed.len()).step_by(613).chain([signed.len() - 1]) {
            let mut altered = signed.clone();
            altered[at] ^= 1;
            assert!(trusted.check(&altered).is_err(), "byte {at}");
        }
        assert!(trusted.check(&[&signed[..], &[0, 2, 1, b'x']].concat()).is_err());
        assert!(trusted.check(&signed[..signed.len() - 1]).is_err());
        assert!(trusted.check(&signed[..20]).is_err());
    }

    #[test]
    fn a_signature_of_4_gib_in_a_few_bytes_is_refused_before_memory_is_taken() {
        let name = b"\x09signature";
        // The length of the first set of hashes is five bytes of LEB128.
        let payload = [&name[..], &[1, 1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
        let section = [&[0, u8::try_from(payload.len()).unwrap()], &payload[..]].concat();
        let component = [&component()[..8], &section, &component()[8..]].concat();
        assert!(!lengths_fit(&component));
        let trusted = Trusted::new(&[KeyPair::generate().pk]);
        assert!(matches!(trusted.check(&component), Err(Refusal::Untrusted)));
    }

    #[test]
    fn a_signed_component_is_still_a_component() {
        let signed = sign(component(), &KeyPair::generate().sk).unwrap();
        crate::plugin::Outline::read(&signed, 1 << 20).unwrap();
    }
}
