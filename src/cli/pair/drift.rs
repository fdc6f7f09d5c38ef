//! In what two halves do not fit together: one function for each thing that must agree.
//!
//! Used by `pair::check`. Chains are in `chains`; what stops one half alone was found by `half` and `container`.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};

use crate::config::{CaFiles, CredentialFiles, Mode, Said, UpstreamTls};
use crate::identity::{Certificate, PeerCertificate};
use crate::policy::Rule;
use crate::snapshot;
use crate::tls::credentials::in_words;

use super::chains;
use super::compose_file::Network;
use super::half::Half;

/// What one half shows by itself: certificates that end soon, and a trusted CA that has ended.
pub(super) fn alone(half: &Half, now: UnixTime) -> Vec<String> {
    let own = own_credentials(half).into_iter().map(|files| (files.cert.clone(), Kind::Own));
    let trusted = trusted_cas(half).into_iter().map(|said| (said.clone(), Kind::Trusted));
    let mut findings = Vec::new();
    for (said, kind) in own.chain(trusted).filter(|(said, _)| half.reads(&[said.key()])) {
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
    findings.extend(chains::gateway(near, far, now));
    match client_certificate(near) {
        Ok(client) => {
            findings.extend(client.as_ref().and_then(|client| chains::client(near, far, client, now)));
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

/// The port that is called must lead to a listener, one that speaks the same, and from where the caller is.
fn ports(near: &Half, far: &Half) -> Option<String> {
    let target = &near.config().upstream.as_ref()?.target;
    let at = |tls| far.reached_at(tls);
    if at(target.scheme.is_tls()).contains(&target.port) {
        return published_on_loopback(near, far);
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

/// A port that is published on the host's loopback is for the host alone, and for no container of it.
fn published_on_loopback(near: &Half, far: &Half) -> Option<String> {
    let target = &near.config().upstream.as_ref()?.target;
    if target.is_loopback() && near.network() == Network::Host {
        return None;
    }
    let Some(ports) = far.published(target.scheme.is_tls()) else { return listens_on_loopback(near, far) };
    let called = || ports.iter().filter(|port| port.published == target.port);
    let port = called().next().filter(|_| called().all(|port| port.is_loopback()))?;
    let what = format!("published on loopback alone, where {} does not reach it", near.name);
    let advice = format!("write {}:{}", port.published, port.target);
    Some(far.of_compose("ports", &port.text, what, advice))
}

/// The same of a process without a container.
fn listens_on_loopback(near: &Half, far: &Half) -> Option<String> {
    let port = near.config().upstream.as_ref()?.target.port;
    let mut listeners = far.config().listeners.iter().filter(|listener| listener.address.port() == port);
    let is_loopback = listeners.all(|listener| listener.address.ip().to_canonical().is_loopback());
    let what = format!("this is loopback, where {} does not reach it", near.name);
    let advice = format!("write 0.0.0.0:{port} ssl");
    (far.service.is_none() && is_loopback).then(|| far.finding("proxy_listen", what, advice))
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
    if !near.reads(&["client_ssl_cert"]) {
        return Ok(None);
    }
    let chain = snapshot::certificates(&files.cert).unwrap_or_default();
    Ok(PeerCertificate::parse(&chain).ok().flatten())
}

/// The names the gateway lets in or believes must be somebody's.
fn names(far: &Half, client: &PeerCertificate) -> Vec<String> {
    let config = far.config();
    let group_by = config.access.mtls_auth.as_ref().and_then(|auth| auth.group_by);
    let groups = group_by.map(|by| by.groups(client)).unwrap_or_default();
    let group = groups.join(",");
    let mut findings = Vec::new();
    match config.access.acl.as_ref().map(|acl| &acl.rule) {
        Some(Rule::Allow(allowed)) if !groups.iter().any(|group| allowed.contains(group)) => {
            let what = format!("the client of this pair is called {group:?}, and is not let in");
            findings.push(far.finding("acl_allow", what, "write the name in its certificate"));
        }
        Some(Rule::Allow(allowed)) => {
            findings.extend(allowed.iter().filter(|name| !groups.contains(name)).map(|name| {
                let what = format!("nobody in this pair is called {name:?}");
                far.finding("acl_allow", what, "remove the name, or check the pair whose it is")
            }));
        }
        Some(Rule::Deny(denied)) if groups.iter().any(|group| denied.contains(group)) => {
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

pub(super) fn upstream_tls(half: &Half) -> Option<&UpstreamTls> {
    half.config().upstream.as_ref()?.tls.as_ref()
}

pub(super) fn own_credentials(half: &Half) -> Vec<&CredentialFiles> {
    let presented = upstream_tls(half).and_then(|tls| tls.credentials.as_ref());
    let shown = half.config().server_tls.iter().flat_map(|tls| &tls.credentials);
    presented.into_iter().chain(shown).collect()
}

/// The CAs that are named; the operating system's are its own business.
pub(super) fn trusted_cas(half: &Half) -> Vec<&Said> {
    let callers = half.config().access.mtls_auth.as_ref().map(|auth| &auth.ca_certificates);
    let upstream = upstream_tls(half).map(|tls| &tls.ca_certificates);
    let files = callers.into_iter().chain(upstream).filter_map(|cas| match cas {
        CaFiles::Pem(files) | CaFiles::SystemAnd(_, files) => Some(files),
        CaFiles::System(_) => None,
    });
    files.flatten().collect()
}

pub(super) fn first(chain: &[CertificateDer<'static>]) -> Option<Certificate> {
    Certificate::parse(chain.first()?.clone()).ok()
}

/// A certificate outside its time is told once, by the half that shows it.
pub(super) fn is_current(certificate: &Certificate, now: UnixTime) -> bool {
    let validity = certificate.validity();
    (validity.not_before..=validity.not_after).contains(&now)
}

/// Enough to have a new one issued and brought to two hosts.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
