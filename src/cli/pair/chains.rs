//! Whether each half believes the certificate of the other, and what is wrong where it does not.
//!
//! Used by `drift`. Judged by the code that judges it at run time; only the advice is found here, by looking at
//! what lies in both folders.

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::config::CredentialFiles;
use crate::identity::{Certificate, PeerCertificate};
use crate::snapshot;
use crate::telemetry::cause;

use super::cautions::all_certificates;
use super::drift::{first, is_current, trusted_cas, upstream_tls};
use super::half::Half;

/// One side shows a certificate, the other believes it or not.
struct Link<'a> {
    shows: &'a Half,
    believes: &'a Half,
    /// The setting that holds the chain, and the one that holds the CAs.
    chain_key: &'static str,
    cas_key: &'static str,
    /// `serverAuth` or `clientAuth`.
    purpose: &'static str,
}

/// The reverse proxy must believe the gateway: its CA, and the name.
pub(super) fn gateway(near: &Half, far: &Half, now: UnixTime) -> Vec<String> {
    let (Some(tls), Some(shown)) = (upstream_tls(near), &far.config().server_tls) else {
        return Vec::new();
    };
    if !tls.verify || !near.reads(&["upstream_ca_certificates"]) || !far.reads(&["ssl_cert"]) {
        return Vec::new();
    }
    let (Ok(trust), Ok(name)) = (snapshot::server_trust(tls, now), snapshot::server_name(tls)) else {
        return Vec::new();
    };
    let link = Link {
        shows: far,
        believes: near,
        chain_key: "ssl_cert",
        cas_key: "upstream_ca_certificates",
        purpose: "serverAuth",
    };
    let judge = |files: &CredentialFiles| {
        let chain = snapshot::certificates(&files.cert).ok()?;
        let leaf = first(&chain).filter(|leaf| is_current(leaf, now))?;
        let error = trust.judge(&chain, &name, now).err()?;
        Some(match error {
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => {
                let names: Vec<_> = leaf.sans().iter().map(ToString::to_string).collect();
                let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
                let what = format!(
                    "the certificate is not for {}, as {} calls it, but for {names}",
                    tls.server_name, near.name
                );
                far.finding("ssl_cert", what, "have one issued for this name, or call it by one of its own")
            }
            error => return link.why(&leaf, &chain[1..], &cause::tls(&error), now),
        })
    };
    shown.credentials.iter().filter_map(judge).collect()
}

/// The gateway must believe the reverse proxy.
pub(super) fn client(near: &Half, far: &Half, client: &PeerCertificate, now: UnixTime) -> Option<String> {
    let Some(auth) = &far.config().access.mtls_auth else {
        // A declarative file says it route by route.
        if far.config().declarative.is_some() {
            return None;
        }
        let what = "callers are asked for no certificate, so the link is not mutual";
        return Some(far.finding("mtls_auth_ca_certificates", what, "name the CA of the reverse proxy"));
    };
    if !far.reads(&["mtls_auth_ca_certificates"]) {
        return None;
    }
    let verifier = snapshot::verifier(auth, now).ok()?;
    let untrusted = verifier.verify(client, now).err().filter(|_| is_current(&client.leaf, now))?;
    let link = Link {
        shows: near,
        believes: far,
        chain_key: "client_ssl_cert",
        cas_key: "mtls_auth_ca_certificates",
        purpose: "clientAuth",
    };
    link.why(&client.leaf, &client.chain, &untrusted.to_string(), now)
}

