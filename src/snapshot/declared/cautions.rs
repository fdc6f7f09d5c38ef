//! What works in a file but weakens security or was hardly meant, each with its place.

use std::time::Duration;

use super::Loading;
use crate::config::Caution;
use crate::config::declarative::Place;
use crate::config::declarative::model::Service;
use crate::config::declarative::plugins::PluginConfig;
use crate::snapshot::presented;
use crate::tls::credentials::Side;
use crate::tls::pem;

/// In the order of the file's lists.
pub(super) fn cautions(loading: &Loading<'_>) -> Vec<Caution> {
    let services = loading.model.services.iter().filter_map(|service| of_service(loading, service));
    let plugins = loading.model.plugins.iter().filter_map(|plugin| match &plugin.config {
        PluginConfig::HeaderCertAuth(fields) if !fields.header.secure_source => {
            let what = "secure_source is off: whoever sends the header is whom he says";
            Some(caution(loading, &plugin.place, what, "leave it on, and list the balancer in TRUSTED_IPS"))
        }
        _ => None,
    });
    let waits = loading.model.services.iter().flat_map(|service| hardly_a_wait(loading, service));
    services.chain(plugins).chain(everybody_comes_in(loading)).chain(waits).collect()
}

/// Certificates that many will refuse, each once.
pub(super) fn presented(loading: &Loading<'_>) -> Vec<Caution> {
    let model = loading.model;
    let services = model.services.iter().filter_map(|service| service.client_certificate);
    let upstreams = model.upstreams.iter().filter_map(|upstream| upstream.client_certificate);
    let clients = services.chain(upstreams).map(|at| (at, Side::Client));
    let mut shown: Vec<_> =
        clients.chain(model.snis.iter().map(|sni| (sni.certificate, Side::Server))).collect();
    shown.sort_unstable_by_key(|(at, side)| (*at, *side == Side::Server));
    shown.dedup();
    let of = |(at, side): (usize, Side)| {
        let certificate = model.certificates.get(at)?;
        let pairs = [Some(&certificate.pair), certificate.alternative.as_ref()];
        let what = pairs
            .into_iter()
            .flatten()
            .find_map(|pair| presented::of_chain(&pem::certificates(pair.cert.as_bytes()).ok()?, side))?;
        Some(caution(loading, &certificate.place, &what, presented::ADVICE))
    };
    shown.into_iter().filter_map(of).collect()
}

/// `read_timeout: 5` was probably meant to be seconds.
fn hardly_a_wait(loading: &Loading<'_>, service: &Service) -> impl Iterator<Item = Caution> {
    let waits = [
        ("connect_timeout", service.connect_timeout),
        ("read_timeout", service.read_timeout),
        ("write_timeout", service.write_timeout),
    ];
    waits.into_iter().filter_map(|(field, wait)| {
        let milliseconds = wait.filter(|wait| *wait < FEW)?.as_millis();
        let place = &service.place;
        let what = format!("{place}: {field} is in milliseconds, as in Kong, so this is {milliseconds} ms");
        let advice = format!("write {milliseconds}000 for seconds, if that is meant");
        Some(Caution::of_use(loading.source.said(), what, advice))
    })
}

/// Nobody waits for less, and nobody who means seconds writes more.
const FEW: Duration = Duration::from_millis(100);

/// A gateway that asks nobody is probably missing its plugin, or the file its CAs.
fn everybody_comes_in(loading: &Loading<'_>) -> Option<Caution> {
    let judges = |config: &PluginConfig| {
        matches!(
            config,
            PluginConfig::MtlsAuth(_) | PluginConfig::HeaderCertAuth(_) | PluginConfig::CallistaMtlsAuth(_)
        )
    };
    let open = loading.config.access.certificate_required
        && !loading.model.plugins.iter().any(|plugin| judges(&plugin.config));
    let what = "no plugin asks callers for certificates, so everybody comes in";
    open.then(|| Caution::new(loading.source.said(), what, "add an mtls-auth"))
}

fn of_service(loading: &Loading<'_>, service: &Service) -> Option<Caution> {
    let calls = &loading.config.calls;
    let target = &service.target;
    if !target.scheme.is_tls() {
        let what = "requests leave this host without TLS";
        let exposed = calls.leave_this_host && !target.is_loopback();
        return exposed.then(|| caution(loading, &service.place, what, "write https"));
    }
    // Where the setting says so, it is cautioned about.
    let unverified = service.tls_verify == Some(false) && calls.tls.verify;
    let what = "tls_verify is off: anyone on the way can pose as the service";
    unverified
        .then(|| caution(loading, &service.place, what, "name its CA in ca_certificates, and verify it"))
}

fn caution(loading: &Loading<'_>, place: &Place, what: &str, advice: &str) -> Caution {
    Caution::new(loading.source.said(), format!("{place}: {what}"), advice)
}
