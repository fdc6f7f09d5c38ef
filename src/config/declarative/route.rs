//! Routes: which requests go where.
//! Source: kong/db/schema/entities/{routes,routes_subschemas}.lua, kong/db/schema/typedefs.lua.

use super::fields::{Fields, Text};
use super::gather::Found;
use super::kind::Kind;
use super::model::Route;
use super::reader::{Format, Reader, made, protocols, tags};
use crate::routing::{
    HeaderRule, HostPattern, Invalid, PathHandling, PathPattern, Protocol, Protocols, Rule, Sni,
};

/// `None` after a problem; also for what is disabled with its service, which is read all the same.
pub(super) fn route<'a>(reader: Reader<'a>, found: &'a Found<'a>) -> Option<Route> {
    let mut fields = reader.fields(Kind::Routes, found)?;
    let service = reader.gathered.parent(found, &mut fields, "service", Kind::Services);
    let name = Reader::name(&mut fields);
    let rule = rule(&mut fields, reader.format);
    let is_grpc = rule.protocols.is_grpc();
    let strip_path = fields.boolean("strip_path");
    if is_grpc && strip_path == Some(true) {
        fields.wrong_all("`strip_path` cannot be true for gRPC", "write false, or remove it");
    }
    let https_redirect = fields.integer("https_redirect_status_code", 301..=426);
    if https_redirect.is_some_and(|code| ![301, 302, 307, 308, 426].contains(&code)) {
        let what = "`https_redirect_status_code` is no redirection";
        fields.wrong_all(what, "write 301, 302, 307, 308 or 426");
    }
    for field in ["sources", "destinations"] {
        fields.refuse(field, &[], "remove it: it is about streams, which are not supported");
    }
    for field in ["expression", "priority"] {
        fields.refuse(field, &["0"], "write hosts, paths, methods and headers instead of an expression");
    }
    let route = Route {
        place: found.place.clone(),
        id: found.id,
        name,
        rule,
        strip_path: strip_path.unwrap_or(!is_grpc),
        preserve_host: fields.boolean("preserve_host").unwrap_or(false),
        https_redirect: https_redirect.and_then(|code| code.try_into().ok()).unwrap_or(426),
        service: service.and_then(|index| reader.gathered.one(Kind::Services, index).position),
        tags: tags(&mut fields),
    };
    fields.finish();
    found.position.map(|_| route)
}

fn rule(fields: &mut Fields<'_>, format: Format) -> Rule {
    let protocols = Protocols::from_iter(protocols(fields, &[Protocol::Http, Protocol::Https]));
    if protocols.is_http() && protocols.is_grpc() {
        fields.wrong_all("`protocols` mixes HTTP and gRPC", "write a route for each");
    }
    let path_handling = [("v0", PathHandling::V0), ("v1", PathHandling::V1)];
    let rule = Rule {
        methods: each(fields, "methods", Rule::method),
        hosts: each(fields, "hosts", HostPattern::parse),
        paths: each(fields, "paths", |text| match format {
            Format::Before3 => PathPattern::parse(&migrated(text)),
            Format::From3 => PathPattern::parse(text),
        }),
        headers: headers(fields),
        snis: each(fields, "snis", Sni::parse),
        regex_priority: fields.integer("regex_priority", 0..=i64::from(u32::MAX)).unwrap_or(0),
        path_handling: fields.word("path_handling", &path_handling).unwrap_or_default(),
        protocols,
    };
    at_least_one(fields, &rule);
    rule
}

/// Each protocol without TLS has to be told by something that is not of TLS.
fn at_least_one(fields: &Fields<'_>, rule: &Rule) {
    let said = ["methods", "hosts", "headers", "paths"].iter().any(|key| fields.says(key));
    if !rule.snis.is_empty() && !rule.protocols.is_tls() {
        let what = "'snis' can only be set when 'protocols' is 'grpcs' or 'https'";
        fields.wrong_all(what, "add https to its protocols, or remove snis");
    }
    if said {
        return;
    }
    let only_tls = rule.protocols.is_only_tls();
    if !only_tls || !fields.says("snis") {
        let what = "must set one of methods, hosts, headers, paths";
        let what = if only_tls { format!("{what} or snis") } else { what.to_owned() };
        fields.wrong_all(what, "write `paths: [/]` to match everything");
    }
}

/// The texts of a list, read by what will use them.
fn each<T>(fields: &mut Fields<'_>, key: &'static str, read: impl Fn(&str) -> Result<T, Invalid>) -> Vec<T> {
    let texts = fields.texts(key).unwrap_or_default();
    texts.into_iter().filter_map(|text| made(fields, text, read(text.text))).collect()
}

/// Names with their values, one of which must be there; one that begins with `~*` is a regex.
fn headers(fields: &mut Fields<'_>) -> Vec<HeaderRule> {
    let lists = fields.lists("headers").unwrap_or_default();
    lists.into_iter().filter_map(|(name, values)| header(fields, name, &values)).collect()
}

fn header(fields: &Fields<'_>, name: Text<'_>, values: &[Text<'_>]) -> Option<HeaderRule> {
    let mut rule = made(fields, name, HeaderRule::named(name.text));
    for value in values {
        // The values under a wrong name are judged all the same.
        let judged = match &mut rule {
            Some(rule) => rule.want(value.text),
            None => HeaderRule::parse("x", [value.text]).map(drop),
        };
        made(fields, *value, judged);
    }
    if values.is_empty() {
        fields.wrong(name.at, "a header without values", "write at least one");
    }
    rule
}

/// Before 3.0 there was no `~`: what has other characters than these was a regex, and percent-encoded ones
/// were decoded. Source: kong/db/migrations/migrate_path_280_300.lua.
fn migrated(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~/%".contains(&byte);
    if path.bytes().all(is_plain) || path.starts_with('~') {
        return path.to_owned();
    }
    let mut regex = String::from("~");
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        regex.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 3).unwrap_or_default();
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if b"!#$%&'()*+,/:;=?@[]".contains(&byte) || !byte.is_ascii() => {
                regex.push_str(&rest[at..at + 3].to_ascii_uppercase());
            }
            Ok(byte) if b".^-{}\\|".contains(&byte) => regex.extend(['\\', char::from(byte)]),
            Ok(byte) => regex.push(char::from(byte)),
            Err(_) => {
                regex.push('%');
                rest = &rest[at + 1..];
                continue;
            }
        }
        rest = &rest[at + 3..];
    }
    regex + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_older_formats_become_regexes_where_they_look_like_one() {
        let check = |path: &str, expected: &str| assert_eq!(migrated(path), expected);
        check("/mtls/", "/mtls/");
        check("/a%20b/~c-d_e.f", "/a%20b/~c-d_e.f");
        check(r"/users/\d+$", r"~/users/\d+$");
        check("/a(b|c)", "~/a(b|c)");
        check("/a%2e(b)%2F%41", r"~/a\.(b)%2FA");
        check("/100%(x)", "~/100%(x)");
        check("~/kept(x)", "~/kept(x)");
    }
}
