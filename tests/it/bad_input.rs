//! Settings that cannot be meant: each stops the start with one line that names key, value, origin
//! and what to do; several at once give several lines, and none ever holds a secret.

use std::net::{SocketAddr, TcpListener};
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::bridge::{Setup, gateway, program, reverse_proxy};
use crate::support::pki::Pki;

/// Never reached: nothing starts here.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

fn check(setup: Setup, expected: &str) {
    assert_eq!(setup.refused().line(), expected);
}

#[test]
fn a_certificate_without_a_key_is_half_a_pair() {
    let pki = Pki::new();
    let path = |name| pki.path(name).display().to_string();
    check(
        reverse_proxy(&pki, NOWHERE).without("CLIENT_SSL_CERT_KEY"),
        &format!(
            "client_ssl_cert={} (environment CLIENT_SSL_CERT): client_ssl_cert_key is not set; \
             set CLIENT_SSL_CERT_KEY to its key",
            path("client.crt")
        ),
    );
    check(
        gateway(&pki, NOWHERE).without("SSL_CERT_KEY"),
        &format!(
            "ssl_cert={} (environment SSL_CERT): ssl_cert_key is not set; set SSL_CERT_KEY to its key",
            path("server.crt")
        ),
    );
}

#[test]
fn a_key_without_a_certificate_is_half_a_pair() {
    let pki = Pki::new();
    let path = |name| pki.path(name).display().to_string();
    check(
        reverse_proxy(&pki, NOWHERE).without("CLIENT_SSL_CERT"),
        &format!(
            "client_ssl_cert_key={} (environment CLIENT_SSL_CERT_KEY): client_ssl_cert is not set; \
             set CLIENT_SSL_CERT to its certificate",
            path("client.key")
        ),
    );
    check(
        gateway(&pki, NOWHERE).without("SSL_CERT"),
        &format!(
            "ssl_cert_key={} (environment SSL_CERT_KEY): ssl_cert is not set; \
             set SSL_CERT to a path, PEM text or base64 (SSL_CERT_FILE is OpenSSL's)",
            path("server.key")
        ),
    );
}

#[test]
fn a_reverse_proxy_without_any_certificate_is_told_to_get_one_or_to_say_so() {
    let pki = Pki::new();
    check(
        reverse_proxy(&pki, NOWHERE).without("CLIENT_SSL_CERT").without("CLIENT_SSL_CERT_KEY"),
        "client_ssl=on (profile reverse-proxy): there is no certificate to present; \
         set CLIENT_SSL_CERT and CLIENT_SSL_CERT_KEY, or CLIENT_SSL=off",
    );
}

#[test]
fn a_switch_is_on_or_off_and_nothing_between() {
    check(
        reverse_proxy(&Pki::new(), NOWHERE).env("CLIENT_SSL", "maybe"),
        "client_ssl=maybe (environment CLIENT_SSL): neither on nor off; \
         write on, off, true, false, yes, no, 1 or 0",
    );
}

#[test]
fn an_unknown_key_in_a_file_suggests_the_one_that_was_meant() {
    let pki = Pki::new();
    let file = pki.write("bridge.toml", "client_sll = \"on\"\nphase_of_the_moon = \"full\"\n");
    let refused = reverse_proxy(&pki, NOWHERE).env("CONFIG", &file).refused();
    let origin = format!("(file {})", file.display());
    let expected = [
        format!("client_sll {origin}: no such setting; did you mean client_ssl?"),
        format!(
            "phase_of_the_moon {origin}: no such setting; remove it; `mtls-bridge check` lists the settings"
        ),
    ];
    assert_eq!(refused.lines(), expected);
}

#[test]
fn a_file_that_is_not_toml_names_the_line() {
    let pki = Pki::new();
    let file = pki.write("bridge.toml", "# ours\nclient_ssl = on\n");
    let refused = reverse_proxy(&pki, NOWHERE).env("CONFIG", &file).refused();
    let subject = format!("line 2 (file {}): not TOML: ", file.display());
    let advice = "; mend the line; texts are in quotes, as in client_ssl = \"on\"";
    assert!(refused.line().starts_with(&subject) && refused.line().ends_with(advice), "{}", refused.text);
}

#[test]
fn a_configuration_file_that_is_not_there_stops_the_start() {
    let pki = Pki::new();
    let file = pki.path("missing.toml").display().to_string();
    check(
        reverse_proxy(&pki, NOWHERE).env("CONFIG", &file),
        &format!(
            "config={file} (environment CONFIG): {file} cannot be read: \
             No such file or directory (os error 2); name a TOML file that this user may read"
        ),
    );
}

#[test]
fn an_unknown_profile_is_answered_with_the_known_ones() {
    check(
        reverse_proxy(&Pki::new(), NOWHERE).env("PROFILE", "hardend"),
        "profile=hardend (environment PROFILE): `hardend` is not a profile; \
         write one of reverse-proxy, gateway, development, hardened, or the path of a TOML file",
    );
}

