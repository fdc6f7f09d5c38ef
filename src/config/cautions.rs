//! Settings that work but weaken security, or were probably meant otherwise, each with the reason and what would
//! be better.
//!
//! Used by `compile`; `insecure=refuse` makes problems of those that weaken security.

use super::access::unmatched;
use super::mode::Mode;
use super::problem::{Caution, Said};
use super::settings::Settings;
use super::{Config, access, limits, upstream_tls, value};

/// Every caution about a configuration that is otherwise right.
pub(super) fn cautions(mode: Mode, settings: &Settings, config: &Config) -> Vec<Caution> {
    let mut cautions = listeners(settings, config);
    cautions.extend(nobody_gets_in(settings, config));
    cautions.extend(plain_upstream(mode, settings, config));
    cautions.extend(nothing_presented(settings, config));
    cautions.extend(unverified(settings, config));
    cautions.extend(everybody_trusted(settings, config));
    cautions.extend(hardly_a_wait(settings));
    if config.declarative.is_none() {
        cautions.extend(access::cautions(&settings.access, &config.access));
    }
    cautions.extend(unknown_peers(settings, config));
    cautions.extend(limits::cautions(&settings.limits, config.limits));
    cautions
}

fn listeners(settings: &Settings, config: &Config) -> Vec<Caution> {
    let Some(said) = &settings.listen.proxy_listen else { return Vec::new() };
    let open =
        |listener: &&super::Listener| !listener.tls && !listener.address.ip().to_canonical().is_loopback();
    let caution = |listener: &super::Listener| {
        let what = format!("{} takes plain HTTP from other hosts", listener.address);
        Caution::new(said, what, "add `ssl`, or listen on 127.0.0.1")
    };
    config.listeners.iter().filter(open).map(caution).collect()
}

/// A plaintext listener cannot receive a certificate, so each of its requests gets 401.
fn nobody_gets_in(settings: &Settings, config: &Config) -> Option<Caution> {
    let said = settings.access.mtls_auth_ca_certificates.as_ref()?;
    let what = "no listener has `ssl`, so every request is refused with 401";
    let is_plain = config.server_tls.is_none() && !config.listeners.is_empty();
    is_plain.then(|| Caution::new(said, what, "add `ssl` to PROXY_LISTEN"))
}

/// A gateway's services are usually beside it; a reverse proxy's upstream is on another host.
fn plain_upstream(mode: Mode, settings: &Settings, config: &Config) -> Option<Caution> {
    let target = &config.upstream.as_ref()?.target;
    let exposed = mode == Mode::ReverseProxy && !target.scheme.is_tls() && !target.is_loopback();
    let caution = |said| Caution::new(said, "requests leave this host without TLS", "write https");
    settings.upstream.upstream_url.as_ref().filter(|_| exposed).map(caution)
}

fn nothing_presented(settings: &Settings, config: &Config) -> Option<Caution> {
    let said = settings.upstream_tls.client_ssl.as_ref()?;
    let in_vain =
        config.upstream.as_ref()?.tls.is_none() && upstream_tls::presents(&settings.upstream_tls).ok()?;
    let what = "the upstream is plain HTTP, so the client certificate is not presented";
    in_vain.then(|| Caution::new(said, what, "write https in UPSTREAM_URL, or CLIENT_SSL=off"))
}

fn unverified(settings: &Settings, config: &Config) -> Option<Caution> {
    let may_be_tls = config.upstream.as_ref().is_none_or(|upstream| upstream.tls.is_some());
    let unverified = may_be_tls && !config.calls.tls.verify;
    let what = "anyone on the way can pose as the upstream";
    let advice = "write on, and name its CA in UPSTREAM_CA_CERTIFICATES";
    unverified.then(|| Caution::new(&settings.upstream_tls.upstream_tls_verify, what, advice))
}

fn everybody_trusted(settings: &Settings, config: &Config) -> Option<Caution> {
    let said: &Said = settings.forwarding.trusted_ips.as_ref()?;
    let everybody = config.forwarding.trusted_ips.iter().any(|network| network.prefix_len() == 0);
    let what = "every client's forwarding headers are believed";
    everybody.then(|| Caution::new(said, what, "name the proxies in front, or use TRUSTED_PEERS"))
}

/// `READ_TIMEOUT=5` was probably meant to be seconds.
fn hardly_a_wait(settings: &Settings) -> impl Iterator<Item = Caution> {
    let (upstream, revocation) = (&settings.upstream, &settings.revocation);
    let in_milliseconds = [
        &upstream.connect_timeout,
        &upstream.read_timeout,
        &upstream.write_timeout,
        &revocation.mtls_auth_http_timeout,
        &revocation.mtls_auth_cert_cache_ttl,
    ];
    in_milliseconds.into_iter().filter_map(|said| {
        let number = value::bare_number(said).filter(|number| (1..FEW_MILLISECONDS).contains(number))?;
        let what = format!("a bare number is milliseconds here, as in Kong, so this is {number} ms");
        Some(Caution::of_use(
            said,
            what,
            format!("write {number}s for seconds, or {number}ms if that is meant"),
        ))
    })
}

/// Nobody waits for less, and nobody who means seconds writes more.
const FEW_MILLISECONDS: u64 = 100;
/// Proxies are trusted by any of their names.
fn unknown_peers(settings: &Settings, config: &Config) -> Vec<Caution> {
    let said = settings.forwarding.trusted_peers.iter();
    said.flat_map(|said| unmatched::cautions(said, &config.forwarding.trusted_peers, None)).collect()
}
