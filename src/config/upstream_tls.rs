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

    /// The CAs trusted for that: `system`, or a comma list of paths, PEM texts or base64 of PEM.
    #[arg(long, value_name = "CAS", default_value = "system")]
    pub(super) upstream_ca_certificates: Said,

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
    /// What we present, if anything.
    pub credentials: Option<CredentialFiles>,
}

impl UpstreamTls {
    /// `host` is that of the upstream's URL. `None` after a problem.
    pub(super) fn compile(
        settings: &UpstreamTlsSettings,
        host: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let server_name = problems.note(server_name(settings, host));
        let verify = problems.note(value::switch(&settings.upstream_tls_verify)).unwrap_or(true);
        let ca_certificates = problems.note(CaFiles::parse(&settings.upstream_ca_certificates));
        let credentials = credentials(settings, problems);
        Some(Self { server_name: server_name?, verify, ca_certificates: ca_certificates?, credentials })
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

/// The pair, when `client_ssl` is on. Half a pair is a problem either way.
fn credentials(settings: &UpstreamTlsSettings, problems: &mut Problems) -> Option<CredentialFiles> {
    let presents = problems.value(presents(settings));
    match (&settings.client_ssl_cert, &settings.client_ssl_cert_key, &settings.client_ssl) {
        (Some(_), Some(_), _) if presents => return pair(settings),
        (Some(cert), None, _) => {
            let advice = "set CLIENT_SSL_CERT_KEY to its key";
            problems.push(Problem::new(cert, "client_ssl_cert_key is not set", advice));
        }
        (None, Some(key), _) => {
            let advice = "set CLIENT_SSL_CERT to its certificate";
            problems.push(Problem::new(key, "client_ssl_cert is not set", advice));
        }
        (None, None, Some(on)) if presents => {
            let advice = "set CLIENT_SSL_CERT and CLIENT_SSL_CERT_KEY, or CLIENT_SSL=off";
            problems.push(Problem::new(on, "there is no certificate to present", advice));
        }
        _ => {}
    }
    None
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
            upstream_tls_server_name: said("upstream_tls_server_name"),
        }
    }

    fn check(pairs: &[(&str, &str)], expected: &str) {
        let mut problems = Problems::default();
        UpstreamTls::compile(&settings(pairs), "gateway.example", &mut problems);
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
        let unused = UpstreamTls::compile(&settings(&pair), "h", &mut Problems::default()).unwrap();
        assert!(unused.credentials.is_none());
    }

    #[test]
    fn the_name_is_the_host_unless_said() {
        let name = |pairs: &[(&str, &str)]| {
            UpstreamTls::compile(&settings(pairs), "gateway.example", &mut Problems::default())
                .unwrap()
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