#[test]
fn an_upstream_url_needs_a_host_and_a_scheme_we_speak() {
    let pki = Pki::new();
    for (url, rest) in [
        ("https://", "no host; write for example https://gateway.example:8443"),
        ("https://:8443/", "no host; write for example https://gateway.example:8443"),
        ("ftp://gateway", "`ftp` is not a scheme this program speaks; write http, https, grpc or grpcs"),
        ("gateway:8443", "not a URL; write for example https://gateway.example:8443"),
    ] {
        let expected = format!("upstream_url={url} (environment UPSTREAM_URL): {rest}");
        check(reverse_proxy(&pki, NOWHERE).env("UPSTREAM_URL", url), &expected);
    }
    check(
        reverse_proxy(&pki, NOWHERE).without("UPSTREAM_URL"),
        "upstream_url: not set, so there is nowhere to send requests; \
         set UPSTREAM_URL, for example to https://gateway.example:8443",
    );
}

#[test]
fn a_gateway_without_a_ca_would_let_nobody_in_and_does_not_start() {
    let pki = Pki::new();
    check(
        gateway(&pki, NOWHERE).without("MTLS_AUTH_CA_CERTIFICATES"),
        "mtls_auth_ca_certificates: not set, so nobody could come in; \
         set MTLS_AUTH_CA_CERTIFICATES to the CA that signs your clients",
    );
    check(
        gateway(&pki, NOWHERE).env("MTLS_AUTH_CA_CERTIFICATES", ""),
        "mtls_auth_ca_certificates= (environment MTLS_AUTH_CA_CERTIFICATES): names no certificate; \
         write a path, PEM text or base64 of PEM",
    );
}

#[test]
fn an_acl_allows_or_denies_and_never_lets_everybody_in_by_being_empty() {
    let pki = Pki::new();
    check(
        gateway(&pki, NOWHERE).env("ACL_ALLOW", "app").env("ACL_DENY", "billing"),
        "acl_deny=billing (environment ACL_DENY): acl_allow is set too; keep one of the two",
    );
    check(
        gateway(&pki, NOWHERE).env("ACL_ALLOW", ""),
        "acl_allow= (environment ACL_ALLOW): names no group; name at least one, or remove it",
    );
}

#[test]
fn a_setting_this_version_cannot_keep_is_refused_and_not_ignored() {
    let pki = Pki::new();
    let unsupported = |variable: &str, value: &str| {
        let key = variable.trim_start_matches("KONG_").to_lowercase();
        let refused = gateway(&pki, NOWHERE).env(variable, value).refused();
        let subject = format!("{key} (environment {variable}): not supported by this version; ");
        assert!(refused.line().starts_with(&subject), "{}", refused.text);
    };
    unsupported("KONG_ADMIN_LISTEN", "127.0.0.1:8001");
    unsupported("MTLS_AUTH_ANONYMOUS", "guest");
    unsupported("MTLS_AUTH_CONSUMER_BY", "custom_id");
    check(
        gateway(&pki, NOWHERE).env("MTLS_AUTH_REVOCATION_CHECK_MODE", "LAX"),
        "mtls_auth_revocation_check_mode=LAX (environment MTLS_AUTH_REVOCATION_CHECK_MODE): \
         not a known word; write SKIP, IGNORE_CA_ERROR or STRICT",
    );
}

#[test]
fn everything_wrong_is_told_at_once_settings_and_files_alike() {
    let pki = Pki::new();
    let refused = gateway(&pki, NOWHERE)
        .env("UPSTREAM_URL", "ftp://service")
        .env("ACL_ALLOW", "app")
        .env("ACL_DENY", "app")
        .env("WORKERS", "many")
        .env("SSL_CERT", pki.path("missing.crt"))
        .env("MTLS_AUTH_CA_CERTIFICATES", pki.path("client.crt"))
        .refused();
    let subjects: Vec<_> =
        refused.lines().iter().map(|line| line.split(['=', ' ']).next().unwrap()).collect();
    assert_eq!(
        subjects,
        ["acl_deny", "upstream_url", "workers", "ssl_cert", "mtls_auth_ca_certificates"],
        "{}",
        refused.text
    );
}

#[test]
fn files_are_looked_at_even_where_it_is_unclear_whether_they_are_used() {
    let pki = Pki::new();
    let refused = reverse_proxy(&pki, NOWHERE)
        .env("CLIENT_SSL", "maybe")
        .env("CLIENT_SSL_CERT_KEY", pki.path("server.key"))
        .env("UPSTREAM_CA_CERTIFICATES", pki.path("missing.crt"))
        .refused();
    let lines = refused.lines();
    assert_eq!(lines.len(), 3, "{}", refused.text);
    assert!(lines[0].starts_with("client_ssl=maybe "), "{}", refused.text);
    assert!(lines[1].contains("missing.crt (environment UPSTREAM_CA_CERTIFICATES): there is no such file; "));
    assert!(
        lines[2].contains("server.key (environment CLIENT_SSL_CERT_KEY): the private key does not belong")
    );
}

