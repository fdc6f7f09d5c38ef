//! In what two halves do not fit together: one function for each thing that must agree.
//!
//! Used by `pair::check`. Chains and names are judged by the code that judges them at run time; what stops
//! the start of one half alone was found by `half`.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error};

use crate::config::{CaFiles, CredentialFiles, Mode, Said, UpstreamTls};
use crate::identity::{Certificate, PeerCertificate};
use crate::policy::Rule;
use crate::snapshot;
use crate::telemetry::cause;
use crate::tls::credentials::in_words;

use super::half::Half;

/// What one half shows by itself: certificates that end soon, and a trusted CA that has ended.
pub(super) fn alone(half: &Half, now: UnixTime) -> Vec<String> {
    let own = own_credentials(half).into_iter().map(|files| (files.cert.clone(), Kind::Own));
    let trusted = trusted_cas(half).into_iter().map(|said| (said.clone(), Kind::Trusted));
    let mut findings = Vec::new();
    for (said, kind) in own.chain(trusted) {
        let certificates = snapshot::certificates(&said).unwrap_or_default();
        let certificates = certificates.into_iter().filter_map(|der| Certificate::parse(der).ok());
        findings.extend(certificates.filter_map(|certificate| ends(&certificate, kind, now)).map(|what| {
            let advice = "have a new one issued, and put it in place on both hosts where both have it";
            half.about(&crate::config::Problem::new(&said, what, advice))
        }));
    }
    findings
}

/// What the two show together.
pub(super) fn between(a: &Half, b: &Half, now: UnixTime) -> Vec<String> {
    let (near, far) = match (a.mode, b.mode) {
        (Mode::ReverseProxy, Mode::Gateway) => (a, b),
        (Mode::Gateway, Mode::ReverseProxy) => (b, a),
        (mode, _) => {
            let what = format!("both halves are in mode {}", mode.name());
            return vec![format!(
                "{} and {}: {what}; one must be reverse-proxy, one gateway",
                a.name, b.name
            )];
        }
    };
    let mut findings = Vec::new();
    findings.extend(ports(near, far));
    findings.extend(gateway_certificate(near, far, now));
    match client_certificate(near) {
        Ok(client) => {
            findings.extend(client.as_ref().and_then(|client| client_trust(near, far, client, now)));
            findings.extend(client.iter().flat_map(|client| names(far, client)));
        }
        Err(finding) => findings.push(finding),
    }
    findings.extend(timeouts(near, far));
    findings
}

/// The one line when nothing was found.
pub(super) fn good(a: &Half, b: &Half, now: UnixTime) -> String {
    let (near, far) = if a.mode == Mode::ReverseProxy { (a, b) } else { (b, a) };
    let own = [near, far].into_iter().flat_map(own_credentials);
    let ends = own
        .filter_map(|files| first(&snapshot::certificates(&files.cert).ok()?))
        .map(|certificate| certificate.validity().not_after.as_secs().saturating_sub(now.as_secs()));
    let left = ends.min().map(in_words).unwrap_or_default();
    let target = near.config().upstream.as_ref().map(|upstream| upstream.target.to_string());
    let target = target.unwrap_or_else(|| "the services of its declarative file".to_owned());
    format!("{} and {} fit together: {target}; the first certificate ends in {left}", near.name, far.name)
}

/// The port that is called must lead to a listener, and one that speaks the same.
fn ports(near: &Half, far: &Half) -> Option<String> {
    let target = &near.config().upstream.as_ref()?.target;
    let at = |tls| far.reached_at(tls);
    if at(target.scheme.is_tls()).contains(&target.port) {
        return None;
    }
    let (what, advice) = if at(!target.scheme.is_tls()).contains(&target.port) {
        let speaks = if target.scheme.is_tls() { "plain HTTP" } else { "TLS" };
        (
            format!("{} speaks {speaks} on this port", far.name),
            "write https here, and `ssl` in PROXY_LISTEN there",
        )
    } else {
        let ports: Vec<_> = at(true).iter().chain(&at(false)).map(u16::to_string).collect();
        let ports =
            if ports.is_empty() { "no port".to_owned() } else { format!("port {}", ports.join(", ")) };
        (
            format!("this calls port {}, but {} is reached at {ports}", target.port, far.name),
            "make the URL's port, the published port and PROXY_LISTEN's meet",
        )
    };
    Some(near.finding("upstream_url", what, advice))
}

/// The reverse proxy must believe the gateway: its CA, and the name.
fn gateway_certificate(near: &Half, far: &Half, now: UnixTime) -> Vec<String> {
    let (Some(tls), Some(shown)) = (upstream_tls(near), &far.config().server_tls) else {
        return Vec::new();
    };
    let (Ok(trust), Ok(name)) = (snapshot::server_trust(tls, now), snapshot::server_name(tls)) else {
        return Vec::new();
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
                let what = format!(
                    "the certificate is not for {}, as {} calls it, but for {}",
                    tls.server_name,
                    near.name,
                    names.join(", ")
                );
                far.finding("ssl_cert", what, "have one issued for this name, or call it by one of its own")
            }
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                let what = format!("this did not sign the certificate of {} ({})", far.name, leaf.subject());
                near.finding(
                    "upstream_ca_certificates",
                    what,
                    "give the CA that signed it, or have it signed by this one",
                )
            }
            error => {
                let what = format!("{} would refuse this certificate: {}", near.name, cause::tls(&error));
                far.finding("ssl_cert", what, "have another one issued")
            }
        })
    };
    shown.credentials.iter().filter_map(judge).collect()
}

