//! The TLS side of the upstream: whom to trust, and the certificate we present.
//!
//! Said in [`UpstreamTlsSettings`], meant as [`UpstreamTls`], used by `snapshot` and `tls/client`.

use tokio_rustls::rustls::pki_types::ServerName;

use super::credentials::{CaFiles, CredentialFiles};
use super::problem::{Problem, Problems, Said};
use super::value;

/// How an upstream with `https` or `grpcs` is spoken to.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "TLS to the upstream")]
pub(super) struct UpstreamTlsSettings {
    /// Whether our client certificate is presented to the upstream.
    #[arg(long, value_name = "on|off")]
    pub(super) client_ssl: Option<Said>,

    /// That certificate with its chain: a path, PEM text or base64 of PEM.
    #[arg(long, value_name = "PEM")]
    pub(super) client_ssl_cert: Option<Said>,

    /// Its key.
    #[arg(long, value_name = "PEM")]
    pub(super) client_ssl_cert_key: Option<Said>,

    /// Whether the upstream's certificate is verified: its chain and its name.
    #[arg(long, value_name = "on|off", default_value = "on")]
    pub(super) upstream_tls_verify: Said,

    /// The CAs trusted for that: a comma list of paths, PEM texts or base64 of PEM, and of `system` for those
    /// of the operating system.
    #[arg(long, value_name = "CAS", default_value = "system")]
    pub(super) upstream_ca_certificates: Said,

    /// How many intermediate CAs may be between the upstream's certificate and a trusted one; nginx's
    /// `proxy_ssl_verify_depth`. Without it, any number that fits into a handshake.
    #[arg(long, value_name = "N")]
    pub(super) upstream_tls_verify_depth: Option<Said>,

    /// The name that is asked for (SNI) and verified, whatever `Host` says; without it, the host
    /// of `upstream_url`.
    #[arg(long, value_name = "NAME")]
    pub(super) upstream_tls_server_name: Option<Said>,
}

/// TLS to the upstream.
#[derive(Debug, Clone)]
pub struct UpstreamTls {
    /// A DNS name or an IP address (without brackets): for SNI and verification.
    pub server_name: String,
    /// Whether chain and name are verified.
    pub verify: bool,
    /// Whom to trust.
    pub ca_certificates: CaFiles,
    /// Intermediate CAs allowed in the upstream's chain; `None` for any number.
    pub verify_depth: Option<u32>,
    /// What we present, if anything.
    pub credentials: Option<CredentialFiles>,
    /// What said that a certificate is presented, where none is named: each service needs one of its own.
    pub unmet: Option<Said>,
}

impl UpstreamTls {
    /// `host` is that of the upstream's URL. `declared`: services are in a file, and may have certificates of
    /// their own. After a problem, as far as it was told.
    pub(super) fn compile(
        settings: &UpstreamTlsSettings,
        host: &str,
        declared: bool,
        problems: &mut Problems,
    ) -> Self {
        let server_name = problems.note(server_name(settings, host)).unwrap_or_else(|| host.to_owned());
        let verify = problems.note(value::switch(&settings.upstream_tls_verify)).unwrap_or(true);
        let cas = &settings.upstream_ca_certificates;
        let ca_certificates = problems.note(CaFiles::parse(cas));
        let depth = settings.upstream_tls_verify_depth.as_ref();
        let verify_depth = depth.and_then(|said| problems.note(value::count(said, 0..=DEEPEST)));
        let (credentials, unmet) = credentials(settings, declared, problems);
        Self {
            server_name,
            verify,
            ca_certificates: ca_certificates.unwrap_or_else(|| CaFiles::System(cas.clone())),
            verify_depth,
            credentials,
            unmet,
        }
    }
}

/// Whether a certificate is to be presented; not, where nothing is said.
pub(super) fn presents(settings: &UpstreamTlsSettings) -> Result<bool, Problem> {
    settings.client_ssl.as_ref().map_or(Ok(false), value::switch)
}

/// The certificate with its key, if both are named.
pub(super) fn pair(settings: &UpstreamTlsSettings) -> Option<CredentialFiles> {
    let (cert, key) = (settings.client_ssl_cert.clone()?, settings.client_ssl_cert_key.clone()?);
    Some(CredentialFiles { cert, key })
}

