//! Who may pass: policies made of plugins, with the CAs and consumers of the file.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use rustls::pki_types::CertificateDer;

use super::Loading;
use super::plugins::{Effective, Name, Set};
use crate::config::declarative::Place;
use crate::config::declarative::model::Consumer;
use crate::config::declarative::plugins::{
    AclFields, CallistaMtlsAclFields, CallistaMtlsAuthFields, ConsumerBy, GroupProperty,
    HeaderCertAuthFields, HeaderFormat, IpRestrictionFields, Listed, MtlsAuthFields, PluginConfig,
    RequestTerminationFields, Revocation, TlsMetadataHeadersFields,
};
use crate::config::{Problem, Problems};
use crate::identity::Fingerprint;
use crate::policy::{self, Consumers, Policy};
use crate::snapshot::dates::DATES_ASIDE;
use crate::snapshot::{access, files};
use crate::tls::revocation::{Check, CrlFiles, Fetching, Hosts, Proxy};
use crate::tls::trust::ChainVerifier;

/// CAs of the model, and whether an intermediate among them is enough.
type Trust = (Vec<usize>, bool);

/// Who judges by them.
#[derive(Clone)]
struct Judge {
    verifier: Arc<ChainVerifier>,
    /// All chains end at CAs that have lapsed, so nobody comes in.
    is_closed: bool,
}

/// Makes policies, each verifier of a list of CAs once.
pub(super) struct Judges<'a> {
    loading: &'a Loading<'a>,
    consumers: Arc<Consumers>,
    /// The CAs of the settings, which Callista's plugin trusts.
    callers: Option<Arc<ChainVerifier>>,
    verifiers: RefCell<HashMap<Trust, Judge>>,
    /// The CRL files of the settings: of any CA of the file, or of the settings.
    lists: Arc<CrlFiles>,
}

impl<'a> Judges<'a> {
    pub(super) fn new(loading: &'a Loading<'a>, problems: &mut Problems) -> Self {
        let Loading { model, config, dates, .. } = loading;
        let is_callista = |config: &PluginConfig| Name::of(config) == Name::CallistaMtlsAuth;
        let used = model.plugins.iter().any(|plugin| is_callista(&plugin.config));
        let callers = config.access.mtls_auth.as_ref().and_then(|auth| {
            if !used {
                let what = "no plugin of the declarative file uses it";
                let advice = "write the CA into the file and name it in mtls-auth, or remove it here";
                problems.push(Problem::new(files::first(&auth.ca_certificates), what, advice));
            }
            problems.collect(access::callers(auth, dates)).map(Arc::new)
        });
        let consumers = Arc::new(Consumers::new(model.consumers.iter().map(|one| consumer(loading, one))));
        let lists =
            problems.collect(access::crl_files(&config.access.revocation.crl_files, || cas(loading), dates));
        let lists = Arc::new(lists.unwrap_or_default());
        Self { loading, consumers, callers, verifiers: RefCell::default(), lists }
    }

    /// One policy per set of plugins, in their order.
    pub(super) fn policies(&self, effective: &Effective, problems: &mut Problems) -> Vec<Arc<Policy>> {
        effective.sets.iter().map(|set| Arc::new(self.policy(set, problems))).collect()
    }

    /// The policy of the global plugins, for requests that no route takes.
    pub(super) fn gate(
        &self,
        effective: &Effective,
        policies: &[Arc<Policy>],
        problems: &mut Problems,
    ) -> Option<Arc<Policy>> {
        let said = self.loading.config.authenticate_before_routing.as_ref()?;
        let mut set = effective.global;
        set[Name::RequestTermination as usize] = None;
        let asks = [Name::MtlsAuth, Name::HeaderCertAuth, Name::CallistaMtlsAuth];
        if asks.iter().all(|name| set[*name as usize].is_none()) {
            let advice = "write a global mtls-auth, or remove it";
            problems.push(Problem::new(said, "no global plugin says who a caller is", advice));
            return None;
        }
        // The same as a route's, if there is one: what was decided for a connection is decided for both.
        let known = effective.sets.iter().position(|other| *other == set).and_then(|at| policies.get(at));
        Some(known.cloned().unwrap_or_else(|| Arc::new(self.policy(&set, problems))))
    }

    /// The CAs of the settings.
    pub(super) fn callers(&self) -> Option<&Arc<ChainVerifier>> {
        self.callers.as_ref()
    }

