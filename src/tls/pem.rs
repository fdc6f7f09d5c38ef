//! What people have for certificates and keys, to DER: PEM in any condition, DER, base64 of either.
//!
//! Errors say where something is wrong and what, and never hold a part of the text, which may be a key or a
//! stranger's. The only file that names rustls-pemfile (RUSTSEC-2025-0134: archived; see
//! `docs/decisions/dependencies.md`), so leaving it is a change to this file.

mod armor;
mod der;
mod format;
mod label;

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls_pemfile::Item;
use thiserror::Error;

use self::armor::Block;
use self::der::Kind;
use self::label::Inside;
use super::credentials::Side;

pub use self::armor::{Damage, Position};
pub use self::format::Format;

/// Why something does not hold what was asked for.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub enum PemError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// No `-----BEGIN` block was found, and it is nothing else that is known.
    #[error("it holds no PEM block (a line -----BEGIN …-----)")]
    NoBlock,
    /// A block is cut off, or its boundaries or its base64 are damaged.
    #[error("its PEM is damaged: {0} {1}")]
    Damaged(Position, Damage),
    /// DER that ends too early.
    #[error("its DER is cut off: it ends too early")]
    CutOff,
    /// DER beside blocks of PEM: what is between or behind them would be missed.
    #[error("it holds DER beside its PEM")]
    Mixed,
    /// Certificates were wanted.
    #[error("it holds a private key but no certificate")]
    KeyInsteadOfCertificate,
    /// A key was wanted.
    #[error("it holds a certificate but no private key")]
    CertificateInsteadOfKey,
    /// A list was wanted.
    #[error("it holds no revocation list")]
    NoCrl,
    /// Two keys where one is wanted.
    #[error("it holds more than one private key")]
    SeveralKeys,
    /// A format that is recognised and not read.
    #[error("{0}")]
    Foreign(Format),
    /// `TRUSTED CERTIFICATE` with settings by which it is no CA for this.
    #[error("{0} is a TRUSTED CERTIFICATE whose own settings do not trust it for {1}")]
    NotTrusted(Position, &'static str),
    /// Blocks of another kind only.
    #[error("it holds neither a certificate nor a private key")]
    SomethingElse,
}

impl PemError {
    /// What to do: what this error knows better, or else `otherwise`.
    #[must_use]
    pub fn advice(self, otherwise: &'static str) -> &'static str {
        match self {
            Self::Foreign(format) => format.advice(),
            Self::Damaged(_, Damage::CommentedOut) => "remove the block, or the comment signs in front of it",
            Self::Damaged(..) | Self::CutOff => "copy it again, whole, from where it was issued",
            Self::Mixed => {
                "convert the part in DER (openssl x509 -inform DER -in FILE), and join what is PEM"
            }
            Self::NotTrusted(..) => "take the settings off: openssl x509 -in FILE -out new.crt",
            _ => otherwise,
        }
    }
}

/// Whether a text is meant as PEM, in whatever condition.
#[must_use]
pub fn is_pem(text: &str) -> bool {
    armor::has_boundary(text)
}

/// The certificates in `bytes`, in order; keys and parameters beside them are passed over.
///
/// # Errors
/// When there is none, with what is there instead; when any block is damaged or not known.
pub fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    authorities(bytes, &[])
}

/// The same, for judging what those on these sides of a handshake present: a certificate with trust settings of
/// OpenSSL's (`TRUSTED CERTIFICATE`) must be trusted for them.
///
/// # Errors
/// As for [`certificates`], and for one that is not trusted so.
pub fn authorities(bytes: &[u8], sides: &[Side]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let content = Content::of(bytes)?;
    let mut found = Vec::new();
    let mut instead = None;
    for part in &content.0 {
        match part.kind {
            Some(Kind::Certificate) => found.push(CertificateDer::from(part.certificate(sides)?)),
            Some(Kind::Pkcs8 | Kind::Pkcs1 | Kind::Sec1) => {
                instead.get_or_insert(PemError::KeyInsteadOfCertificate);
            }
            Some(Kind::Crl) => {
                instead.get_or_insert(PemError::Foreign(Format::Crl));
            }
            // Certificates are in it, and would be missed.
            Some(Kind::Other(format @ (Format::Pkcs7Pem | Format::Pkcs7Der | Format::Pkcs12))) => {
                return Err(PemError::Foreign(format));
            }
            Some(Kind::Other(Format::EncryptedKey | Format::OpenSshKey)) => {
                instead.get_or_insert(PemError::KeyInsteadOfCertificate);
            }
            Some(Kind::Other(format)) => {
                instead.get_or_insert(PemError::Foreign(format));
            }
            None => {}
        }
    }
    if found.is_empty() { Err(instead.unwrap_or(PemError::SomethingElse)) } else { Ok(found) }
}

