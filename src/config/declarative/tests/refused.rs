//! What is wrong with a file is told in one line each, with the way to it and its line.

use super::*;

/// `body` comes after the version, so it begins on line 2.
fn check(body: &str, expected: &str) {
    assert_eq!(problems(&format!("_format_version: \"3.0\"\n{body}\n")), expected, "{body}");
}

#[test]
fn the_top_of_a_file() {
    let top = |text: &str, expected: &str| assert_eq!(problems(text), expected, "{text}");
    let version = "write `_format_version: \"3.0\"`, with the quotes";
    top("services: []", &format!("_format_version (line 1): required field missing; {version}"));
    top("_format_version: 3.0", &format!("_format_version (line 1): not a text; {version}"));
    top(
        "_format_version: '4.0'",
        "_format_version (line 1): `4.0` is not a known version; write \"3.0\", \"2.1\" or \"1.1\"",
    );
    top("# nothing", "it is empty; write at least `_format_version: \"3.0\"`");
    top("hello", "line 1: a text where a map is wanted; write `field: value` lines");
    top("a: 1\n---\nb: 2", "line 3: a second document; put everything into one");
    top("a: [1\nb: 2", "line 2: not YAML: illegal placement of ':' indicator; mend the line");
    check("service: []", "service (line 2): unknown field; did you mean services?");
    check("services: {}", "services (line 2): a map where a list is wanted; begin each entity with `- `");
    check(
        "services:\n- orders",
        "services[0] (line 3): a text where a map is wanted; write `field: value` lines",
    );
    check(
        "vaults: [{}]\n_info: {a: b}",
        "vaults (line 2): not supported by this version; write what the references stand for\n\
         _info (line 3): not supported by this version; \
         remove it: decK wrote it for itself, and Kong refuses it too",
    );
}

#[test]
fn services() {
    let check = |fields: &str, line: &str| check(&format!("services:\n- {{name: a, {fields}}}"), line);
    let of = |field: &str, line: &str| format!("services[0]{field} (line 3): {line}");
    check("host: h, hots: x", &of(".hots", "unknown field; did you mean host?"));
    check("host: 1", &of(".host", "a number where a text is wanted; put it in quotes"));
    check(
        "host: h, port: '80'",
        &of(".port", "a text where a number is wanted; write a whole number from 0 to 65535, without quotes"),
    );
    check(
        "host: h, retries: 40000",
        &of(".retries", "40000 is not a whole number in range; write a whole number from 0 to 32767"),
    );
    check("port: 80", &of(".host", "required field missing; write the service's host, or its `url`"));
    check(
        "host: h, enabled: 'no'",
        &of(".enabled", "a text where a boolean is wanted; write true or false, without quotes"),
    );
    check(
        "host: h, protocol: tcp",
        &of(
            ".protocol",
            "`tcp` is not supported by this version; write http, https, grpc or grpcs; WebSockets pass over http and https",
        ),
    );
    check(
        "url: 'ftp://h'",
        &of(".url", "`ftp` is not a scheme this program speaks; write http, https, grpc or grpcs"),
    );
    check("url: 'http://h', host: h", &of(".host", "said beside `url`; keep one of the two"));
    check(
        "host: h, path: a",
        &of(
            ".path",
            "not a path; begin it with one slash, leave no segment empty, and percent-encode special characters",
        ),
    );
    check("host: h, protocol: grpc, path: /a", &of(".path", "gRPC services have no path; remove it"));
    check(
        "host: h, tls_verify: true",
        &of(
            "",
            "client_certificate, ca_certificates, tls_verify and tls_verify_depth need TLS; write https or grpcs as its protocol, or remove them",
        ),
    );
    check(
        "url: 'https://h', client_certificate: {id: abc}",
        &of(
            ".client_certificate",
            "a map where a reference is wanted; write the name or id alone: `client_certificate: abc`",
        ),
    );
    check(
        "url: 'https://h', ca_certificates: [abc]",
        &of(
            ".ca_certificates[0]",
            "there is no `abc` in ca_certificates; write the name or the id of one, or add it",
        ),
    );
    check(
        "host: h, id: 7",
        &of(".id", "not a UUID; write one like 0855b320-0dd2-547d-891d-601e9b38647f, or remove it"),
    );
}