    /// Whose certificates a plugin asks for; `None` where that cannot be told, or where it asks nobody.
    pub(super) fn asked_for(&self, config: &PluginConfig) -> Option<Arc<ChainVerifier>> {
        match config {
            PluginConfig::MtlsAuth(fields) => self.judge(fields).ok().map(|judge| judge.verifier),
            PluginConfig::CallistaMtlsAuth(_) => self.callers.clone(),
            _ => None,
        }
    }

    fn policy(&self, set: &Set, problems: &mut Problems) -> Policy {
        let mut policy = Policy {
            consumers: Arc::clone(&self.consumers),
            identity_headers: self.loading.config.forwarding.identity_headers.clone(),
            ..Policy::default()
        };
        for plugin in set.iter().flatten().map(|at| &self.loading.model.plugins[*at]) {
            match &plugin.config {
                PluginConfig::MtlsAuth(fields) => {
                    policy.mtls_auth = problems.note(self.mtls_auth(&plugin.place, fields));
                }
                PluginConfig::HeaderCertAuth(fields) => {
                    policy.header_cert_auth = problems.note(self.header_cert_auth(&plugin.place, fields));
                }
                PluginConfig::CallistaMtlsAuth(fields) => {
                    policy.callista_mtls_auth = problems.note(self.callista_mtls_auth(&plugin.place, fields));
                }
                PluginConfig::TlsMetadataHeaders(fields) => {
                    policy.tls_metadata_headers = tls_metadata_headers(fields);
                }
                PluginConfig::IpRestriction(fields) => policy.ip_restriction = Some(ip_restriction(fields)),
                PluginConfig::Acl(fields) => policy.acl = Some(acl(fields)),
                PluginConfig::CallistaMtlsAcl(fields) => {
                    policy.callista_mtls_acl = problems.note(self.callista_mtls_acl(&plugin.place, fields));
                }
                PluginConfig::RequestTermination(fields) => {
                    policy.request_termination = Some(request_termination(fields));
                }
                // It acts in the handshake alone: `names`.
                PluginConfig::TlsHandshakeModifier => {}
            }
        }
        policy
    }

    /// A route whose CAs have all lapsed is closed, and the others go on. A file that lets nobody in by any of
    /// its plugins is refused, unless one of those CAs was in force until now: then it goes on for the rest.
    pub(super) fn closed_doors(&self, problems: &mut Problems) {
        let loading = self.loading;
        let doors = loading.model.plugins.iter().filter_map(|plugin| {
            let fields = match &plugin.config {
                PluginConfig::MtlsAuth(fields) => fields,
                PluginConfig::HeaderCertAuth(fields) => &fields.mtls_auth,
                _ => return None,
            };
            Some((&plugin.place, fields, self.judge(fields).ok()?.is_closed))
        });
        let (closed, open): (Vec<_>, Vec<_>) = doors.partition(|(.., is_closed)| *is_closed);
        let was_in_force = |fields: &MtlsAuthFields| loading.cas.was_in_force(&fields.ca_certificates);
        let goes_on = !open.is_empty() || closed.iter().any(|(_, fields, _)| was_in_force(fields));
        for (place, fields, _) in closed {
            let mut what = "config.ca_certificates: nothing is left of them that is valid now".to_owned();
            if let Some((at, lapse)) = loading.cas.first_lapsed(&fields.ca_certificates) {
                what += &format!(": {} {lapse}", loading.model.ca_certificates[at].place);
            }
            let advice = "write a CA that is valid into the file, and name it there";
            match goes_on {
                true => {
                    let what = format!("{place}: {what}, so nobody comes in where this plugin asks");
                    loading.dates.caution(loading.source.said(), what, advice);
                }
                false => problems.push(loading.problem(place, what, advice).that_may_heal()),
            }
        }
    }

    fn judge(&self, fields: &MtlsAuthFields) -> Result<Judge, String> {
        let key = (fields.ca_certificates.clone(), fields.allow_partial_chain);
        if let Some(known) = self.verifiers.borrow().get(&key) {
            return Ok(known.clone());
        }
        let make = |cas| ChainVerifier::new(cas, key.1, DATES_ASIDE);
        let trust = self.loading.cas.trust(&key.0);
        let (made, is_closed) = match make(trust.cas) {
            // Perhaps it is the root that has lapsed.
            Err(_) => (make(self.loading.cas.every(&key.0)), true),
            made => (made, trust.is_closed),
        };
        let verifier = Arc::new(made.map_err(|error| error.to_string())?);
        let judge = Judge { verifier, is_closed };
        self.verifiers.borrow_mut().insert(key, judge.clone());
        Ok(judge)
    }

