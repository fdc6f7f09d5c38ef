//! A private key never gets into any output, whatever became of its text and wherever it is given; and what
//! the user meant is read.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mtls_bridge::config::{DeclarativeSource, Layers, Mode, Origin, Said, load};
use mtls_bridge::snapshot::Snapshot;
use proptest::prelude::*;
use proptest::sample::select;
use rustls::pki_types::UnixTime;
use tempfile::TempDir;

use crate::support::bridge::{gateway, program, reverse_proxy};
use crate::support::client::curl;
use crate::support::pki::Pki;
use crate::support::services::Echo;

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

static PKI: LazyLock<Pki> = LazyLock::new(Pki::new);
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// Keys in the forms that people have, each with the characters that must not be seen.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let pkcs8 = PKI.text("client.key");
    let made = |args: &[&str]| {
        let output = std::process::Command::new("openssl").args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let path = PKI.path("client.key");
    let path = path.to_str().unwrap();
    let sec1 = made(&["ec", "-in", path]);
    let rsa = made(&["genrsa", "-traditional", "2048"]);
    let ed25519 = made(&["genpkey", "-algorithm", "ed25519"]);
    vec![pkcs8, sec1, rsa, ed25519]
});

/// The base64 of a key, which is the same for all that could have been done to its line breaks.
fn secret(key: &str) -> String {
    key.lines().filter(|line| !line.starts_with('-')).collect()
}

/// Panics if 12 characters of the key's base64 stand in what was printed, or of the base64 of its text.
#[track_caller]
fn says_nothing(printed: &str, key: &str, given: &str) {
    let shown: String = printed.split_whitespace().collect();
    for secret in [secret(key), STANDARD.encode(key), STANDARD.encode(secret(key))] {
        let pieces = secret.as_bytes().windows(12).map(|piece| std::str::from_utf8(piece).unwrap());
        // The algorithm's name and the like are the same in all keys of a kind.
        if let Some(piece) = pieces.clone().find(|piece| shown.contains(piece)) {
            panic!("{piece:?} of {given:?} in\n{printed}");
        }
    }
}

/// What may become of a text on its way.
fn changed(text: &str, how: usize, at: usize) -> String {
    let place = at % text.len();
    let body = secret(text);
    match how {
        0 => text.replace('\n', "\\n"),
        1 => text.replace('\n', "\\r\\n"),
        2 => text.replace('\n', " "),
        3 => text.replace('\n', "\t"),
        4 => text.replace('\n', ","),
        5 => text.replace('\n', ""),
        6 => text.split_whitespace().collect(),
        7 => text.replace('\n', "\r\n"),
        8 => text.replace('\n', "\r"),
        9 => text.replace("-----", "----"),
        10 => text.replace("-----", "\u{2014}"),
        11 => text.replace("PRIVATE KEY", "PRIVAT KEY"),
        12 => text.replace("BEGIN", "begin"),
        13 => text.replace("BEGIN ", ""),
        14 => text.replace("-----", ""),
        15 => text[..place].to_owned(),
        16 => text[place..].to_owned(),
        17 => body[..at % body.len()].to_owned(),
        18 => body[at % body.len()..].to_owned(),
        19 => format!("{text}{text}"),
        20 => format!("{}{}", text.trim_end(), text),
        21 => format!("\"{text}\""),
        22 => format!("'{}'", text.replace('\n', "\\n")),
        23 => format!("{{\"key\": {}}}", serde_json::to_string(text).unwrap()),
        24 => format!("key: |\n  {}", text.replace('\n', "\n  ")),
        25 => STANDARD.encode(text),
        26 => STANDARD.encode(STANDARD.encode(text)),
        27 => body,
        28 => format!("\u{feff}{text}"),
        29 => format!("{{vault://env/{body}}}"),
        30 => format!("{}.{}", &text[..place], &text[place..]),
        31 => format!("{}\n\n{}", &text[..place], &text[place..]),
        32 => format!("#{}", text.replace('\n', "\n#")),
        33 => text.replace("PRIVATE KEY", "CERTIFICATE"),
        34 => format!("{}\u{e9}{}", &text[..place], &text[place..]),
        35 => format!("/{body}"),
        36 => format!("/run/secrets/{body}.key"),
        37 => text.replace("-----END", ""),
        38 => text.replace('\n', "\n-----BEGIN "),
        39 => text.lines().rev().collect::<Vec<_>>().join("\n"),
        40 => text.replace(['\n', '+', '/'], "."),
        41 => text.replace('\n', ":\n"),
        42 => STANDARD
            .encode(text)
            .as_bytes()
            .chunks(76)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect::<Vec<_>>()
            .join(","),
        43 => format!("https://user:{body}@host/"),
        _ => text.to_owned(),
    }
}

const CHANGES: usize = 45;