#[test]
fn routes() {
    let check = |fields: &str, line: &str| check(&format!("routes:\n- {{{fields}}}"), line);
    let of = |field: &str, line: &str| format!("routes[0]{field} (line 3): {line}");
    check(
        "service: nobody, paths: [/]",
        &of(".service", "there is no `nobody` in services; write the name or the id of one, or add it"),
    );
    check(
        "name: a",
        &of("", "must set one of methods, hosts, headers, paths; write `paths: [/]` to match everything"),
    );
    check(
        "paths: ['~/a(']",
        &of(
            ".paths[0]",
            "not a regex: unclosed group; mend it; look-around and back-references are not supported",
        ),
    );
    check(
        "paths: [/a, b]",
        &of(".paths[1]", "`b` is not a path; begin it with `/` for a prefix, or with `~/` for a regex"),
    );
    check(
        "headers: {x-a: ['~*[']}",
        &of(
            ".headers[0]",
            "not a regex: unclosed character class; mend it; look-around and back-references are not supported",
        ),
    );
    check(
        "headers: {Host: [a]}",
        &of(".headers", "`Host` cannot be a header here; write a header's name; for Host, write `hosts`"),
    );
    check("methods: [get]", &of(".methods[0]", "`get` is not a method; write upper-case letters, as in GET"));
    check(
        "hosts: [a.*.b]",
        &of(
            ".hosts[0]",
            "`a.*.b` is not a host; write a host name, perhaps with a port, with at most one `*` as its first or last label",
        ),
    );
    check(
        "protocols: [http], snis: [a.b], paths: [/]",
        &of(
            "",
            "'snis' can only be set when 'protocols' is 'grpcs' or 'https'; add https to its protocols, or remove snis",
        ),
    );
    check(
        "protocols: [http, grpc], paths: [/]",
        &of("", "`protocols` mixes HTTP and gRPC; write a route for each"),
    );
    check("paths: /", &of(".paths", "a text where a list is wanted; write paths: [a, b]"));
    check(
        "paths: [/], https_redirect_status_code: 303",
        &of("", "`https_redirect_status_code` is no redirection; write 301, 302, 307, 308 or 426"),
    );
    check(
        "expression: 'http.path == \"/\"', paths: [/]",
        &of(
            ".expression",
            "not supported by this version; write hosts, paths, methods and headers instead of an expression",
        ),
    );
}

#[test]
fn duplicates_and_dangling_references() {
    check(
        "services:\n- {name: a, host: h}\n- {name: a, host: h}",
        "services[1].name (line 4): `a` is already the name of services[0] (line 3); give each its own",
    );
    check(
        "consumers:\n- {username: a, custom_id: x}\n- {username: b, custom_id: x}\n- {}",
        "consumers[1].custom_id (line 4): `x` is already the custom_id of consumers[0] (line 3); give each its own\n\
         consumers[2] (line 5): neither `username` nor `custom_id`; write at least one of the two",
    );
    check(
        "consumers:\n- {username: a, acls: [{group: g}, {group: g}]}\nacls: [{group: g}, {group: g, consumer: b}]",
        "consumers[0].acls[1].group (line 3): the consumer is in group `g` already; remove one of the two\n\
         acls[0].consumer (line 4): required field missing; write the name or the id of what it belongs to\n\
         acls[1].consumer (line 4): there is no `b` in consumers; write the name or the id of one, or add it",
    );
    check(
        "consumers:\n- {username: a, id: 00000000-0000-0000-0000-000000000001}\n- {username: b, id: 00000000-0000-0000-0000-000000000001}",
        "consumers[1].id (line 4): the id 00000000-0000-0000-0000-000000000001 is already that of consumers[0] (line 3); give each its own",
    );
    check(
        "mtls_auth_credentials:\n- {subject_name: s, consumer: a}\n- {subject_name: s, consumer: a}\nconsumers: [{username: a}]",
        "mtls_auth_credentials[1].subject_name (line 4): `s` is already mapped by mtls_auth_credentials[0] (line 3); map each name to one consumer",
    );
    check(
        "upstreams: [{name: u}]\ntargets: [{upstream: u, target: 'a:b'}]",
        "targets[0].target (line 3): `a:b` is not a target; write a host, perhaps with a port: orders.internal:8080",
    );
}

