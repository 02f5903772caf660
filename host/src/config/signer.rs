//! Keys that sign plugins.

use wasmsign2::PublicKey;

/// A public key from PEM, or from the line between PEM's first and last.
pub fn public_key(text: &str) -> Option<PublicKey> {
    let text = text.trim();
    if text.starts_with("-----") {
        return PublicKey::from_pem(text).ok();
    }
    PublicKey::from_pem(&format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")).ok()
}

#[cfg(test)]
mod tests {
    use wasmsign2::KeyPair;

    use super::*;

    #[test]
    fn a_public_key_is_pem_or_its_one_line() {
        let pair = KeyPair::generate();
        let pem = pair.pk.to_pem();
        let line = pem.lines().nth(1).unwrap();
        for text in [&pem, line, &format!(" {line}\n")] {
            assert_eq!(public_key(text), Some(pair.pk.clone()));
        }
        // As `openssl pkey -pubout` writes one.
        assert!(public_key("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").is_some());
        for bad in ["", "k", &pair.sk.to_pem(), &line[1..]] {
            assert_eq!(public_key(bad), None);
        }
    }
}