    fn mtls_auth(&self, place: &Place, fields: &MtlsAuthFields) -> Result<policy::MtlsAuth, Problem> {
        let Judge { verifier, .. } = self.judge(fields).map_err(|what| {
            let advice = "name the root of your clients' certificates too, or set allow_partial_chain";
            self.loading.problem(place, format!("config.ca_certificates: {what}"), advice)
        })?;
        let group_by = fields.authenticated_group_by.map(|group| match group {
            GroupProperty::CommonName => policy::GroupBy::CommonName,
            GroupProperty::DistinguishedName => policy::GroupBy::DistinguishedName,
        });
        let lookup = if fields.skip_consumer_lookup {
            policy::Lookup::Skip { group_by }
        } else {
            let by = policy::ConsumerBy {
                username: fields.consumer_by.contains(&ConsumerBy::Username),
                custom_id: fields.consumer_by.contains(&ConsumerBy::CustomId),
            };
            policy::Lookup::Consumer { by, default: fields.default_consumer.clone() }
        };
        let revocation = self.revocation(fields);
        Ok(policy::MtlsAuth { verifier, lookup, anonymous: fields.anonymous.clone(), revocation })
    }

    fn header_cert_auth(
        &self,
        place: &Place,
        fields: &HeaderCertAuthFields,
    ) -> Result<policy::HeaderCertAuth, Problem> {
        Ok(policy::HeaderCertAuth {
            mtls_auth: self.mtls_auth(place, &fields.mtls_auth)?,
            certificate_header_name: self.header(place, &fields.header.name)?,
            certificate_header_format: match fields.header.format {
                HeaderFormat::Base64 => policy::CertificateFormat::Base64Encoded,
                HeaderFormat::UrlEncoded => policy::CertificateFormat::UrlEncoded,
            },
            secure_source: fields.header.secure_source,
        })
    }

    fn callista_mtls_auth(
        &self,
        place: &Place,
        fields: &CallistaMtlsAuthFields,
    ) -> Result<policy::CallistaMtlsAuth, Problem> {
        let verifier = self.callers.clone().ok_or_else(|| {
            let what = "Callista's mtls-auth trusts the CAs of a setting, and none is set";
            let advice =
                "set MTLS_AUTH_CA_CERTIFICATES, which is KONG_NGINX_PROXY_SSL_CLIENT_CERTIFICATE too";
            self.loading.problem(place, what, advice)
        })?;
        let header = |said: &Option<Box<str>>| said.as_deref().and_then(name);
        Ok(policy::CallistaMtlsAuth {
            verifier,
            revocation: access::fetching(&self.loading.config.access.revocation, &self.lists),
            error_response_code: status(fields.error_response_code),
            upstream_cert_header: header(&fields.upstream_cert_header),
            upstream_cert_fingerprint_header: header(&fields.upstream_cert_fingerprint_header),
            upstream_cert_serial_header: header(&fields.upstream_cert_serial_header),
            upstream_cert_i_dn_header: header(&fields.upstream_cert_i_dn_header),
            upstream_cert_s_dn_header: header(&fields.upstream_cert_s_dn_header),
            upstream_cert_cn_header: header(&fields.upstream_cert_cn_header),
            upstream_cert_org_header: header(&fields.upstream_cert_org_header),
        })
    }

    fn callista_mtls_acl(
        &self,
        place: &Place,
        fields: &CallistaMtlsAclFields,
    ) -> Result<policy::CallistaMtlsAcl, Problem> {
        Ok(policy::CallistaMtlsAcl {
            certificate_header_name: self.header(place, &fields.certificate_header_name)?,
            rule: rule(&fields.listed),
            hide_certificate_header: fields.hide_certificate_header,
        })
    }

    fn header(&self, place: &Place, said: &str) -> Result<HeaderName, Problem> {
        let wrong =
            || self.loading.problem(place, format!("{said:?} is not the name of a header"), "write another");
        name(said).ok_or_else(wrong)
    }

