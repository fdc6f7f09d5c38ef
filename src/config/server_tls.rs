//! The TLS side of the listeners: our certificates, and whether callers are asked for theirs.
//!
//! Said in [`ServerTlsSettings`], meant as [`ServerTls`], used by `snapshot` and `tls/server`.

use super::credentials::CredentialFiles;
use super::problem::{Problem, Problems, Said};
use super::reference::Reference;

/// How listeners with `ssl` present themselves.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "TLS of the listeners")]
pub(super) struct ServerTlsSettings {
    /// The certificate with its chain: a path, PEM text or base64 of PEM; a comma list for RSA
    /// and ECDSA. The variable `SSL_CERT_FILE` is OpenSSL's and is not read.
    #[arg(long, value_name = "PEM")]
    pub(super) ssl_cert: Option<Said>,

    /// Its key; a list in the order of the certificates.
    #[arg(long, value_name = "PEM")]
    pub(super) ssl_cert_key: Option<Said>,

    /// TLS versions that are spoken: `TLSv1.2`, `TLSv1.3` or both.
    #[arg(long, value_name = "VERSIONS", default_value = "TLSv1.2 TLSv1.3")]
    pub(super) ssl_protocols: Said,
}

/// What TLS listeners present and ask for.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// One per kind of key; never empty.
    pub credentials: Vec<CredentialFiles>,
    /// The versions spoken; at least one.
    pub versions: TlsVersions,
    /// How a client certificate is asked for; `None`: not at all.
    pub handshake: Option<Handshake>,
    /// Whether the names of the accepted CAs are sent along.
    pub send_ca_dn: bool,
}

/// How a client certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// Asked for; judged for each request, which is answered with 401.
    Request,
    /// Demanded; without a good one the handshake fails.
    Require,
}

/// TLS versions; at least one is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TlsVersions {
    /// TLS 1.2.
    pub tls12: bool,
    /// TLS 1.3.
    pub tls13: bool,
}

impl ServerTls {
    /// `None` when no listener speaks TLS (`needed`); the settings are read all the same, so that
    /// half a pair is told. How clients are asked (`handshake`, `send_ca_dn`) is an access setting.
    pub(super) fn compile(
        settings: &ServerTlsSettings,
        needed: bool,
        (handshake, send_ca_dn): (Option<Handshake>, bool),
        problems: &mut Problems,
    ) -> Option<Self> {
        if needed && settings.ssl_cert.is_none() && settings.ssl_cert_key.is_none() {
            let what = "not set, and a listener has `ssl`";
            problems.push(Problem::missing("ssl_cert", what, format!("{CERT_ADVICE}, and SSL_CERT_KEY")));
        }
        let credentials = credentials(settings, problems);
        let versions = problems.value(versions(&settings.ssl_protocols));
        needed.then_some(Self { credentials, versions, handshake, send_ca_dn })
    }
}

/// Pairs certificates with keys.
pub(super) fn credentials(settings: &ServerTlsSettings, problems: &mut Problems) -> Vec<CredentialFiles> {
    match (&settings.ssl_cert, &settings.ssl_cert_key) {
        (None, None) => Vec::new(),
        (Some(cert), None) => {
            problems.push(Problem::new(cert, "ssl_cert_key is not set", "set SSL_CERT_KEY to its key"));
            Vec::new()
        }
        (None, Some(key)) => {
            problems.push(Problem::new(key, "ssl_cert is not set", CERT_ADVICE));
            Vec::new()
        }
        (Some(certs), Some(keys)) => {
            let (cert_list, key_list) = (Reference::list(certs), Reference::list(keys));
            if cert_list.len() != key_list.len() {
                let what = format!("{} certificates, but {} keys", cert_list.len(), key_list.len());
                problems.push(Problem::new(certs, what, "write one key for each, in the same order"));
            }
            cert_list.into_iter().zip(key_list).map(|(cert, key)| CredentialFiles { cert, key }).collect()
        }
    }
}

/// Kong separates versions with spaces; a comma list, as TOML arrays become, is as good.
fn versions(said: &Said) -> Result<TlsVersions, Problem> {
    let mut versions = TlsVersions::default();
    for word in said.value().split([' ', ',']).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.tls12 = true,
            "tlsv1.3" => versions.tls13 = true,
            _ => {
                let what = format!("`{word}` is not a version this program speaks");
                return Err(Problem::new(said, what, "write TLSv1.2, TLSv1.3 or both"));
            }
        }
    }
    if versions == TlsVersions::default() {
        return Err(Problem::new(said, "names no version", "write TLSv1.2, TLSv1.3 or both"));
    }
    Ok(versions)
}

const CERT_ADVICE: &str = "set SSL_CERT to a path, PEM text or base64 (SSL_CERT_FILE is OpenSSL's)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn settings(cert: &str, key: &str, protocols: &str) -> ServerTlsSettings {
        let said = |key: &str, value: &str| Said::new(key, value, Origin::DEFAULT);
        let option = |key: &str, value: &str| (!value.is_empty()).then(|| said(key, value));
        ServerTlsSettings {
            ssl_cert: option("ssl_cert", cert),
            ssl_cert_key: option("ssl_cert_key", key),
            ssl_protocols: said("ssl_protocols", protocols),
        }
    }

    fn check(cert: &str, key: &str, protocols: &str, expected: &str) {
        let mut problems = Problems::default();
        ServerTls::compile(&settings(cert, key, protocols), true, (None, false), &mut problems);
        assert_eq!(problems.to_string(), expected);
    }

    #[test]
    fn certificates_and_keys_are_pairs() {
        let both = "TLSv1.2 TLSv1.3";
        check("/rsa.pem,/ec.pem", "/rsa.key,/ec.key", both, "");
        check(
            "",
            "",
            both,
            "ssl_cert: not set, and a listener has `ssl`; \
             set SSL_CERT to a path, PEM text or base64 (SSL_CERT_FILE is OpenSSL's), and SSL_CERT_KEY",
        );
        check(
            "/c.pem",
            "",
            both,
            "ssl_cert=/c.pem (default): ssl_cert_key is not set; set SSL_CERT_KEY to its key",
        );
        check(
            "",
            "/c.key",
            both,
            "ssl_cert_key=/c.key (default): ssl_cert is not set; \
             set SSL_CERT to a path, PEM text or base64 (SSL_CERT_FILE is OpenSSL's)",
        );
        check(
            "/a,/b",
            "/a.key",
            both,
            "ssl_cert=/a,/b (default): 2 certificates, but 1 keys; write one key for each, in the same order",
        );
    }

    #[test]
    fn versions_of_tls() {
        let of = |value| versions(&settings("", "", value).ssl_protocols);
        assert_eq!(of("TLSv1.2 TLSv1.3"), Ok(TlsVersions { tls12: true, tls13: true }));
        assert_eq!(of("tlsv1.3,"), Ok(TlsVersions { tls12: false, tls13: true }));
        check(
            "/c",
            "/k",
            "TLSv1.1",
            "ssl_protocols=TLSv1.1 (default): `TLSv1.1` is not a version this program speaks; \
             write TLSv1.2, TLSv1.3 or both",
        );
        check("/c", "/k", ",", "ssl_protocols=, (default): names no version; write TLSv1.2, TLSv1.3 or both");
    }
}
