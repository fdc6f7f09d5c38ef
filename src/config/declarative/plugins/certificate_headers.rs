//! Plugins that tell the service about a certificate: Callista's `mtls-auth`, `tls-metadata-headers`.
//! Source: callistaenterprise/kong-plugin-mtls-auth schema.lua; dev: TlsMetadataHeaders.json.

use super::{PluginConfig, Reader};
use crate::config::declarative::fields::{Fields, Text};

/// The fields of Callista's `mtls-auth`; headers in lower case, `None` where none is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallistaMtlsAuthFields {
    /// For callers without a good certificate.
    pub error_response_code: u16,
    /// The leaf as percent-encoded PEM.
    pub upstream_cert_header: Option<Box<str>>,
    /// SHA-1 in lower-case hexadecimal digits.
    pub upstream_cert_fingerprint_header: Option<Box<str>>,
    /// In upper-case hexadecimal digits.
    pub upstream_cert_serial_header: Option<Box<str>>,
    /// The issuer.
    pub upstream_cert_i_dn_header: Option<Box<str>>,
    /// The subject.
    pub upstream_cert_s_dn_header: Option<Box<str>>,
    /// The CN of the subject.
    pub upstream_cert_cn_header: Option<Box<str>>,
    /// The O of the subject.
    pub upstream_cert_org_header: Option<Box<str>>,
}

/// The fields of `tls-metadata-headers`; headers in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsMetadataHeadersFields {
    /// Without it nothing is set.
    pub inject_client_cert_details: bool,
    /// Percent-encoded PEM.
    pub client_cert_header_name: Box<str>,
    /// The serial number.
    pub client_serial_header_name: Box<str>,
    /// The issuer.
    pub client_cert_issuer_dn_header_name: Box<str>,
    /// The subject.
    pub client_cert_subject_dn_header_name: Box<str>,
    /// SHA-1.
    pub client_cert_fingerprint_header_name: Box<str>,
}

/// Told apart by the fields: Callista's have a prefix of their own, Kong's need `ca_certificates`.
pub(super) fn is_callista(config: &Fields<'_>) -> bool {
    let of_callista = |key: &str| key.starts_with("upstream_cert_") || key == "error_response_code";
    config.keys().all(|key| key != "ca_certificates") && config.keys().any(of_callista)
}

pub(super) fn callista_mtls_auth(_: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    let code = config.integer("error_response_code", 200..=599);
    Some(PluginConfig::CallistaMtlsAuth(CallistaMtlsAuthFields {
        error_response_code: code.and_then(|code| code.try_into().ok()).unwrap_or(401),
        upstream_cert_header: header(config, "upstream_cert_header"),
        upstream_cert_fingerprint_header: header(config, "upstream_cert_fingerprint_header"),
        upstream_cert_serial_header: header(config, "upstream_cert_serial_header"),
        upstream_cert_i_dn_header: header(config, "upstream_cert_i_dn_header"),
        upstream_cert_s_dn_header: header(config, "upstream_cert_s_dn_header"),
        upstream_cert_cn_header: header(config, "upstream_cert_cn_header"),
        upstream_cert_org_header: header(config, "upstream_cert_org_header"),
    }))
}

pub(super) fn tls_metadata_headers(_: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    let mut name =
        |key, default: &str| header(config, key).unwrap_or_else(|| default.to_ascii_lowercase().into());
    Some(PluginConfig::TlsMetadataHeaders(TlsMetadataHeadersFields {
        client_cert_header_name: name("client_cert_header_name", "X-Client-Cert"),
        client_serial_header_name: name("client_serial_header_name", "X-Client-Cert-Serial"),
        client_cert_issuer_dn_header_name: name(
            "client_cert_issuer_dn_header_name",
            "X-Client-Cert-Issuer-DN",
        ),
        client_cert_subject_dn_header_name: name(
            "client_cert_subject_dn_header_name",
            "X-Client-Cert-Subject-DN",
        ),
        client_cert_fingerprint_header_name: name(
            "client_cert_fingerprint_header_name",
            "X-Client-Cert-Fingerprint",
        ),
        inject_client_cert_details: config.boolean("inject_client_cert_details").unwrap_or(false),
    }))
}

/// The name of a header in lower case.
pub(super) fn header(config: &mut Fields<'_>, key: &'static str) -> Option<Box<str>> {
    let name = config.text(key)?;
    check_header(config, name);
    Some(name.text.to_ascii_lowercase().into())
}

/// A header that plugins set or read is taken out of every request first, so it must be one that nothing
/// else depends on.
pub(super) fn check_header(config: &Fields<'_>, name: Text<'_>) {
    match http::HeaderName::try_from(name.text) {
        Err(_) => config.wrong(name.at, "not the name of a header", "write letters, digits and dashes"),
        Ok(header) if INDISPENSABLE.contains(&header.as_str()) => {
            let what = format!("requests need `{header}` for something else");
            config.wrong(name.at, what, "write a header of its own, like X-Client-Cert");
        }
        Ok(_) => {}
    }
}

const INDISPENSABLE: [&str; 21] = [
    "accept",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-kong-request-id",
];