#[test]
fn a_misspelt_variable_is_told_below_the_problem_it_explains() {
    let pki = Pki::new();
    let setup = || reverse_proxy(&pki, NOWHERE).env("UPSTREAM_URI", "https://localhost");
    let warning = "warning: UPSTREAM_URI is not a setting and was ignored; did you mean UPSTREAM_URL?";
    let refused = setup().without("UPSTREAM_URL").refused();
    assert!(refused.lines()[0].starts_with("upstream_url: not set"));
    assert_eq!(refused.lines()[1..], [warning]);
    let refused = setup().env("CLIENT_SSL_CERT", pki.path("missing.crt")).refused();
    assert_eq!(refused.lines()[1..], [warning]);
}

#[test]
fn a_taken_port_is_a_failure_in_one_line() {
    let pki = Pki::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let told = |setup: Setup, key: &str, variable: &str| {
        let refused = setup.env(variable, address.to_string()).refused();
        let expected = format!(
            "mtls-bridge: {key}={address} (environment {variable}): Address already in use (os error 98); \
             another program has this port: end it, or choose another port\n"
        );
        assert_eq!((refused.code, refused.text), (1, expected));
    };
    told(reverse_proxy(&pki, NOWHERE), "proxy_listen", "PROXY_LISTEN");
    told(reverse_proxy(&pki, NOWHERE), "status_listen", "STATUS_LISTEN");
}

/// Everything the program writes about a certificate and a key given like this.
fn output(command: &str, environment: &[(&str, &str)]) -> Output {
    program()
        .args([command, "--log-level=trace"])
        .env("UPSTREAM_URL", "https://localhost")
        .env("MODE", "reverse-proxy")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_key_in_the_wrong_place_is_never_printed() {
    let pki = Pki::new();
    let (cert, key) = (pki.text("client.crt"), pki.text("client.key"));
    let body: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let packed = STANDARD.encode(&key);
    let broken = pki.write("broken.toml", format!("client_ssl_cert_key = '''{key}\nclient_ssl = on\n"));
    let unknown = pki.write("unknown.toml", format!("client_ssl_key = '''{key}'''\n"));
    let unpaired = format!("https://user:{body}@localhost");
    for environment in [
        [("CLIENT_SSL_CERT", key.as_str()), ("CLIENT_SSL_CERT_KEY", cert.as_str())],
        [("CLIENT_SSL_CERT", &body), ("CLIENT_SSL_CERT_KEY", &cert)],
        [("CLIENT_SSL_CERT", &cert), ("CLIENT_SSL_CERT_KEY", &body[1..])],
        [("CLIENT_SSL_CERT", &cert), ("CLIENT_SSL_CERT_KEY", &packed[..packed.len() - 3])],
        [("CLIENT_SSL_CERT", &cert), ("CLIENT_SSL_CERT_KEY_FILE", &body)],
        [("CLIENT_SSL_CERT", &cert), ("CLIENT_SSL_CERT_KEY_FILE", &key)],
        [("UPSTREAM_CA_CERTIFICATES", &body), ("MTLS_AUTH_CA_CERTIFICATES", &key)],
        [("UPSTREAM_URL", &unpaired), ("CLIENT_SSL", "off")],
        [("CONFIG", broken.to_str().unwrap()), ("CLIENT_SSL", "off")],
        [("CONFIG", unknown.to_str().unwrap()), ("CLIENT_SSL", "off")],
    ] {
        for command in ["check", "reverse-proxy"] {
            let output = output(command, &environment);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            let names = environment.map(|(name, _)| name);
            assert_eq!(output.status.code(), Some(2), "{names:?}: {said}");
            for secret in [&body[..24], &body[body.len() - 24..], &packed[..24]] {
                assert!(!said.contains(secret), "{names:?}: {said}");
            }
        }
    }
}

#[test]
fn a_key_in_its_right_place_is_never_printed_either() {
    let pki = Pki::new();
    let (cert, key) = (pki.text("client.crt"), pki.text("client.key"));
    let ca = pki.text("ca.crt");
    let pair =
        [("CLIENT_SSL_CERT", &*cert), ("CLIENT_SSL_CERT_KEY", &key), ("UPSTREAM_CA_CERTIFICATES", &ca)];
    let output = output("check", &pair);
    let page = String::from_utf8(output.stdout).unwrap();
    let shown = |key: &str| {
        let line = page.lines().find(|line| line.starts_with(&format!("{key} ")));
        line.unwrap().split_once(" = ").unwrap().1.split("  ").next().unwrap().to_owned()
    };
    assert_eq!((shown("client_ssl_cert"), shown("client_ssl_cert_key")), ("PEM text".into(), "***".into()));
    assert!(!page.contains("BEGIN"), "{page}");
}