impl Link<'_> {
    /// `None` where a start of the half that shows the certificate is refused for the same reason, which is told.
    fn why(
        &self,
        leaf: &Certificate,
        rest: &[CertificateDer<'static>],
        error: &str,
        now: UnixTime,
    ) -> Option<String> {
        if let Some((what, advice)) = purpose(leaf, self.purpose) {
            let what = format!("the certificate ({}) {what}", leaf.subject());
            return self.shows.snapshot.is_some().then(|| self.shows.finding(self.chain_key, what, advice));
        }
        Some(self.chain(leaf, rest, error, now))
    }

    fn chain(
        &self,
        leaf: &Certificate,
        rest: &[CertificateDer<'static>],
        error: &str,
        now: UnixTime,
    ) -> String {
        let subject = leaf.subject();
        let trusted = parsed(
            trusted_cas(self.believes)
                .into_iter()
                .filter_map(|said| snapshot::certificates(said).ok())
                .flatten(),
        );
        let brought = parsed(rest.iter().cloned());
        let Some(issuer) = missing(leaf, &brought, &trusted) else {
            return self.refused(leaf, &trusted, error, now);
        };
        let name = issuer.issuer().to_string();
        let lying_about = parsed([self.shows, self.believes].into_iter().flat_map(all_certificates));
        let known = lying_about.iter().find(|certificate| certificate.subject().to_string() == name);
        if known.is_some_and(Certificate::is_self_issued) {
            return self.not_signed(leaf);
        }
        let from =
            if issuer.subject() == subject { String::new() } else { format!(" ({})", issuer.subject()) };
        let what = format!("the certificate ({subject}) was issued by {name}, which it does not bring along");
        let append = format!("append the certificate of {name} to {}", self.chain_key);
        match known {
            Some(_) => self.shows.finding(self.chain_key, format!("{what}{from}"), append),
            None => {
                let what = format!("{what}{from}, and which is none of the CAs of {}", self.believes.name);
                let advice = format!(
                    "{append} if it is an intermediate of one of them; if not, name its root in {} there",
                    self.cas_key
                );
                self.shows.finding(self.chain_key, what, advice)
            }
        }
    }

    /// The issuer's name is among the trusted; so it is another key of the same name, or something else is wrong
    /// with the chain.
    fn refused(&self, leaf: &Certificate, trusted: &[Certificate], error: &str, now: UnixTime) -> String {
        let ended = trusted.iter().find(|ca| !is_current(ca, now) && ca.subject() == leaf.issuer());
        if let Some(ca) = ended {
            let what =
                format!("the CA of {} ({}) has ended, or has not begun", self.shows.name, ca.subject());
            return self.believes.finding(self.cas_key, what, "have a new CA, and certificates of it");
        }
        let same_name_other_key = error.contains("BadSignature")
            || error.contains("another key")
            || error.contains("UnknownIssuer");
        if same_name_other_key || error.contains("does not lead to any CA") {
            return self.not_signed(leaf);
        }
        let what = format!("{} would refuse this certificate: {error}", self.believes.name);
        self.shows.finding(self.chain_key, what, "have another one issued")
    }

    fn not_signed(&self, leaf: &Certificate) -> String {
        let shown = if self.purpose == "serverAuth" {
            format!("{} ({})", self.shows.name, leaf.subject())
        } else {
            format!(
                "{}: {} was issued by {} of another key or name",
                self.shows.name,
                leaf.subject(),
                leaf.issuer()
            )
        };
        let what = format!("this did not sign the certificate of {shown}");
        let advice = "give the CA that signed it, or have it signed by this one";
        self.believes.finding(self.cas_key, what, advice)
    }
}

/// The certificate of the chain whose issuer is neither in it nor trusted.
fn missing<'a>(
    leaf: &'a Certificate,
    brought: &'a [Certificate],
    trusted: &[Certificate],
) -> Option<&'a Certificate> {
    let mut at = leaf;
    for _ in 0..=brought.len() {
        if trusted.iter().any(|ca| ca.subject() == at.issuer()) {
            return None;
        }
        match brought
            .iter()
            .find(|next| next.subject() == at.issuer() && next.fingerprint() != at.fingerprint())
        {
            Some(next) => at = next,
            None => return Some(at),
        }
    }
    None
}

/// In what the extended key usage differs from what the other side asks for (RFC 5280 4.2.1.12).
fn purpose(leaf: &Certificate, wanted: &str) -> Option<(String, String)> {
    let (_, x509) = X509Certificate::from_der(leaf.der()).ok()?;
    let usage = x509.extended_key_usage().ok()??.value;
    let named = |name: &str| match name {
        "serverAuth" => usage.server_auth,
        _ => usage.client_auth,
    };
    if named(wanted) {
        return None;
    }
    let command = if wanted == "serverAuth" { "--server" } else { "--client" };
    let advice = format!(
        "have one issued with {wanted} in its extended key usage (`mtls-bridge pki issue {command}`)"
    );
    if usage.any {
        let what = format!(
            "is for any purpose (anyExtendedKeyUsage), which the other side does not take for {wanted}"
        );
        return Some((what, advice));
    }
    let other = if wanted == "serverAuth" { "clientAuth" } else { "serverAuth" };
    let has = if named(other) { format!("is for {other} alone") } else { "is for other purposes".to_owned() };
    Some((format!("{has}: its extended key usage lacks {wanted}"), advice))
}

fn parsed(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Vec<Certificate> {
    certificates.into_iter().filter_map(|der| Certificate::parse(der).ok()).collect()
}
