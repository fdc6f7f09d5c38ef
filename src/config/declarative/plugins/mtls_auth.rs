//! Kong Enterprise's `mtls-auth` and `header-cert-auth`, as of 3.9.
//! Source: the schemas published in dev: app/_schemas/gateway/plugins/3.9, and their changelogs.

use std::time::Duration;

use super::certificate_headers::{callista_mtls_auth, check_header, is_callista};
use super::{PluginConfig, Reader};
use crate::config::declarative::fields::Fields;
use crate::config::declarative::kind::Kind;

/// The fields of `mtls-auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtlsAuthFields {
    /// Whose certificates are accepted; in the model's `ca_certificates`. Never empty.
    pub ca_certificates: Vec<usize>,
    /// Who callers are when they cannot be authenticated: an id, or a username.
    pub anonymous: Option<Box<str>>,
    /// Who callers are whose certificate is good and belongs to nobody: an id, or a username.
    pub default_consumer: Option<Box<str>>,
    /// What of a consumer is compared with the certificate; empty for manual mappings alone.
    pub consumer_by: Vec<ConsumerBy>,
    /// The certificate is enough; its group comes from `authenticated_group_by`.
    pub skip_consumer_lookup: bool,
    /// What of the certificate becomes the caller's group; `None` for no group.
    pub authenticated_group_by: Option<GroupProperty>,
    /// Whether revocation is looked at.
    pub revocation_check_mode: Revocation,
    /// For one OCSP answer or CRL.
    pub http_timeout: Duration,
    /// How long an answer about revocation is kept.
    pub cert_cache_ttl: Duration,
    /// On the way to OCSP responders and CRLs.
    pub proxies: Proxies,
    /// An intermediate among `ca_certificates` is enough as an anchor.
    pub allow_partial_chain: bool,
    /// Clients are told the names of the CAs.
    pub send_ca_dn: bool,
}

/// The fields of `header-cert-auth`: those of `mtls-auth`, and where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderCertAuthFields {
    /// `send_ca_dn` is always off.
    pub mtls_auth: MtlsAuthFields,
    /// Where the certificate is.
    pub header: CertificateHeader,
}

/// A header that a balancer in front puts a certificate into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateHeader {
    /// In lower case.
    pub name: Box<str>,
    /// How it is written there.
    pub format: HeaderFormat,
    /// Only from trusted addresses.
    pub secure_source: bool,
}

/// How a certificate is written into a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFormat {
    /// What is between the BEGIN and END lines of PEM.
    Base64,
    /// All of the PEM, percent-encoded.
    UrlEncoded,
}

/// What of a consumer is compared with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerBy {
    /// `username`.
    Username,
    /// `custom_id`.
    CustomId,
}

/// What of a certificate becomes a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProperty {
    /// The CN of its subject.
    CommonName,
    /// Its subject.
    DistinguishedName,
}

/// Whether revocation is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It is not.
    Skip,
    /// An answer counts, none does not.
    IgnoreCaError,
    /// Only a good answer will do.
    Strict,
}

/// Hosts and ports of forward proxies, by the scheme of what is fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http`.
    pub http: Option<(Box<str>, u16)>,
    /// For `https`.
    pub https: Option<(Box<str>, u16)>,
}

/// Two plugins are called `mtls-auth` and share no field.
pub(super) fn either(reader: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    if is_callista(config) {
        return callista_mtls_auth(reader, config);
    }
    let send_ca_dn = config.boolean("send_ca_dn").unwrap_or(false);
    config.refuse("san_dirname_matcher", &[], "remove it; it came after Kong 3.9");
    let fields = fields(reader, config)?;
    Some(PluginConfig::MtlsAuth(MtlsAuthFields { send_ca_dn, ..fields }))
}

pub(super) fn header_cert_auth(reader: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    let name = config.needed_text("certificate_header_name", "write the header your balancer sets");
    if let Some(name) = name {
        check_header(config, name);
    }
    let formats = [("base64_encoded", HeaderFormat::Base64), ("url_encoded", HeaderFormat::UrlEncoded)];
    let format = config.word("certificate_header_format", &formats);
    if format.is_none() {
        let advice = "write base64_encoded or url_encoded, as your balancer writes it";
        config.missing("certificate_header_format", advice);
    }
    let secure_source = config.boolean("secure_source").unwrap_or(true);
    let mtls_auth = fields(reader, config)?;
    let name = name?.text.to_ascii_lowercase().into();
    let header = CertificateHeader { name, format: format?, secure_source };
    Some(PluginConfig::HeaderCertAuth(HeaderCertAuthFields { mtls_auth, header }))
}

