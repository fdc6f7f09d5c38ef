//! Routes: which requests go where.
//! Source: kong/db/schema/entities/{routes,routes_subschemas}.lua, kong/db/schema/typedefs.lua.

use super::certificate::is_server_name;
use super::fields::{Fields, Text};
use super::gather::Found;
use super::kind::Kind;
use super::model::{Route, RouteFields};
use super::node::shortened;
use super::reader::{Format, Reader, host, protocols, tags};
use crate::routing::{PathHandling, Protocol};

/// `None` after a problem; also for what is disabled with its service, which is read all the same.
pub(super) fn route<'a>(reader: Reader<'a>, found: &'a Found<'a>) -> Option<Route> {
    let mut fields = reader.fields(Kind::Routes, found)?;
    let service = reader.gathered.parent(found, &mut fields, "service", Kind::Services);
    let name = Reader::name(&mut fields);
    let rule = rule(&mut fields, reader.format);
    let is_grpc = rule.protocols.iter().any(|protocol| matches!(protocol, Protocol::Grpc | Protocol::Grpcs));
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
        created_at: fields.integer("created_at", 0..=i64::MAX),
        service: service.and_then(|index| reader.gathered.one(Kind::Services, index).position),
        tags: tags(&mut fields),
    };
    fields.finish();
    found.position.map(|_| route)
}

fn rule(fields: &mut Fields<'_>, format: Format) -> RouteFields {
    let protocols = protocols(fields, &[Protocol::Http, Protocol::Https]);
    let of_http = |protocol: &Protocol| matches!(protocol, Protocol::Http | Protocol::Https);
    if !protocols.iter().all(of_http) && protocols.iter().any(of_http) {
        fields.wrong_all("`protocols` mixes HTTP and gRPC", "write a route for each");
    }
    let path_handling = [("v0", PathHandling::V0), ("v1", PathHandling::V1)];
    let rule = RouteFields {
        methods: checked(fields, "methods", method),
        hosts: checked(fields, "hosts", route_host),
        paths: paths(fields, format),
        headers: headers(fields),
        snis: checked(fields, "snis", sni),
        regex_priority: fields.integer("regex_priority", 0..=i64::from(u32::MAX)).unwrap_or(0),
        path_handling: fields.word("path_handling", &path_handling).unwrap_or_default(),
        protocols,
    };
    at_least_one(fields, &rule);
    rule
}

/// Each protocol without TLS has to be told by something that is not of TLS.
fn at_least_one(fields: &Fields<'_>, rule: &RouteFields) {
    let has_tls = |protocol: &Protocol| matches!(protocol, Protocol::Https | Protocol::Grpcs);
    let said = ["methods", "hosts", "headers", "paths"].iter().any(|key| fields.says(key));
    if !rule.snis.is_empty() && !rule.protocols.iter().any(has_tls) {
        let what = "'snis' can only be set when 'protocols' is 'grpcs' or 'https'";
        fields.wrong_all(what, "add https to its protocols, or remove snis");
    }
    if said {
        return;
    }
    let only_tls = rule.protocols.iter().all(has_tls);
    if !only_tls || !fields.says("snis") {
        let what = "must set one of methods, hosts, headers, paths";
        let what = if only_tls { format!("{what} or snis") } else { what.to_owned() };
        fields.wrong_all(what, "write `paths: [/]` to match everything");
    }
}

/// What is wrong, and what to do.
type Judged<T> = Result<T, (String, &'static str)>;

fn checked(
    fields: &mut Fields<'_>,
    key: &'static str,
    judge: impl Fn(&str) -> Judged<Box<str>>,
) -> Vec<Box<str>> {
    let texts = fields.texts(key).unwrap_or_default();
    texts.into_iter().filter_map(|text| noted(fields, text, judge(text.text))).collect()
}

fn noted<T>(fields: &Fields<'_>, text: Text<'_>, judged: Judged<T>) -> Option<T> {
    judged.map_err(|(what, advice)| fields.wrong(text.at, what, advice)).ok()
}

fn method(text: &str) -> Judged<Box<str>> {
    if text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(text.into());
    }
    Err((format!("`{}` is not a method", shortened(text)), "write upper-case letters, as in GET"))
}

/// A name, perhaps with a port, perhaps with one `*` as its first or last label.
fn route_host(text: &str) -> Judged<Box<str>> {
    let (name, port) = text.rsplit_once(':').filter(|(_, port)| !port.contains(']')).unwrap_or((text, "80"));
    let plain = name.strip_prefix("*.").or_else(|| name.strip_suffix(".*")).unwrap_or(name);
    let is_port = port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port && !plain.contains('*') && host(plain).is_some() {
        return Ok(text.to_ascii_lowercase().into());
    }
    let advice = "write a host name, perhaps with a port, with at most one `*` as its first or last label";
    Err((format!("`{}` is not a host", shortened(text)), advice))
}

fn sni(text: &str) -> Judged<Box<str>> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if is_server_name(name) && name != "*" {
        return Ok(name.to_ascii_lowercase().into());
    }
    Err((format!("`{}` is not a name to ask for", shortened(text)), "write a host name without port"))
}

fn paths(fields: &mut Fields<'_>, format: Format) -> Vec<Box<str>> {
    checked(fields, "paths", |text| {
        let path = if format == Format::Before3 { migrated(text) } else { text.to_owned() };
        path_or_regex(&path)?;
        Ok(path.into())
    })
}