/// Everything that starting with these settings would print: problems, warnings and values.
fn told(mode: Mode, environment: Vec<(String, String)>, flags: Vec<(String, String)>) -> String {
    let environment = environment.into_iter().map(|(name, value)| (name, value.into())).collect();
    match load(&Layers { mode: Some(mode), environment, flags }) {
        Err(problems) => format!("{problems}\n{problems:?}"),
        Ok(loaded) => {
            let page = mtls_bridge::cli::check::render(&loaded, &[], &[]);
            let snapshot = Snapshot::load(&loaded.config, UnixTime::now());
            let rest =
                snapshot.map_or_else(|problems| problems.to_string(), |it| format!("{:?}", it.cautions));
            format!("{page}\n{rest}\n{:?}", loaded.effective)
        }
    }
}

const SETTINGS: [(&str, Mode); 12] = [
    ("CLIENT_SSL_CERT_KEY", Mode::ReverseProxy),
    ("CLIENT_SSL_CERT", Mode::ReverseProxy),
    ("UPSTREAM_CA_CERTIFICATES", Mode::ReverseProxy),
    ("KONG_CLIENT_SSL_CERT_KEY", Mode::ReverseProxy),
    ("KONG_LUA_SSL_TRUSTED_CERTIFICATE", Mode::ReverseProxy),
    ("SSL_CERT_KEY", Mode::Gateway),
    ("SSL_CERT", Mode::Gateway),
    ("KONG_SSL_CERT_KEY", Mode::Gateway),
    ("MTLS_AUTH_CA_CERTIFICATES", Mode::Gateway),
    ("MTLS_AUTH_CRL_FILES", Mode::Gateway),
    ("UPSTREAM_URL", Mode::Gateway),
    ("CLIENT_SSL", Mode::ReverseProxy),
];