/// What both have.
fn fields(reader: Reader<'_>, config: &mut Fields<'_>) -> Option<MtlsAuthFields> {
    let ca_certificates = config.texts("ca_certificates");
    if ca_certificates.as_ref().is_none_or(Vec::is_empty) {
        config.missing("ca_certificates", "write the ids of the CAs whose clients may come in");
    }
    let resolve = |id| reader.gathered.resolve(config, id, Kind::CaCertificates);
    let ca_certificates: Vec<_> = ca_certificates?.into_iter().filter_map(resolve).collect();
    let by = [("username", ConsumerBy::Username), ("custom_id", ConsumerBy::CustomId)];
    let group_is_null = config.is_null("authenticated_group_by");
    let group = group_property(config);
    // In its cache, Kong keeps consumers and credentials for so long; here they are all in memory.
    config.number("cache_ttl", f64::MAX);
    config.refuse("ssl_verify", &["true"], "remove it; it came after Kong 3.9, and https is always verified");
    Some(MtlsAuthFields {
        ca_certificates,
        anonymous: config.text("anonymous").map(|text| text.text.into()),
        default_consumer: config.text("default_consumer").map(|text| text.text.into()),
        consumer_by: config
            .words("consumer_by", &by)
            .unwrap_or_else(|| vec![ConsumerBy::Username, ConsumerBy::CustomId]),
        skip_consumer_lookup: config.boolean("skip_consumer_lookup").unwrap_or(false),
        authenticated_group_by: group.or_else(|| (!group_is_null).then_some(GroupProperty::CommonName)),
        revocation_check_mode: revocation(config),
        http_timeout: config.milliseconds("http_timeout").unwrap_or(Duration::from_secs(30)),
        cert_cache_ttl: config
            .integer("cert_cache_ttl", 0..=LONGEST_MS)
            .map_or(Duration::from_secs(60), |ttl| Duration::from_millis(ttl.unsigned_abs())),
        proxies: Proxies {
            http: proxy(config, "http_proxy_host", "http_proxy_port"),
            https: proxy(config, "https_proxy_host", "https_proxy_port"),
        },
        allow_partial_chain: config.boolean("allow_partial_chain").unwrap_or(false),
        send_ca_dn: false,
    })
}

/// Kong knows two words. A third would make a file that Kong refuses; the setting has it.
fn group_property(config: &mut Fields<'_>) -> Option<GroupProperty> {
    let text = config.text("authenticated_group_by")?;
    if text.text == "SAN" {
        let advice = "give the caller a consumer with that name in mtls_auth_credentials, or let the setting \
                      MTLS_AUTH_AUTHENTICATED_GROUP_BY=SAN do it without a file";
        config.wrong(text.at, "Kong's plugin has no `SAN` here", advice);
        return None;
    }
    let words = [("CN", GroupProperty::CommonName), ("DN", GroupProperty::DistinguishedName)];
    config.as_word(text, &words)
}

fn revocation(config: &mut Fields<'_>) -> Revocation {
    let words = [
        ("SKIP", Revocation::Skip),
        ("IGNORE_CA_ERROR", Revocation::IgnoreCaError),
        ("STRICT", Revocation::Strict),
    ];
    config.word("revocation_check_mode", &words).unwrap_or(Revocation::IgnoreCaError)
}

/// Neither or both. Source: the schema's `mutually_required`.
fn proxy(config: &mut Fields<'_>, host: &'static str, port: &'static str) -> Option<(Box<str>, u16)> {
    let name = config.text(host);
    let number = config.integer(port, 1..=65_535).and_then(|number| u16::try_from(number).ok());
    if let Some(name) = name.filter(|name| super::super::reader::host(name.text).is_none()) {
        config.wrong(name.at, "neither a host name nor an address", "write the proxy's host without port");
    }
    match (name, number) {
        (Some(name), Some(number)) => Some((name.text.into(), number)),
        (None, None) => None,
        _ => {
            config.wrong_all(
                format!("one of `{host}` and `{port}` without the other"),
                "write both or neither",
            );
            None
        }
    }
}

/// Kong's upper bound of a time, 2^31 - 2 ms.
const LONGEST_MS: i64 = 2_147_483_646;
