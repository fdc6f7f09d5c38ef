//! Services: where requests can go. Source: kong/db/schema/entities/services.lua.

use super::fields::{Fields, Text};
use super::gather::Found;
use super::kind::Kind;
use super::model::Service;
use super::reader::{Reader, host, not_spoken, tags};
use crate::config::problem::{Origin, Said};
use crate::config::target::{Scheme, Target};

/// `None` after a problem; also for what is disabled, which is read all the same.
pub(super) fn service<'a>(reader: Reader<'a>, found: &'a Found<'a>) -> Option<Service> {
    let mut all = reader.fields(Kind::Services, found)?;
    let fields = &mut all;
    fields.boolean("enabled");
    let name = Reader::name(fields);
    let address = address(fields);
    let is_tls = address.as_ref().is_none_or(|(target, _)| target.scheme.is_tls());
    let client_certificate = reader.gathered.reference(fields, "client_certificate", Kind::Certificates);
    let ca_certificates = fields.texts("ca_certificates").map(|ids| {
        ids.into_iter().filter_map(|id| reader.gathered.resolve(fields, id, Kind::CaCertificates)).collect()
    });
    let tls_verify = fields.boolean("tls_verify");
    let tls_verify_depth = fields.integer("tls_verify_depth", 0..=64).and_then(|depth| depth.try_into().ok());
    let speaks_tls = client_certificate.is_some()
        || Option::is_some(&ca_certificates)
        || tls_verify.is_some()
        || tls_verify_depth.is_some();
    if speaks_tls && !is_tls {
        let what = "client_certificate, ca_certificates, tls_verify and tls_verify_depth need TLS";
        fields.wrong_all(what, "write https or grpcs as its protocol, or remove them");
    }
    fields.refuse("tls_sans", &[], "remove it; it came after Kong 3.9");
    let service = Service {
        place: found.place.clone(),
        id: found.id,
        name,
        retries: fields.integer("retries", 0..=32_767).and_then(|retries| retries.try_into().ok()),
        connect_timeout: fields.milliseconds("connect_timeout"),
        read_timeout: fields.milliseconds("read_timeout"),
        write_timeout: fields.milliseconds("write_timeout"),
        client_certificate,
        ca_certificates,
        tls_verify,
        tls_verify_depth,
        tags: tags(fields),
        target: Target { scheme: Scheme::Http, host: String::new(), port: 0, path: String::new() },
        path: "".into(),
    };
    all.finish();
    let (target, path) = address?;
    found.position.map(|_| Service { target, path, ..service })
}

/// `url`, or its parts.
fn address(fields: &mut Fields<'_>) -> Option<(Target, Box<str>)> {
    let url = fields.text("url");
    let protocol = fields.text("protocol");
    let host = fields.text("host");
    let port = fields.integer("port", 0..=65_535);
    let path = fields.text("path");
    let Some(url) = url else { return parts(fields, protocol, host, port, path) };
    for part in [protocol, host, path].into_iter().flatten() {
        fields.wrong(part.at, "said beside `url`", "keep one of the two");
    }
    if port.is_some() {
        fields.wrong_all("`port` is said beside `url`", "keep one of the two");
    }
    match Target::parse(&Said::new("url", url.text, Origin::DEFAULT)) {
        Ok(target) => {
            let written = url.text.split_once("://").map_or("", |(_, rest)| rest);
            let path = written.find('/').map_or("", |at| &written[at..]);
            check_path(fields, target.scheme, Text { text: path, at: url.at });
            Some((target, path.into()))
        }
        Err(problem) => {
            let (what, advice) = problem.reason();
            fields.wrong(url.at, what, advice);
            None
        }
    }
}

fn parts(
    fields: &Fields<'_>,
    protocol: Option<Text<'_>>,
    named: Option<Text<'_>>,
    port: Option<i64>,
    path: Option<Text<'_>>,
) -> Option<(Target, Box<str>)> {
    let scheme = match protocol {
        None => Scheme::Http,
        Some(text) => match text.text {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "grpc" => Scheme::Grpc,
            "grpcs" => Scheme::Grpcs,
            _ => {
                not_spoken(fields, text);
                return None;
            }
        },
    };
    let Some(named) = named else {
        fields.missing("host", "write the service's host, or its `url`");
        return None;
    };
    let Some(host) = host(named.text) else {
        fields.wrong(
            named.at,
            "neither a host name nor an address",
            "write a name, or an address without port",
        );
        return None;
    };
    if let Some(path) = path {
        check_path(fields, scheme, path);
    }
    let path = path.map_or("", |path| path.text);
    // Kong's default, whatever the protocol.
    let port = port.map_or(Some(80), |port| u16::try_from(port).ok())?;
    let target = Target { scheme, host: host.to_owned(), port, path: path.trim_end_matches('/').to_owned() };
    Some((target, path.into()))
}

fn check_path(fields: &Fields<'_>, scheme: Scheme, path: Text<'_>) {
    let is_path = path.text.is_ascii() && path.text.parse::<http::uri::PathAndQuery>().is_ok();
    if path.text.is_empty() {
    } else if scheme.is_grpc() {
        fields.wrong(path.at, "gRPC services have no path", "remove it");
    } else if !path.text.starts_with('/')
        || path.text.contains("//")
        || path.text.contains(['?', '#'])
        || !is_path
    {
        let advice = "begin it with one slash, leave no segment empty, and percent-encode special characters";
        fields.wrong(path.at, "not a path", advice);
    }
}