/// The revocation lists (DER) in `bytes`: one in DER, or any number in PEM, as nginx reads `ssl_crl`.
///
/// # Errors
/// When there is none, or any block is damaged or not known.
pub fn revocation_lists(bytes: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let content = Content::of(bytes)?;
    let lists = content.0.into_iter().filter(|part| part.kind == Some(Kind::Crl));
    let lists: Vec<_> = lists.map(|part| part.der).collect();
    if lists.is_empty() { Err(PemError::NoCrl) } else { Ok(lists) }
}

/// The private key in `bytes`: PKCS#8, PKCS#1 (RSA) or SEC1 (EC).
///
/// # Errors
/// When there is none or more than one, with what is there instead; when it is encrypted.
pub fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let content = Content::of(bytes)?;
    let mut key = None;
    let mut instead = PemError::SomethingElse;
    for Part { kind, der, .. } in content.0 {
        let found: PrivateKeyDer<'static> = match kind {
            Some(Kind::Pkcs8) => PrivatePkcs8KeyDer::from(der).into(),
            Some(Kind::Pkcs1) => PrivatePkcs1KeyDer::from(der).into(),
            Some(Kind::Sec1) => PrivateSec1KeyDer::from(der).into(),
            // Beside another key it would be a guess which one is meant.
            Some(Kind::Other(format @ (Format::EncryptedKey | Format::OpenSshKey | Format::DsaKey))) => {
                return Err(PemError::Foreign(format));
            }
            Some(Kind::Certificate) => {
                instead = PemError::CertificateInsteadOfKey;
                continue;
            }
            Some(Kind::Other(format)) if instead == PemError::SomethingElse => {
                instead = PemError::Foreign(format);
                continue;
            }
            _ => continue,
        };
        if key.replace(found).is_some() {
            return Err(PemError::SeveralKeys);
        }
    }
    key.ok_or(instead)
}

/// The bytes that a text stands for in base64, if they are something that is recognised here, wrapped at any
/// column, quoted, or with its line breaks lost or escaped.
#[must_use]
pub fn unpacked(text: &str) -> Option<Vec<u8>> {
    let bytes = from_base64(&armor::plain(text))?;
    let known = der::length(&bytes).is_some_and(|length| length == bytes.len() || is_cut_der(&bytes))
        || Format::of_bytes(&bytes).is_some()
        || std::str::from_utf8(&bytes).is_ok_and(|text| is_pem(text) || unpacked(text).is_some());
    known.then_some(bytes)
}

/// Something that was given, taken apart.
struct Content(Vec<Part>);

/// One block, or one file of DER.
struct Part {
    position: Option<Position>,
    /// `None` where nothing is known, or nothing that matters.
    kind: Option<Kind>,
    der: Vec<u8>,
    /// OpenSSL's trust settings.
    settings: Vec<u8>,
}

impl Content {
    fn of(bytes: &[u8]) -> Result<Self, PemError> {
        let mut bytes = Cow::Borrowed(bytes);
        for _ in 0..MOST_WRAPPINGS {
            if bytes.trim_ascii().is_empty() {
                return Err(PemError::Empty);
            }
            if let Some(format) = Format::of_bytes(&bytes) {
                return Err(PemError::Foreign(format));
            }
            if let Some(parts) = from_der(&bytes) {
                return parts.map(Self);
            }
            let text = String::from_utf8_lossy(&bytes);
            let blocks =
                armor::blocks(&text).map_err(|(position, damage)| PemError::Damaged(position, damage))?;
            if !blocks.is_empty() && has_der(&bytes) {
                return Err(PemError::Mixed);
            }
            if !blocks.is_empty() {
                return blocks.into_iter().map(Part::of_block).collect::<Result<_, _>>().map(Self);
            }
            match unpacked(&text) {
                Some(inner) => bytes = inner.into(),
                None => return Err(Format::of_text(&text).map_or(PemError::NoBlock, PemError::Foreign)),
            }
        }
        Err(PemError::NoBlock)
    }
}