fn path_or_regex(path: &str) -> Judged<()> {
    if let Some(regex) = path.strip_prefix('~') {
        if !regex.starts_with('/') {
            return Err(("a regex that does not begin with a slash".into(), "begin it with `~/`"));
        }
        escapes_of_regex(regex)?;
        return compiles(regex);
    }
    if !path.starts_with('/') {
        let advice = "begin it with `/` for a prefix, or with `~/` for a regex";
        return Err((format!("`{}` is not a path", shortened(path)), advice));
    }
    if path.contains("//") {
        return Err(("an empty segment".into(), "write one slash where there are two"));
    }
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%:@!$&'()*+,;=".contains(&byte);
    if !path.bytes().all(is_legal) {
        let what = format!("`{}` has characters that no path has", shortened(path));
        return Err((what, "percent-encode them, or begin it with `~` if it is a regex"));
    }
    normal(path)
}

/// What is compared with it is in normal form, so anything else would never match.
fn normal(path: &str) -> Judged<()> {
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let digits = rest.get(at + 1..at + 3).unwrap_or_default();
        let Some(byte) = escaped(digits) else {
            return Err(("a `%` without two hexadecimal digits".into(), "write %25 for a percent sign"));
        };
        as_usual(digits, byte)?;
        rest = &rest[at + 3..];
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(("a `.` or `..` segment, which no request has".into(), "write the path without it"));
    }
    Ok(())
}

/// The same of what a regex has of escapes; `%` before anything else may be the beginning of a pattern.
fn escapes_of_regex(regex: &str) -> Judged<()> {
    let mut rest = regex;
    while let Some(at) = rest.find('%') {
        let digits = rest.get(at + 1..at + 3).unwrap_or_default();
        let byte = escaped(digits);
        byte.map_or(Ok(()), |byte| as_usual(digits, byte))?;
        rest = &rest[at + if byte.is_some() { 3 } else { 1 }..];
    }
    Ok(())
}

/// What stands behind a `%`, if it is two hexadecimal digits.
fn escaped(digits: &str) -> Option<u8> {
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)
}

fn as_usual(digits: &str, byte: u8) -> Judged<()> {
    if digits != digits.to_ascii_uppercase() || byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        let what = format!("`%{digits}` is not how this character is written");
        return Err((what, "write letters, digits, `-._~` as themselves, and upper-case hexadecimal digits"));
    }
    Ok(())
}

fn compiles(regex: &str) -> Judged<()> {
    let built = regex::RegexBuilder::new(regex).size_limit(LARGEST_REGEX).build();
    built.map(drop).map_err(|error| {
        // The parser draws a picture; its last line says it.
        let what = error.to_string();
        let what = what.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        (format!("not a regex: {what}"), "mend it; look-around and back-references are not supported")
    })
}

/// Names in lower case with their values; a single value beginning with `~*` is a regex.
fn headers(fields: &mut Fields<'_>) -> Vec<(Box<str>, Vec<Box<str>>)> {
    let mut headers = Vec::new();
    for (name, values) in fields.lists("headers").unwrap_or_default() {
        if http::HeaderName::try_from(name.text).is_err() || name.text.eq_ignore_ascii_case("host") {
            let what = format!("`{}` cannot be a header here", shortened(name.text));
            fields.wrong(name.at, what, "write a header's name; for Host, write `hosts`");
        }
        if let [value] = values[..]
            && let Some(regex) = value.text.strip_prefix("~*")
        {
            noted(fields, value, compiles(regex));
        } else if let Some(value) = values.iter().find(|value| value.text.starts_with("~*")) {
            let what = "a regex beside other values, where it would be compared as it is written";
            fields.wrong(value.at, what, "write one regex for all of them, as in ~*^(a|b)$");
        }
        if values.is_empty() {
            fields.wrong(name.at, "a header without values", "write at least one");
        }
        let values = values.into_iter().map(|value| value.text.into()).collect();
        headers.push((name.text.to_ascii_lowercase().into(), values));
    }
    headers
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

/// In bytes, compiled: far more than a path needs, and quickly refused.
const LARGEST_REGEX: usize = 1 << 20;

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

    #[test]
    fn paths_are_in_normal_form() {
        for path in ["/", "/a/b", "/a%20b", "/a:b@c", r"~/a\d+", "~/a%2Fb%[0-9A-F]", "~/(?<name>[^/]+)/x$"] {
            assert_eq!(path_or_regex(path), Ok(()), "{path}");
        }
        let check = |path, line: &str| assert_eq!(path_or_regex(path).unwrap_err().0, line, "{path}");
        check("a", "`a` is not a path");
        check("~a", "a regex that does not begin with a slash");
        check("/a//b", "an empty segment");
        check("/a?b", "`/a?b` has characters that no path has");
        check("/%4", "a `%` without two hexadecimal digits");
        check("/%41", "`%41` is not how this character is written");
        check("/%+5", "a `%` without two hexadecimal digits");
        check("~/a%2fb", "`%2f` is not how this character is written");
        check("~/%[0-9]%7E", "`%7E` is not how this character is written");
        check("/%2f", "`%2f` is not how this character is written");
        check("/a/../b", "a `.` or `..` segment, which no request has");
        check("~/a(b", "not a regex: unclosed group");
        check("~/(?=a)", "not a regex: look-around, including look-ahead and look-behind, is not supported");
    }

    #[test]
    fn hosts_have_one_wildcard_at_most() {
        for host in ["example.com", "*.example.com", "example.*", "Example.com:8080", "127.0.0.1", "[::1]:80"]
        {
            assert_eq!(route_host(host), Ok(host.to_ascii_lowercase().into()), "{host}");
        }
        for host in ["a.*.b", "*.a.*", "*", "a b", "a:x", "a:70000", ""] {
            assert!(route_host(host).is_err(), "{host}");
        }
    }
}
