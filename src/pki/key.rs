//! Kinds of private keys, and new ones.

use std::fmt;
use std::str::FromStr;

use rcgen::KeyPair;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use super::Error;

/// The algorithm of a key. Written and read as `p256`, `p384`, `ed25519`, `rsa2048`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// ECDSA on P-256, signing with SHA-256: small, fast, understood everywhere.
    #[default]
    P256,
    /// ECDSA on P-384, signing with SHA-384.
    P384,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// RSA with 2048 bits, signing with SHA-256. A tenth of a second or more to make.
    Rsa2048,
}

impl KeyKind {
    pub(super) fn generate(self) -> Result<KeyPair, Error> {
        Ok(match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?,
            Self::Ed25519 => ed25519()?,
            Self::Rsa2048 => KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
            Self::Rsa2048 => "rsa2048",
        }
    }
}

impl FromStr for KeyKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::P256, Self::P384, Self::Ed25519, Self::Rsa2048]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| Error::KeyKind(text.to_owned()))
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Fills `bytes` from the generator that makes the keys.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    aws_lc_rs::default_provider().secure_random.fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

/// rcgen writes Ed25519 keys as PKCS#8 version 2, with the public key inside, which OpenSSL 3.0 does not
/// read. Any 32 random bytes are a private key, so the version 1 form is written here.
fn ed25519() -> Result<KeyPair, Error> {
    let mut pkcs8 = ED25519_PKCS8_PREFIX.to_vec();
    pkcs8.extend(random::<32>()?);
    Ok(KeyPair::try_from(&PrivatePkcs8KeyDer::from(pkcs8))?)
}

/// RFC 8410 section 7: version 0, id-Ed25519, and an OCTET STRING in an OCTET STRING for the 32 bytes.
const ED25519_PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
            assert_eq!(kind.to_string().parse::<KeyKind>().unwrap(), kind);
        }
    }

    #[test]
    fn an_unknown_kind_is_refused_with_the_known_ones() {
        let refusal = "dsa".parse::<KeyKind>().unwrap_err().to_string();
        assert_eq!(refusal, "`dsa` is not a kind of key: p256, p384, ed25519 or rsa2048");
    }

    #[test]
    fn two_keys_differ() {
        let [one, other] = [KeyKind::Ed25519, KeyKind::Ed25519].map(|kind| kind.generate().unwrap());
        assert_ne!(one.serialized_der(), other.serialized_der());
    }
}