impl Part {
    fn of_block(block: Block) -> Result<Self, PemError> {
        let Block { position, label, encrypted, base64 } = block;
        let part = |kind, der| Self { position: Some(position), kind, der, settings: Vec::new() };
        let known = match label.inside {
            Inside::Key if encrypted => return Ok(part(Some(Kind::Other(Format::EncryptedKey)), Vec::new())),
            Inside::Other(format) => return Ok(part(Some(Kind::Other(format)), Vec::new())),
            Inside::Nothing => return Ok(part(None, Vec::new())),
            Inside::Certificate | Inside::Trusted => "CERTIFICATE",
            Inside::Key => "PRIVATE KEY",
            Inside::Crl => "X509 CRL",
        };
        let damaged = |damage| PemError::Damaged(position, damage);
        let text = format!("-----BEGIN {known}-----\n{base64}\n-----END {known}-----\n");
        let mut der = match rustls_pemfile::read_one_from_slice(text.as_bytes()) {
            Ok(Some((Item::X509Certificate(der), _))) => der.to_vec(),
            Ok(Some((Item::Pkcs8Key(key), _))) => key.secret_pkcs8_der().to_vec(),
            Ok(Some((Item::Crl(der), _))) => der.to_vec(),
            _ => return Err(damaged(Damage::Base64)),
        };
        let length = der::length(&der);
        if length.is_some_and(|length| length > der.len()) {
            return Err(damaged(Damage::CutOff));
        }
        let settings = match (label.inside, length) {
            (Inside::Trusted, Some(length)) => der.split_off(length),
            _ => Vec::new(),
        };
        // What cannot be read is what its label says: whoever reads on, says more.
        let kind = match label.inside {
            Inside::Key => Kind::of(&der).unwrap_or(Kind::Pkcs8),
            Inside::Crl => Kind::Crl,
            _ => Kind::of(&der).unwrap_or(Kind::Certificate),
        };
        Ok(Self { settings, ..part(Some(kind), der) })
    }

    /// The certificate, if its settings trust it for these sides.
    fn certificate(&self, sides: &[Side]) -> Result<Vec<u8>, PemError> {
        for side in sides {
            let (usage, name) = match side {
                Side::Client => (CLIENT_AUTH, "TLS clients"),
                Side::Server => (SERVER_AUTH, "TLS servers"),
            };
            let trusted = der::trusts(&self.settings, usage).unwrap_or(false);
            if let Some(position) = self.position.filter(|_| !trusted) {
                return Err(PemError::NotTrusted(position, name));
            }
        }
        Ok(self.der.clone())
    }
}

/// The elements of DER one after the other; `None` for what is no DER.
fn from_der(bytes: &[u8]) -> Option<Result<Vec<Part>, PemError>> {
    if is_cut_der(bytes) {
        return Some(Err(PemError::CutOff));
    }
    let mut parts = Vec::new();
    let mut rest = bytes;
    // An editor may have added an end of line.
    while !rest.trim_ascii().is_empty() {
        let length = der::length(rest).filter(|length| *length <= rest.len())?;
        let (der, more) = rest.split_at(length);
        parts.push(Part { position: None, kind: Kind::of(der), der: der.to_vec(), settings: Vec::new() });
        rest = more;
    }
    Some(Ok(parts))
}

/// Whether DER of something known is anywhere in it.
fn has_der(bytes: &[u8]) -> bool {
    // Of no shorter length, nothing here is. In UTF-8 no such byte follows a letter.
    let lengths = bytes.windows(2).enumerate().filter(|(_, it)| matches!(it, [der::SEQUENCE, 0x81..=0x83]));
    lengths
        .filter_map(|(at, _)| bytes.get(at..at + der::length(&bytes[at..])?))
        .any(|it| Kind::of(it).is_some())
}

/// DER that says it has more bytes than there are: a length of two bytes or more that is near enough to be one, and
/// the tag of what comes first in a certificate or key.
fn is_cut_der(bytes: &[u8]) -> bool {
    matches!(bytes, [der::SEQUENCE, 0x81..=0x83, ..])
        && der::length(bytes).is_some_and(|length| length > bytes.len())
        && bytes.iter().skip(3).take(3).any(|byte| [der::SEQUENCE, 0x02].contains(byte))
}

/// All of a text as base64, which may have anything between its characters that is not a letter or digit.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let foreign =
        |c: char| !(c.is_ascii_alphanumeric() || c.is_whitespace() || "+/=\"',;\u{feff}".contains(c));
    if text.len() < SHORTEST_BASE64 || text.contains(foreign) {
        return None;
    }
    let packed: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')).collect();
    // Of what is cut off anywhere the beginning is recognised.
    let lenient = NO_PAD.with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&STANDARD, lenient).decode(packed).ok()
}

/// id-kp-clientAuth and id-kp-serverAuth (RFC 5280 section 4.2.1.12).
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// How often something may be packed in base64, the last time included.
const MOST_WRAPPINGS: usize = 4;

/// No certificate or key has less.
const SHORTEST_BASE64: usize = 40;

#[cfg(test)]
mod tests;