/// The pair, when `client_ssl` is on, or what asked for one. Half a pair is a problem either way.
fn credentials(
    settings: &UpstreamTlsSettings,
    declared: bool,
    problems: &mut Problems,
) -> (Option<CredentialFiles>, Option<Said>) {
    let presents = problems.value(presents(settings));
    match (&settings.client_ssl_cert, &settings.client_ssl_cert_key, &settings.client_ssl) {
        (Some(_), Some(_), _) if presents => return (pair(settings), None),
        (Some(cert), None, _) => {
            let advice = "set CLIENT_SSL_CERT_KEY to its key";
            problems.push(Problem::new(cert, "client_ssl_cert_key is not set", advice));
        }
        (None, Some(key), _) => {
            let advice = "set CLIENT_SSL_CERT to its certificate";
            problems.push(Problem::new(key, "client_ssl_cert is not set", advice));
        }
        (None, None, Some(on)) if presents && declared => return (None, Some(on.clone())),
        (None, None, Some(on)) if presents => {
            let advice = "set CLIENT_SSL_CERT and CLIENT_SSL_CERT_KEY, or CLIENT_SSL=off";
            problems.push(Problem::new(on, "there is no certificate to present", advice));
        }
        _ => {}
    }
    (None, None)
}

fn server_name(settings: &UpstreamTlsSettings, host: &str) -> Result<String, Problem> {
    let Some(said) = &settings.upstream_tls_server_name else {
        return Ok(host.to_owned());
    };
    let name = said.value();
    ServerName::try_from(name).map(|_| name.to_owned()).map_err(|_| {
        Problem::new(said, "neither a DNS name nor an IP address", "write the name in its certificate")
    })
}

/// More than any chain has; Kong's bound of `tls_verify_depth`.
const DEEPEST: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn settings(pairs: &[(&str, &str)]) -> UpstreamTlsSettings {
        let said = |key: &str| {
            let (_, value) = pairs.iter().find(|(name, _)| *name == key)?;
            Some(Said::new(key, value, Origin::DEFAULT))
        };
        let default = |key, value| said(key).unwrap_or_else(|| Said::new(key, value, Origin::DEFAULT));
        UpstreamTlsSettings {
            client_ssl: said("client_ssl"),
            client_ssl_cert: said("client_ssl_cert"),
            client_ssl_cert_key: said("client_ssl_cert_key"),
            upstream_tls_verify: default("upstream_tls_verify", "on"),
            upstream_ca_certificates: default("upstream_ca_certificates", "system"),
            upstream_tls_verify_depth: said("upstream_tls_verify_depth"),
            upstream_tls_server_name: said("upstream_tls_server_name"),
        }
    }

    fn check(pairs: &[(&str, &str)], expected: &str) {
        let mut problems = Problems::default();
        UpstreamTls::compile(&settings(pairs), "gateway.example", false, &mut problems);
        assert_eq!(problems.to_string(), expected);
    }

    #[test]
    fn a_certificate_is_presented_with_its_key_or_not_at_all() {
        let pair = [("client_ssl_cert", "/c.pem"), ("client_ssl_cert_key", "/c.key")];
        check(&[], "");
        check(&[("client_ssl", "on"), pair[0], pair[1]], "");
        check(
            &[("client_ssl", "on")],
            "client_ssl=on (default): there is no certificate to present; \
             set CLIENT_SSL_CERT and CLIENT_SSL_CERT_KEY, or CLIENT_SSL=off",
        );
        check(
            &[("client_ssl", "on"), pair[0]],
            "client_ssl_cert=/c.pem (default): client_ssl_cert_key is not set; \
             set CLIENT_SSL_CERT_KEY to its key",
        );
        check(
            &[("client_ssl", "off"), pair[1]],
            "client_ssl_cert_key=/c.key (default): client_ssl_cert is not set; \
             set CLIENT_SSL_CERT to its certificate",
        );
        let unused = UpstreamTls::compile(&settings(&pair), "h", false, &mut Problems::default());
        assert!(unused.credentials.is_none() && unused.unmet.is_none());
        let on = settings(&[("client_ssl", "on")]);
        let mut problems = Problems::default();
        let of_services = UpstreamTls::compile(&on, "", true, &mut problems);
        assert!(problems.is_empty() && of_services.unmet.is_some(), "a file's services may have their own");
    }

    #[test]
    fn the_name_is_the_host_unless_said() {
        let name = |pairs: &[(&str, &str)]| {
            UpstreamTls::compile(&settings(pairs), "gateway.example", false, &mut Problems::default())
                .server_name
        };
        assert_eq!(name(&[]), "gateway.example");
        assert_eq!(name(&[("upstream_tls_server_name", "inner.example")]), "inner.example");
        check(
            &[("upstream_tls_server_name", "a b")],
            "upstream_tls_server_name=a b (default): neither a DNS name nor an IP address; \
             write the name in its certificate",
        );
    }
}