/// What the reverse proxy presents; nothing where that could not be read, which is told already.
fn client_certificate(near: &Half) -> Result<Option<PeerCertificate>, String> {
    // Without TLS nothing can be presented; the ports tell it.
    let Some(tls) = upstream_tls(near) else { return Ok(None) };
    let Some(files) = &tls.credentials else {
        let what = "no certificate is presented, so the link is not mutual";
        return Err(near.finding(
            "client_ssl",
            what,
            "set CLIENT_SSL=on, CLIENT_SSL_CERT and CLIENT_SSL_CERT_KEY",
        ));
    };
    let chain = snapshot::certificates(&files.cert).unwrap_or_default();
    Ok(PeerCertificate::parse(&chain).ok().flatten())
}

/// The gateway must believe the reverse proxy.
fn client_trust(near: &Half, far: &Half, client: &PeerCertificate, now: UnixTime) -> Option<String> {
    let Some(auth) = &far.config().access.mtls_auth else {
        let what = "callers are asked for no certificate, so the link is not mutual";
        return Some(far.finding("mtls_auth_ca_certificates", what, "name the CA of the reverse proxy"));
    };
    let verifier = snapshot::verifier(auth, now).ok()?;
    let untrusted = verifier.verify(client, now).err().filter(|_| is_current(&client.leaf, now))?;
    let what = format!("this did not sign the certificate of {}: {untrusted}", near.name);
    let advice = "give the CA that signed it, or have it signed by this one";
    Some(far.finding("mtls_auth_ca_certificates", what, advice))
}

/// The names the gateway lets in or believes must be somebody's.
fn names(far: &Half, client: &PeerCertificate) -> Vec<String> {
    let config = far.config();
    let group_by = config.access.mtls_auth.as_ref().and_then(|auth| auth.group_by);
    let group = group_by.and_then(|by| by.group(client)).unwrap_or_default();
    let mut findings = Vec::new();
    match config.access.acl.as_ref().map(|acl| &acl.rule) {
        Some(Rule::Allow(allowed)) if !allowed.contains(&group) => {
            let what = format!("the client of this pair is called {group:?}, and is not let in");
            findings.push(far.finding("acl_allow", what, "write the name in its certificate"));
        }
        Some(Rule::Allow(allowed)) => {
            findings.extend(allowed.iter().filter(|name| **name != group).map(|name| {
                let what = format!("nobody in this pair is called {name:?}");
                far.finding("acl_allow", what, "remove the name, or check the pair whose it is")
            }));
        }
        Some(Rule::Deny(denied)) if denied.contains(&group) => {
            let what = format!("the client of this pair is called {group:?}, and is kept out");
            findings.push(far.finding("acl_deny", what, "remove the name"));
        }
        Some(Rule::Deny(_)) | None => {}
    }
    let peers = &config.forwarding.trusted_peers;
    if !peers.is_empty() && !client.leaf.names().any(|name| peers.iter().any(|peer| peer == name)) {
        let what =
            format!("the client of this pair is called {group:?}, so its X-Forwarded-For is not believed");
        findings.push(far.finding("trusted_peers", what, "write the name in its certificate"));
    }
    findings
}

/// The node next to what is slow must be the first to give up, or nobody learns who was slow.
fn timeouts(near: &Half, far: &Half) -> Vec<String> {
    let [outer, inner] = [near, far].map(|half| &half.config().calls.terms);
    [
        ("read_timeout", outer.read_timeout, inner.read_timeout),
        ("write_timeout", outer.write_timeout, inner.write_timeout),
    ]
    .into_iter()
    .filter(|(_, outer, inner)| outer <= inner)
    .map(|(key, outer, inner)| {
        let what = format!("{outer:?} is not longer than {inner:?} in {}", far.name);
        near.finding(key, what, "make it longer, so that the gateway's answer about a slow service arrives")
    })
    .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Presented; an expired one stops the start and so is told already.
    Own,
    /// Believed.
    Trusted,
}

fn ends(certificate: &Certificate, kind: Kind, now: UnixTime) -> Option<String> {
    let (subject, end) = (certificate.subject(), certificate.validity().not_after.as_secs());
    match end.checked_sub(now.as_secs()) {
        Some(left) if left < SOON.as_secs() => {
            Some(format!("the certificate ({subject}) ends in {}", in_words(left)))
        }
        None if kind == Kind::Trusted => {
            Some(format!("the certificate ({subject}) ended {} ago", in_words(now.as_secs() - end)))
        }
        _ => None,
    }
}

fn upstream_tls(half: &Half) -> Option<&UpstreamTls> {
    half.config().upstream.as_ref()?.tls.as_ref()
}

fn own_credentials(half: &Half) -> Vec<&CredentialFiles> {
    let presented = upstream_tls(half).and_then(|tls| tls.credentials.as_ref());
    let shown = half.config().server_tls.iter().flat_map(|tls| &tls.credentials);
    presented.into_iter().chain(shown).collect()
}

/// The CAs that are named; the operating system's are its own business.
fn trusted_cas(half: &Half) -> Vec<&Said> {
    let callers = half.config().access.mtls_auth.as_ref().map(|auth| &auth.ca_certificates);
    let upstream = upstream_tls(half).map(|tls| &tls.ca_certificates);
    let files = callers.into_iter().chain(upstream).filter_map(|cas| match cas {
        CaFiles::Pem(files) => Some(files),
        CaFiles::System(_) => None,
    });
    files.flatten().collect()
}

fn first(chain: &[CertificateDer<'static>]) -> Option<Certificate> {
    Certificate::parse(chain.first()?.clone()).ok()
}

/// A certificate outside its time is told once, by the half that shows it.
fn is_current(certificate: &Certificate, now: UnixTime) -> bool {
    let validity = certificate.validity();
    (validity.not_before..=validity.not_after).contains(&now)
}

/// Enough to have a new one issued and brought to two hosts.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