/// The settings of a node of this mode that works.
fn usual(mode: Mode) -> Vec<(String, String)> {
    let path = |name: &str| PKI.path(name).to_str().unwrap().to_owned();
    let named = match mode {
        Mode::ReverseProxy => vec![
            ("CLIENT_SSL_CERT", path("client.crt")),
            ("CLIENT_SSL_CERT_KEY", path("client.key")),
            ("UPSTREAM_CA_CERTIFICATES", path("ca.crt")),
            ("UPSTREAM_URL", "https://localhost:9".to_owned()),
        ],
        Mode::Gateway => vec![
            ("SSL_CERT", path("server.crt")),
            ("SSL_CERT_KEY", path("server.key")),
            ("MTLS_AUTH_CA_CERTIFICATES", path("ca.crt")),
            ("UPSTREAM_URL", "http://localhost:9".to_owned()),
        ],
    };
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn with(mode: Mode, name: &str, value: &str) -> Vec<(String, String)> {
    let key = name.trim_end_matches("_FILE").trim_start_matches("KONG_");
    let key = if key == "LUA_SSL_TRUSTED_CERTIFICATE" { "UPSTREAM_CA_CERTIFICATES" } else { key };
    let mut environment = usual(mode);
    environment.retain(|(name, _)| name != key);
    environment.push((name.to_owned(), value.to_owned()));
    environment
}

fn written(name: &str, text: impl AsRef<[u8]>) -> String {
    let path = FOLDER.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A kong.yml with this where the key belongs, or the certificate, in one of the ways YAML has.
fn kong_yml(given: &str, way: usize) -> String {
    let value = match way % 4 {
        0 => serde_json::to_string(given).unwrap(),
        1 => format!("|\n    {}", given.replace('\n', "\n    ")),
        2 => given.to_owned(),
        _ => format!(">\n  {given}"),
    };
    let (name, other) = if way < 4 { ("key", "cert") } else { ("cert", "key") };
    format!("_format_version: \"3.0\"\ncertificates:\n- {other}: x\n  {name}: {value}\n")
}

fn declared(text: &str) -> String {
    let source = DeclarativeSource::Text(Said::new("declarative_config_string", text, Origin::DEFAULT));
    match mtls_bridge::config::declarative::read(&source) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_piece_of_a_key_is_told_in_process(
        key in 0..4_usize, how in 0..CHANGES, then in 0..CHANGES, twice: bool, at: usize,
        (name, mode) in select(&SETTINGS[..]), way in 0..8_usize, thread in any::<u64>()
    ) {
        let key = &KEYS[key];
        let mut given = changed(key, how, at);
        if twice && !given.is_empty() && given.is_ascii() {
            given = changed(&given, [0, 2, 4, 5, 15, 21, 25][then % 7], at / 7);
        }
        says_nothing(&told(mode, with(mode, name, &given), Vec::new()), key, &given);
        let setting = name.trim_start_matches("KONG_").to_lowercase();
        let flags = vec![(setting.clone(), given.clone())];
        says_nothing(&told(mode, usual(mode), flags), key, &given);
        let path = written(&format!("{thread}.pem"), &given);
        says_nothing(&told(mode, with(mode, name, &path), Vec::new()), key, &given);
        says_nothing(&told(mode, with(mode, &format!("{name}_FILE"), &path), Vec::new()), key, &given);
        says_nothing(&told(mode, with(mode, &format!("{name}_FILE"), &given), Vec::new()), key, &given);
        fs::remove_file(&path).unwrap();
        // TOML with the key in it, well quoted and not.
        for value in [serde_json::to_string(&given).unwrap(), format!("\"{given}\""), given.clone(), format!("'''{given}")] {
            let path = written(&format!("{thread}.toml"), format!("retries = 1\n{setting} = {value}\n"));
            let mut environment = usual(mode);
            environment.push(("CONFIG".to_owned(), path.clone()));
            environment.retain(|(name, _)| !name.ends_with(&setting.to_uppercase()));
            says_nothing(&told(mode, environment, Vec::new()), key, &given);
            fs::remove_file(&path).unwrap();
        }
        for name in ["CONFIG", "PROFILE", "DECLARATIVE_CONFIG", "DECLARATIVE_CONFIG_STRING"] {
            let mut environment = usual(mode);
            environment.push((name.to_owned(), given.clone()));
            says_nothing(&told(mode, environment, Vec::new()), key, &given);
        }
        says_nothing(&declared(&kong_yml(&given, way)), key, &given);
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: tls, namespace: default, labels: {{konghq.com/ca-cert: \"true\"}}}}\n\
             data:\n  id: {}\n  cert: {}\nstringData:\n  cert: {}\n",
            STANDARD.encode(&given), STANDARD.encode(&given), kong_yml(&given, way).split_once("key: ").map_or("x", |(_, value)| value)
        );
        says_nothing(&declared(&secret), key, &given);
    }
}

#[test]
fn no_piece_of_a_key_is_printed_by_the_program() {
    for (index, key) in KEYS.iter().enumerate() {
        // Each change once, with one of the keys; the rest is done in process.
        for how in (index * 3..CHANGES).step_by(KEYS.len() * 3) {
            let given = changed(key, how, 97 + how);
            let file = written("printed.key", &given);
            let setting = |args: &[&str], name: &str, value: &str| {
                let output = program()
                    .args(args)
                    .envs(usual(Mode::ReverseProxy))
                    .env("PROXY_LISTEN", "256.0.0.1:0")
                    .env(name, value)
                    .output()
                    .unwrap();
                says_nothing(&String::from_utf8_lossy(&output.stderr), key, &given);
                says_nothing(&String::from_utf8_lossy(&output.stdout), key, &given);
            };
            setting(&["check", "reverse-proxy"], "CLIENT_SSL_CERT_KEY", &given);
            setting(&["reverse-proxy"], "CLIENT_SSL_CERT_KEY", &given);
            setting(&["reverse-proxy"], "CLIENT_SSL_CERT_KEY", &file);
            setting(&["check", "reverse-proxy", "--client-ssl-cert-key", &given], "RETRIES", "1");
            setting(&["check", "reverse-proxy", "--retries", &given], "RETRIES", "1");
            setting(&["check", &given], "RETRIES", "1");
            setting(&["reverse-proxy", "--", &given], "RETRIES", "1");
            setting(&[&given], "RETRIES", "1");
            setting(
                &["pki", "issue", "--name", "x", "--client", "--ca", &file, "--out", "/x"],
                "RETRIES",
                "1",
            );
        }
    }
}

#[test]
fn a_key_that_is_damaged_while_the_program_runs_is_not_logged() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let bridge = reverse_proxy(&pki, gateway.address).start_ready();
    let key = pki.text("client.key");
    pki.write("client.key", key.replace("-----END", "----END").replace('\n', "\\n"));
    let told = bridge.log.containing("stay in force");
    says_nothing(&told, &key, "a damaged file");
    assert!(told.contains("its PEM is damaged: block 1 (line 1) has a damaged boundary"), "{told}");
}

#[test]
fn a_key_without_its_line_breaks_works() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address)
        .env("SSL_CERT_KEY", pki.text("server.key").replace('\n', "\\n"))
        .env("MTLS_AUTH_CA_CERTIFICATES", pki.text("ca.crt").replace('\n', ","))
        .start();
    let bridge = reverse_proxy(&pki, gateway.address)
        .env("CLIENT_SSL_CERT", pki.text("client.crt").replace('\n', " "))
        .env("CLIENT_SSL_CERT_KEY", pki.text("client.key").split_whitespace().collect::<String>())
        .env("UPSTREAM_CA_CERTIFICATES", STANDARD.encode(pki.text("ca.crt").replace('\n', "\\n")))
        .start_ready();
    assert_eq!(curl(&[&bridge.http()]).received("x-client-cert-dn"), ["CN=app"]);
}

/// Every line of the reference to a vault and of a path in quotes.
#[test]
fn a_vault_and_a_quoted_path_have_sentences_of_their_own() {
    let pki = Pki::new();
    let line = |value: String| {
        reverse_proxy(&pki, NOWHERE).env("CLIENT_SSL_CERT_KEY", value).refused().line().to_owned()
    };
    let vault = line("{vault://env/client-key}".into());
    assert!(vault.contains("it is a reference to a vault"), "{vault}");
    let quoted = line(format!("'{}'", PathBuf::from("/run/client.key").display()));
    assert!(quoted.contains("the quotes are a part of it; write it without quotes"), "{quoted}");
}
