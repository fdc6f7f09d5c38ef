//! Certificates: CAs to trust, what is presented, and for which names.
//! Source: kong/db/schema/entities/{ca_certificates,certificates,snis}.lua, kong/db/dao/snis.lua.

use std::collections::HashMap;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};

use super::fields::{Fields, Text};
use super::kind::Kind;
use super::model::{CaCertificate, Certificate, Pair, Sni};
use super::node::shortened;
use super::reader::{Reader, host, tags};
use crate::tls::credentials::Side;
use crate::tls::{pem, trust};

/// Those that could be read. One that is no CA spoils the whole file, as in Kong; one that has expired does
/// not, as it would in Kong's: `snapshot` leaves it out, and what stands beside it goes on.
pub(super) fn ca_certificates(reader: Reader<'_>) -> Vec<CaCertificate> {
    let mut authorities = Vec::new();
    let mut seen = HashMap::new();
    for found in reader.gathered.each(Kind::CaCertificates) {
        let Some(mut fields) = reader.fields(Kind::CaCertificates, found) else { continue };
        let der = fields.needed_text("cert", "write the CA as PEM").and_then(|cert| {
            let der = one(&fields, cert)?;
            if let Err(error) = trust::check(std::slice::from_ref(&der), DATES_ASIDE) {
                fields.wrong(cert.at, error.to_string(), "give a CA that is valid, its root included");
                return None;
            }
            if let Some(other) = seen.insert(der.clone(), &found.place) {
                fields.wrong(cert.at, format!("the same certificate as {other}"), "keep one of the two");
            }
            Some(der)
        });
        tags(&mut fields);
        fields.finish();
        authorities.extend(der.map(|der| CaCertificate { place: found.place.clone(), id: found.id, der }));
    }
    authorities
}

/// A moment at which none has expired.
const DATES_ASIDE: UnixTime = UnixTime::since_unix_epoch(Duration::ZERO);

/// The CA of a credential: the id of one in the file, or the PEM of it, as Kong's page has it.
pub(super) fn authority(reader: Reader<'_>, fields: &mut Fields<'_>) -> Option<usize> {
    let gathered = reader.gathered;
    let (node, _) = fields.take("ca_certificate")?;
    let Some(text) = node.text().filter(|text| pem::is_pem(text) || pem::unpacked(text).is_some()) else {
        return gathered.reference(fields, "ca_certificate", Kind::CaCertificates);
    };
    let cert = fields.text("ca_certificate")?;
    let der = one(fields, cert)?;
    let is_it = |node: &super::node::Node| {
        let other = node.at("cert").and_then(super::node::Node::text).unwrap_or_default();
        other.trim() == text.trim()
            || pem::certificates(other.as_bytes()).is_ok_and(|other| other == [der.clone()])
    };
    let found = gathered.each(Kind::CaCertificates).position(|found| is_it(found.node));
    if found.is_none() {
        fields.wrong(cert.at, "this CA is not in ca_certificates", "add it there too");
    }
    found
}

/// Those that could be read. Whether key and certificate fit is seen when they are loaded.
pub(super) fn certificates(reader: Reader<'_>) -> Vec<Certificate> {
    let mut certificates = Vec::new();
    for found in reader.gathered.each(Kind::Certificates) {
        let Some(mut fields) = reader.fields(Kind::Certificates, found) else { continue };
        let cert = fields.needed_text("cert", "write the certificate with its chain as PEM");
        let key = fields.needed_text("key", "write its private key as PEM");
        let other = (fields.text("cert_alt"), fields.text("key_alt"));
        for cert in [cert, other.0].into_iter().flatten() {
            if let Err(error) = pem::certificates(cert.text.as_bytes()) {
                let advice = error.advice("write the certificate with its chain as PEM");
                fields.wrong(cert.at, error.to_string(), advice);
            }
        }
        for key in [key, other.1].into_iter().flatten() {
            if let Err(error) = pem::private_key(key.text.as_bytes()) {
                let advice = error.advice("write an unencrypted key as PEM (PKCS#8, PKCS#1 or SEC1)");
                fields.wrong(key.at, error.to_string(), advice);
            }
        }
        let pair = |cert: Text<'_>, key: Text<'_>| Pair { cert: cert.text.into(), key: key.text.into() };
        let alternative = match other {
            (Some(cert), Some(key)) => Some(pair(cert, key)),
            (None, None) => None,
            _ => {
                fields
                    .wrong_all("one of `cert_alt` and `key_alt` without the other", "write both or neither");
                None
            }
        };
        tags(&mut fields);
        fields.refuse("passphrase", &[], "write the key unencrypted");
        fields.finish();
        if let (Some(cert), Some(key)) = (cert, key) {
            let pair = pair(cert, key);
            certificates.push(Certificate { place: found.place.clone(), id: found.id, pair, alternative });
        }
    }
    certificates
}

/// Those that could be read.
pub(super) fn snis(reader: Reader<'_>) -> Vec<Sni> {
    let mut snis = Vec::new();
    for found in reader.gathered.each(Kind::Snis) {
        let Some(mut fields) = reader.fields(Kind::Snis, found) else { continue };
        let certificate = reader.gathered.owner(found, &mut fields, "certificate", Kind::Certificates);
        let name = fields.needed_text("name", "write the name that clients ask for");
        tags(&mut fields);
        if let Some(name) = name.filter(|name| !is_server_name(name.text)) {
            let what = format!("`{}` is not a name to ask for", shortened(name.text));
            fields.wrong(
                name.at,
                what,
                "write a name without port, `*`, or one `*` as the first or last label",
            );
        }
        fields.finish();
        if let (Some(certificate), Some(name)) = (certificate, name) {
            let name = name.text.to_ascii_lowercase().into();
            snis.push(Sni { place: found.place.clone(), id: found.id, name, certificate });
        }
    }
    snis
}

/// A DNS name, perhaps with one `*` as its first or last label; or `*` alone.
pub(super) fn is_server_name(name: &str) -> bool {
    let plain = name.strip_prefix("*.").or_else(|| name.strip_suffix(".*")).unwrap_or(name);
    let is_address = plain.parse::<std::net::IpAddr>().is_ok();
    name == "*" || (!plain.contains('*') && !is_address && host(plain).is_some())
}

/// The one certificate of a PEM text.
fn one(fields: &Fields<'_>, cert: Text<'_>) -> Option<CertificateDer<'static>> {
    // Nobody knows yet whom it is to judge.
    let both = [Side::Client, Side::Server];
    match pem::authorities(cert.text.as_bytes(), &both).map(<[_; 1]>::try_from) {
        Ok(Ok([der])) => return Some(der),
        Ok(Err(several)) => {
            let what = format!("{} certificates where one is wanted", several.len());
            fields.wrong(cert.at, what, "write an entity for each");
        }
        Err(error) => fields.wrong(cert.at, error.to_string(), error.advice("write the CA as PEM")),
    }
    None
}