#[test]
fn plugins() {
    let check = |fields: &str, line: &str| check(&format!("plugins:\n- {{{fields}}}"), line);
    let of = |field: &str, line: &str| format!("plugins[0]{field} (line 3): {line}");
    let known = "mtls-auth, header-cert-auth, acl, mtls-acl, tls-metadata-headers, tls-handshake-modifier, ip-restriction, request-termination";
    check(
        "name: key-auth",
        &of(".name", &format!("there is no plugin `key-auth`; remove it, or write one of {known}")),
    );
    check(
        "name: acl, config: {allow: [a], deny: [b]}",
        &of(".config", "both `allow` and `deny`; keep one of the two"),
    );
    check("name: acl", &of(".config", "neither `allow` nor `deny`; write one of the two"));
    check(
        "name: acl, config: {allow: []}",
        &of(".config", "`allow` or `deny` without a name in it; write at least one, or remove the plugin"),
    );
    check(
        "name: acl, config: {whitelist: [a], allow: [a]}",
        &of(".config.whitelist", "not supported by this version; write allow"),
    );
    check(
        "name: mtls-auth, config: {}",
        &of(
            ".config.ca_certificates",
            "required field missing; write the ids of the CAs whose clients may come in",
        ),
    );
    check(
        "name: mtls-auth, config: {ca_certificates: [a]}",
        &of(
            ".config.ca_certificates[0]",
            "there is no `a` in ca_certificates; write the name or the id of one, or add it",
        ),
    );
    check(
        "name: mtls-auth, consumer: a, config: {error_response_code: 401}",
        &of(".consumer", "not supported by this version; write the plugin for a route, a service or all"),
    );
    check(
        "name: mtls-auth, config: {error_response_code: 401, skip_consumer_lookup: true}",
        &of(
            ".config.skip_consumer_lookup",
            "unknown field; remove it; the fields here are error_response_code, upstream_cert_header, upstream_cert_fingerprint_header, upstream_cert_serial_header, upstream_cert_i_dn_header, upstream_cert_s_dn_header, upstream_cert_cn_header, upstream_cert_org_header, _comment, _ignore",
        ),
    );
    check(
        "name: request-termination, config: {trigger: x}",
        &of(
            ".config.trigger",
            "not supported by this version; remove it, or match a header in a route of its own",
        ),
    );
    check(
        "name: ip-restriction, config: {allow: [x]}",
        &of(".config.allow[0]", "`x` is neither an address nor a network; write one like 10.0.0.0/8"),
    );
}

#[test]
fn newer_fields_of_mtls_auth_are_told() {
    check(
        "ca_certificates: [{id: 00000000-0000-0000-0000-000000000001, cert: <CA>}]\nplugins:\n- name: mtls-auth\n  config:\n    ca_certificates: [00000000-0000-0000-0000-000000000001]\n    ssl_verify: true\n    san_dirname_matcher: [CN]\n    revocation_check_mode: strict\n    http_proxy_host: p\n",
        "plugins[0].config (line 6): one of `http_proxy_host` and `http_proxy_port` without the other; write both or neither\n\
         plugins[0].config.san_dirname_matcher (line 8): not supported by this version; remove it; it came after Kong 3.9\n\
         plugins[0].config.revocation_check_mode (line 9): `strict` is not one of the words for it; write SKIP or IGNORE_CA_ERROR or STRICT",
    );
}

