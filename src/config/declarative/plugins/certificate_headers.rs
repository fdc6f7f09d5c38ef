//! Plugins that tell the service about a certificate: Callista's `mtls-auth`, `tls-metadata-headers`.
//! Source: callistaenterprise/kong-plugin-mtls-auth schema.lua; dev: TlsMetadataHeaders.json.

use std::collections::HashSet;

use super::{PluginConfig, Reader};
use crate::config::declarative::fields::{Fields, Text};
use crate::config::declarative::node::shortened;

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
    let fields = CallistaMtlsAuthFields {
        error_response_code: code.and_then(|code| code.try_into().ok()).unwrap_or(401),
        upstream_cert_header: header(config, "upstream_cert_header"),
        upstream_cert_fingerprint_header: header(config, "upstream_cert_fingerprint_header"),
        upstream_cert_serial_header: header(config, "upstream_cert_serial_header"),
        upstream_cert_i_dn_header: header(config, "upstream_cert_i_dn_header"),
        upstream_cert_s_dn_header: header(config, "upstream_cert_s_dn_header"),
        upstream_cert_cn_header: header(config, "upstream_cert_cn_header"),
        upstream_cert_org_header: header(config, "upstream_cert_org_header"),
    };
    let headers = [
        &fields.upstream_cert_header,
        &fields.upstream_cert_fingerprint_header,
        &fields.upstream_cert_serial_header,
        &fields.upstream_cert_i_dn_header,
        &fields.upstream_cert_s_dn_header,
        &fields.upstream_cert_cn_header,
        &fields.upstream_cert_org_header,
    ];
    distinct(config, headers.into_iter().flatten());
    Some(PluginConfig::CallistaMtlsAuth(fields))
}

pub(super) fn tls_metadata_headers(_: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    let mut name =
        |key, default: &str| header(config, key).unwrap_or_else(|| default.to_ascii_lowercase().into());
    let fields = TlsMetadataHeadersFields {
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
    };
    let headers = [
        &fields.client_cert_header_name,
        &fields.client_serial_header_name,
        &fields.client_cert_issuer_dn_header_name,
        &fields.client_cert_subject_dn_header_name,
        &fields.client_cert_fingerprint_header_name,
    ];
    distinct(config, headers.into_iter());
    Some(PluginConfig::TlsMetadataHeaders(fields))
}

/// The second of two would win, and the service would take one for the other.
fn distinct<'h>(config: &Fields<'_>, headers: impl Iterator<Item = &'h Box<str>>) {
    let mut seen = HashSet::new();
    for header in headers {
        if !seen.insert(header) {
            let what = format!("the header `{}` is set twice", shortened(header));
            config.wrong_all(what, "write a header of its own for each, also where another is the default");
        }
    }
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
        Ok(header) if is_indispensable(header.as_str()) => {
            let what = format!("requests need `{}` for something else", shortened(header.as_str()));
            config.wrong(name.at, what, "write a header of its own, like X-Client-Cert");
        }
        Ok(_) => {}
    }
}

fn is_indispensable(header: &str) -> bool {
    INDISPENSABLE.contains(&header) || RESERVED.iter().any(|prefix| header.starts_with(prefix))
}

/// Beginnings of what proxies tell each other, and what the gateway itself sets.
const RESERVED: [&str; 2] = ["x-kong-", "proxy-"];

const INDISPENSABLE: [&str; 27] = [
    "accept",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "max-forwards",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-real-ip",
];
