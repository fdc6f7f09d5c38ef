//! What looks harmless and is not: networks, headers and patterns that would never match, keys in messages.

use super::*;

/// `body` comes after the version, so it begins on line 2.
fn check(body: &str, expected: &str) {
    assert_eq!(problems(&format!("_format_version: \"3.0\"\n{body}\n")), expected, "{body}");
}

#[test]
fn a_key_in_the_wrong_place_is_not_shown() {
    let problems = problems(
        "_format_version: '3.0'\nservices: [{name: a, url: 'https://h', client_certificate: <KEY>}]\n<KEY>: x\n",
    );
    assert!(problems.contains("there is no `PEM text` in certificates"), "{problems}");
    assert!(problems.contains("PEM text (line 3): unknown field"), "{problems}");
    assert!(!problems.contains("PRIVATE"), "{problems}");
}

#[test]
fn answers_have_statuses_of_answers() {
    let line = |field: &str, status: u16| {
        format!(
            "plugins[0].config.{field} (line 3): {status} is not a whole number in range; write a whole number from 200 to 599"
        )
    };
    check("plugins:\n- {name: request-termination, config: {status_code: 101}}", &line("status_code", 101));
    check("plugins:\n- {name: ip-restriction, config: {deny: [::1], status: 199}}", &line("status", 199));
    check("plugins:\n- {name: ip-restriction, config: {deny: [::1], status: 600}}", &line("status", 600));
}

#[test]
fn networks_of_ipv4_in_ipv6_are_those_of_ipv4() {
    let model = model(
        "_format_version: '3.0'\nplugins: [{name: ip-restriction, config: {deny: ['::ffff:10.0.0.0/104', '::ffff:1.2.3.4', '::/0', '2001:db8::/32']}}]",
    );
    let PluginConfig::IpRestriction(plugin) = &model.plugins[0].config else { panic!() };
    let shown: Vec<_> = plugin.deny.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.0/8", "1.2.3.4/32", "::/0", "2001:db8::/32"]);
    check(
        "plugins:\n- {name: ip-restriction, config: {deny: ['::ffff:10.0.0.0/64']}}",
        "plugins[0].config.deny[0] (line 3): `::ffff:10.0.0.0/64` is more than the IPv4 addresses in IPv6; write the IPv4 network itself, like 10.0.0.0/8",
    );
}

#[test]
fn headers_of_plugins_are_their_own() {
    for name in
        ["X-Forwarded-For", "x-kong-x", "Proxy-Authorization", "X-Real-IP", "Forwarded", "Max-Forwards"]
    {
        let line = format!(
            "plugins[0].config.upstream_cert_header (line 3): requests need `{}` for something else; write a header of its own, like X-Client-Cert",
            name.to_ascii_lowercase()
        );
        check(&format!("plugins:\n- {{name: mtls-auth, config: {{upstream_cert_header: {name}}}}}"), &line);
    }
    let twice = "plugins[0].config (line 3): the header `x-client-cert` is set twice; write a header of its own for each, also where another is the default";
    check(
        "plugins:\n- {name: mtls-auth, config: {upstream_cert_header: X-Client-Cert, upstream_cert_cn_header: x-client-cert}}",
        twice,
    );
    check(
        "plugins:\n- {name: tls-metadata-headers, config: {client_serial_header_name: X-Client-Cert}}",
        twice,
    );
}

#[test]
fn patterns_that_never_match_are_told() {
    let advice = "write letters, digits, `-._~` as themselves, and upper-case hexadecimal digits";
    check(
        "routes:\n- {paths: ['~/a%2fb', '~/%7Euser', '~/a%2Fb%[0-9]']}",
        &format!(
            "routes[0].paths[0] (line 3): `%2f` is not how this character is written; {advice}\n\
             routes[0].paths[1] (line 3): `%7E` is not how this character is written; {advice}"
        ),
    );
}

#[test]
fn several_values_of_a_header_may_be_expressions() {
    let text = "_format_version: '3.0'\nroutes:\n- {headers: {x-a: [b, '~*c', '~*^d$']}}";
    assert_eq!(model(text).routes[0].rule.headers[0].values(), ["b", "~*c", "~*^d$"]);
    let mend = "mend it; look-around and back-references are not supported";
    check(
        "routes:\n- {headers: {x-a: [b, '~*('], Host: ['~*)']}}",
        &format!(
            "routes[0].headers[1] (line 3): not a regex: unclosed group; {mend}\n\
             routes[0].headers (line 3): `Host` cannot be a header here; write a header's name; for Host, write `hosts`\n\
             routes[0].headers[0] (line 3): not a regex: unopened group; {mend}"
        ),
    );
}

#[test]
fn nothing_in_a_folder_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let of_folder = || {
        let said = Said::new("declarative_config", folder.path().to_str().unwrap(), Origin::DEFAULT);
        read(&DeclarativeSource::File(said)).map_err(|problems| problems.to_string())
    };
    std::fs::write(at("a.YML"), "_format_version: '3.0'\nplugins: [{name: request-termination}]\n").unwrap();
    std::fs::write(at(".hidden.txt"), "").unwrap();
    std::fs::create_dir(at("..data")).unwrap();
    assert_eq!(of_folder().map(|model| model.plugins.len()), Ok(1));
    let check = |name: &str, what: &str| {
        let problem = of_folder().unwrap_err();
        let line = format!(
            "{name} in the folder {what}; move it elsewhere, or name it .yaml, .yml or .json; folders in folders are not read"
        );
        assert!(problem.ends_with(&line), "{problem}");
    };
    std::fs::write(at("b.yaml.txt"), "").unwrap();
    check("b.yaml.txt", "is neither YAML nor JSON by its name");
    std::fs::remove_file(at("b.yaml.txt")).unwrap();
    std::fs::create_dir(at("more.yaml")).unwrap();
    check("more.yaml", "is a folder");
}
