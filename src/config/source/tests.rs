//! Layers, files, environment variables and profiles, through [`load`].

use std::os::unix::ffi::OsStringExt;

use super::file::PROFILES;
use super::*;

/// The smallest configuration that starts: a reverse proxy without a certificate.
const PLAIN: [(&str, &str); 2] = [("CLIENT_SSL", "off"), ("UPSTREAM_URL", "https://gateway.example")];

fn layers(environment: &[(&str, &str)]) -> Layers {
    let pairs = PLAIN.iter().chain(environment);
    let environment = pairs.map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    Layers { mode: Some(Mode::ReverseProxy), environment, flags: Vec::new() }
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// The line `check` would print for a key.
fn effective(layers: &Layers, key: &str) -> String {
    let loaded = load(layers).unwrap_or_else(|problems| panic!("{problems}"));
    let said = loaded.effective.iter().find(|said| said.key() == key).unwrap();
    format!("{} ({})", said.shown(), said.origin())
}

fn refused(layers: &Layers) -> String {
    load(layers).expect_err("it should be refused").to_string()
}

#[test]
fn later_layers_win() {
    let file = written("retries = 4\nheaders = ['Via', 'Server']\naccess_log = false");
    let path = file.path().to_str().unwrap();
    let with = |more: &[(&str, &str)]| layers(&[&[("CONFIG", path)], more].concat());
    assert_eq!(effective(&layers(&[]), "retries"), "1 (default)");
    assert_eq!(effective(&layers(&[]), "proxy_listen"), "127.0.0.1:8000 (profile reverse-proxy)");
    assert_eq!(effective(&with(&[]), "retries"), format!("4 (file {path})"));
    assert_eq!(effective(&with(&[]), "headers"), format!("Via,Server (file {path})"));
    assert_eq!(effective(&with(&[]), "access_log"), format!("off (file {path})"));
    let kong = ("KONG_RETRIES", "5");
    assert_eq!(effective(&with(&[kong]), "retries"), "5 (environment KONG_RETRIES)");
    let both = with(&[("RETRIES", "6"), kong]);
    assert_eq!(effective(&both, "retries"), "6 (environment RETRIES)");
    let flags = vec![("retries".to_owned(), "7".to_owned())];
    assert_eq!(effective(&Layers { flags, ..both }, "retries"), "7 (flag --retries)");
}

#[test]
fn the_subcommand_beats_the_environment_beats_the_file() {
    let file = written("mode = 'gateway'");
    let environment = [("CONFIG", file.path().to_str().unwrap()), ("MODE", "Reverse-Proxy")];
    assert_eq!(effective(&layers(&environment), "mode"), "reverse-proxy (subcommand)");
    let without = Layers { mode: None, ..layers(&environment) };
    assert_eq!(effective(&without, "mode"), "Reverse-Proxy (environment MODE)");
    let mode = |mode, pairs: &[_]| refused(&Layers { mode, ..layers(pairs) });
    assert_eq!(
        mode(None, &[]),
        "mode: not set; run `mtls-bridge reverse-proxy` or `mtls-bridge gateway`, or set MODE"
    );
    assert_eq!(
        mode(None, &[("MODE", "proxy")]),
        "mode=proxy (environment MODE): not a known word; write reverse-proxy or gateway"
    );
    // What is wrong in either mode is told with it.
    let lines = mode(None, &[("WORKERS", "-3")]);
    assert!(lines.contains("workers=-3 (environment WORKERS): ") && lines.lines().count() == 2, "{lines}");
}

#[test]
fn profiles_lie_under_the_file_and_over_the_mode() {
    let development = layers(&[("PROFILE", "development, hardened")]);
    assert_eq!(effective(&development, "log_level"), "debug (profile development)");
    assert_eq!(effective(&development, "insecure"), "refuse (profile hardened)");
    let own = written("drain_timeout = 3");
    let path = own.path().to_str().unwrap();
    let flag = vec![("profile".to_owned(), format!("development,{path}"))];
    let flagged = Layers { flags: flag, ..development };
    assert_eq!(effective(&flagged, "drain_timeout"), format!("3 (file {path})"));
    assert_eq!(
        refused(&layers(&[("PROFILE", "hardend")])),
        "profile=hardend (environment PROFILE): `hardend` is not a profile; \
         write one of reverse-proxy, gateway, development, hardened, or the path of a TOML file"
    );
}

#[test]
fn every_built_in_profile_loads() {
    for (name, text) in PROFILES {
        let mut gathered = Gathered::default();
        file::profile(&Said::new("profile", name, Origin::DEFAULT), &mut gathered);
        assert_eq!(gathered.problems.to_string(), "", "{name}");
        assert!(gathered.said.len() >= 3, "{name} says only {:?}", gathered.said);
        assert!(text.starts_with("# "), "{name} has no introduction");
        let with_certificate = [("PROFILE", *name), ("SSL_CERT", "/c.pem"), ("SSL_CERT_KEY", "/c.key")];
        load(&layers(&with_certificate)).unwrap_or_else(|problems| panic!("{name}: {problems}"));
    }
}

#[test]
fn a_file_with_slips_is_refused_with_all_of_them() {
    let file = written("client_ssl_crt = '/secret'\nretries = 'many'\nworkers = {}\nadmin_listen = '[::]:1'");
    let path = file.path().display();
    let expected = format!(
        "admin_listen (file {path}): not supported by this version; write off, or remove it\n\
         client_ssl_crt (file {path}): no such setting; did you mean client_ssl_cert?\n\
         workers (file {path}): not a value; write a text, a number, a switch or a list of these\n\
         retries=many (file {path}): not a number in range; write a whole number from 0 to 32767"
    );
    assert_eq!(refused(&layers(&[("CONFIG", file.path().to_str().unwrap())])), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    assert_eq!(
        refused(&layers(&[("CONFIG", "/nowhere.toml")])),
        "config=/nowhere.toml (environment CONFIG): /nowhere.toml cannot be read: \
         No such file or directory (os error 2); name a TOML file that this user may read"
    );
    let broken = written("retries = 1\nretries = = 2\n");
    let line = refused(&layers(&[("CONFIG", broken.path().to_str().unwrap())]));
    let start = format!("line 2 (file {}): not TOML: ", broken.path().display());
    assert!(line.starts_with(&start) && !line.contains('\n'), "{line}");
}

#[test]
fn what_this_version_cannot_keep_is_refused_wherever_it_is_said() {
    for (variable, key, advice) in [
        (
            "MTLS_AUTH_ANONYMOUS",
            "mtls_auth_anonymous",
            "consumers are in a declarative file: write it in the mtls-auth plugin there",
        ),
        ("KONG_ADMIN_LISTEN", "admin_listen", "write off, or remove it"),
    ] {
        let expected = format!("{key} (environment {variable}): not supported by this version; {advice}");
        assert_eq!(refused(&layers(&[(variable, "x")])), expected);
    }
    let harmless = layers(&[("KONG_ADMIN_LISTEN", "off"), ("DECLARATIVE_CONFIG", "")]);
    assert!(load(&harmless).is_ok());
}

#[test]
fn a_value_can_be_in_a_file_of_its_own() {
    let secret = written("https://other.example\n");
    let path = secret.path().to_str().unwrap();
    let mut from_file = layers(&[("UPSTREAM_URL_FILE", path)]);
    from_file.environment.remove(1);
    let expected = "https://other.example (environment UPSTREAM_URL_FILE)";
    assert_eq!(effective(&from_file, "upstream_url"), expected);
    assert_eq!(
        refused(&layers(&[("UPSTREAM_URL_FILE", path)])),
        "upstream_url (environment UPSTREAM_URL_FILE): UPSTREAM_URL is set too; keep one of the two"
    );
    assert_eq!(
        refused(&layers(&[("CLIENT_SSL_CERT_KEY_FILE", "/run/secrets/nothing")])),
        "client_ssl_cert_key (environment CLIENT_SSL_CERT_KEY_FILE): /run/secrets/nothing cannot be read: \
         No such file or directory (os error 2); name a file that holds the value"
    );
    let key = "-----BEGIN PRIVATE KEY-----\nhidden\n-----END PRIVATE KEY-----";
    let line = refused(&layers(&[("CLIENT_SSL_CERT_KEY_FILE", key)]));
    assert!(line.contains("*** cannot be read") && !line.contains("hidden"), "{line}");
}

#[test]
fn openssls_variables_are_left_alone() {
    let image = layers(&[("SSL_CERT_FILE", "/etc/ssl/cert.pem"), ("SSL_CERT_DIR", "/etc/ssl/certs")]);
    let loaded = load(&image).unwrap();
    assert_eq!(loaded.warnings, [""; 0]);
    assert!(loaded.effective.iter().all(|said| said.key() != "ssl_cert"));
}

#[test]
fn kong_users_names_are_known() {
    let trust = |pairs: &[_]| effective(&layers(pairs), "upstream_ca_certificates");
    let lua = ("KONG_LUA_SSL_TRUSTED_CERTIFICATE", "/lua.pem");
    let nginx = ("KONG_NGINX_PROXY_PROXY_SSL_TRUSTED_CERTIFICATE", "/nginx.pem");
    let own = ("KONG_UPSTREAM_CA_CERTIFICATES", "/own.pem");
    assert_eq!(trust(&[lua]), "/lua.pem (environment KONG_LUA_SSL_TRUSTED_CERTIFICATE)");
    assert!(trust(&[nginx, lua]).starts_with("/nginx.pem"));
    assert!(trust(&[own, nginx, lua]).starts_with("/own.pem"));
    assert!(trust(&[("LUA_SSL_TRUSTED_CERTIFICATE", "/bare.pem"), own]).starts_with("/bare.pem"));
}

#[test]
fn empty_is_not_set_except_where_that_opens_a_door() {
    let loaded = load(&layers(&[("TRUSTED_PEERS", "")])).unwrap();
    assert_eq!(loaded.warnings, ["trusted_peers is empty (environment TRUSTED_PEERS) and counts as not set"]);
    let line = refused(&layers(&[("ACL_ALLOW", "")]));
    assert!(line.starts_with("acl_allow= (environment ACL_ALLOW): names no group; "), "{line}");
}

#[test]
fn what_is_not_utf8_is_refused_only_where_it_is_ours() {
    let mut binary = layers(&[]);
    binary.environment.push(("LS_COLORS".to_owned(), OsString::from_vec(vec![0xff])));
    assert!(load(&binary).is_ok());
    binary.environment.push(("WORKERS".to_owned(), OsString::from_vec(vec![0xff])));
    assert_eq!(refused(&binary), "workers (environment WORKERS): not UTF-8; write it in UTF-8");
}

#[test]
fn misspelt_variables_are_told_with_the_problems_they_cause() {
    let mut misspelt = layers(&[("UPSTREAM_URI", "https://gateway.example")]);
    misspelt.environment.remove(1);
    assert_eq!(
        refused(&misspelt),
        "upstream_url: not set, so there is nowhere to send requests; \
         set UPSTREAM_URL, for example to https://gateway.example:8443\n\
         warning: UPSTREAM_URI is not a setting and was ignored; did you mean UPSTREAM_URL?"
    );
}

#[test]
fn a_flag_that_is_no_setting_is_refused() {
    let flags = vec![("client_ssl_crt".to_owned(), "x".to_owned())];
    assert_eq!(
        refused(&Layers { flags, ..layers(&[]) }),
        "client_ssl_crt (flag --client-ssl-crt): no such setting; did you mean client_ssl_cert?"
    );
}