#[test]
fn one_instance_for_each_scope() {
    let plugin = "{name: mtls-auth, config: {error_response_code: 401}}";
    check(
        &format!(
            "routes:\n- paths: [/]\n  name: r\n  plugins: [{plugin}]\nplugins:\n- {{name: mtls-auth, route: r, config: {{error_response_code: 401}}}}\n- {plugin}\n- {plugin}"
        ),
        "plugins[0].name (line 7): `mtls-auth` is there already, at routes[0].plugins[0] (line 5); keep one of the two: they are not merged\n\
         plugins[2].name (line 9): `mtls-auth` is there already, at plugins[1] (line 8); keep one of the two: they are not merged",
    );
}

#[test]
fn certificates() {
    check(
        "ca_certificates: [{cert: <CERT>}]",
        "ca_certificates[0].cert (line 2): certificate 1 (CN=rcgen self signed cert) is no CA: its basic constraints lack CA:TRUE; give a CA that is valid, its root included",
    );
    check(
        "ca_certificates: [{cert: <KEY>}]",
        "ca_certificates[0].cert (line 2): it holds a private key but no certificate; write the CA as PEM",
    );
    check(
        "ca_certificates: [{cert: <CA>}, {cert: <CA>, id: 00000000-0000-0000-0000-000000000001}]",
        "ca_certificates[1].cert (line 2): the same certificate as ca_certificates[0] (line 2); keep one of the two",
    );
    check(
        "certificates: [{cert: <CERT>}]",
        "certificates[0].key (line 2): required field missing; write its private key as PEM",
    );
    check(
        "certificates: [{cert: <CERT>, key: <KEY>, cert_alt: <CERT>}]",
        "certificates[0] (line 2): one of `cert_alt` and `key_alt` without the other; write both or neither",
    );
    check(
        "certificates: [{cert: <CERT>, key: secret}]",
        "certificates[0].key (line 2): it holds no PEM block (a line -----BEGIN …-----); write an unencrypted key as PEM (PKCS#8, PKCS#1 or SEC1)",
    );
    check(
        "snis: [{name: a.*.b}]",
        "snis[0].certificate (line 2): required field missing; write the name or the id of what it belongs to\nsnis[0].name (line 2): `a.*.b` is not a name to ask for; write a name without port, `*`, or one `*` as the first or last label",
    );
}

#[test]
fn upstreams() {
    let check = |fields: &str, line: &str| check(&format!("upstreams:\n- {{name: u, {fields}}}"), line);
    let of = |field: &str, line: &str| format!("upstreams[0]{field} (line 3): {line}");
    check(
        "algorithm: sticky-sessions",
        &of(
            ".algorithm",
            "`sticky-sessions` is not one of the words for it; write round-robin or least-connections or consistent-hashing or latency",
        ),
    );
    check(
        "hash_on: header",
        &of(".hash_on_header", "required field missing; write the name of the header to hash"),
    );
    check(
        "hash_on: ip, hash_fallback: ip",
        &of("", "`hash_fallback` is the same as `hash_on`; remove hash_fallback, or write another one"),
    );
    check(
        "use_srv_name: true",
        &of(".use_srv_name", "not supported by this version; write host_header instead"),
    );
    check(
        "healthchecks: {active: {healthy: {interval: -1}}}",
        &of(".healthchecks.active.healthy.interval", "not a number in range; write a number from 0 to 65535"),
    );
    check(
        "healthchecks: {active: {helthy: {}}}",
        &of(".healthchecks.active.helthy", "unknown field; did you mean healthy?"),
    );
    check(
        "healthchecks: {passive: {unhealthy: {http_statuses: [99]}}}",
        &of(
            ".healthchecks.passive.unhealthy.http_statuses[0]",
            "99 is not a whole number in range; write a whole number from 100 to 999",
        ),
    );
}

#[test]
fn a_thousand_problems_are_told_as_fifty() {
    let services: String = (0..1000).map(|n| format!("- {{name: s{n}}}\n")).collect();
    let problems = problems(&format!("_format_version: '3.0'\nservices:\n{services}"));
    assert_eq!(problems.lines().count(), 51);
    assert!(problems.ends_with("and 950 more problems; mend those above first"), "{problems}");
}