    fn revocation(&self, fields: &MtlsAuthFields) -> Option<Arc<Fetching>> {
        let check = match fields.revocation_check_mode {
            Revocation::Skip => return None,
            Revocation::IgnoreCaError => Check::IgnoreCaError,
            Revocation::Strict => Check::Strict,
        };
        let proxy = |said: &Option<(Box<str>, u16)>| {
            said.as_ref().map(|(host, port)| Proxy { host: host.to_string(), port: *port })
        };
        Some(Arc::new(Fetching {
            check,
            timeout: fields.http_timeout,
            ttl: fields.cert_cache_ttl,
            crl_files: Arc::clone(&self.lists),
            hosts: Hosts::new(self.loading.config.access.revocation.hosts.iter().cloned()),
            http_proxy: proxy(&fields.proxies.http),
            https_proxy: proxy(&fields.proxies.https),
        }))
    }
}

/// Every CA that a caller's certificate may come from.
fn cas(loading: &Loading<'_>) -> Vec<CertificateDer<'static>> {
    let every: Vec<_> = (0..loading.model.ca_certificates.len()).collect();
    let mut cas = loading.cas.every(&every);
    // What is wrong with these is told where they are read.
    let said = loading.config.access.mtls_auth.as_ref().map(|auth| &auth.ca_certificates);
    cas.extend(said.map(files::every).unwrap_or_default());
    cas
}

fn consumer(loading: &Loading<'_>, consumer: &Consumer) -> policy::NewConsumer {
    let credential = |one: &crate::config::declarative::model::Credential| policy::NewCredential {
        id: policy::CredentialId(one.id.0),
        subject_name: one.subject_name.clone(),
        ca_certificate: one.ca_certificate.map(|at| Fingerprint::of(&loading.model.ca_certificates[at].der)),
    };
    policy::NewConsumer {
        id: policy::ConsumerId(consumer.id.0),
        username: consumer.username.clone(),
        custom_id: consumer.custom_id.clone(),
        groups: consumer.groups.clone(),
        mtls_auth: consumer.credentials.iter().map(credential).collect(),
        header_cert_auth: consumer.header_credentials.iter().map(credential).collect(),
    }
}

fn tls_metadata_headers(fields: &TlsMetadataHeadersFields) -> Option<policy::TlsMetadataHeaders> {
    Some(policy::TlsMetadataHeaders {
        inject_client_cert_details: fields.inject_client_cert_details,
        client_cert_header_name: name(&fields.client_cert_header_name)?,
        client_serial_header_name: name(&fields.client_serial_header_name)?,
        client_cert_issuer_dn_header_name: name(&fields.client_cert_issuer_dn_header_name)?,
        client_cert_subject_dn_header_name: name(&fields.client_cert_subject_dn_header_name)?,
        client_cert_fingerprint_header_name: name(&fields.client_cert_fingerprint_header_name)?,
    })
}

fn ip_restriction(fields: &IpRestrictionFields) -> policy::IpRestriction {
    policy::IpRestriction {
        allow: fields.allow.clone(),
        deny: fields.deny.clone(),
        status: status(fields.status),
        message: fields.message.as_deref().map(str::to_owned),
    }
}

fn acl(fields: &AclFields) -> policy::Acl {
    policy::Acl {
        rule: rule(&fields.listed),
        hide_groups_header: fields.hide_groups_header,
        always_use_authenticated_groups: fields.always_use_authenticated_groups,
    }
}

fn rule(listed: &Listed) -> policy::Rule {
    let names = |names: &[Box<str>]| names.iter().map(ToString::to_string).collect();
    match listed {
        Listed::Allow(groups) => policy::Rule::Allow(names(groups)),
        Listed::Deny(groups) => policy::Rule::Deny(names(groups)),
    }
}

fn request_termination(fields: &RequestTerminationFields) -> policy::RequestTermination {
    let content = match &fields.body {
        Some(body) => policy::Content::Body {
            body: body.to_string(),
            content_type: fields.content_type.as_deref().and_then(|said| HeaderValue::try_from(said).ok()),
        },
        None => policy::Content::Message(fields.message.as_deref().map(str::to_owned)),
    };
    policy::RequestTermination { status: status(fields.status_code), content }
}

/// The reader of the file has seen to it that it is one.
fn name(said: &str) -> Option<HeaderName> {
    HeaderName::try_from(said).ok()
}

/// Likewise.
fn status(said: u16) -> StatusCode {
    StatusCode::from_u16(said).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
