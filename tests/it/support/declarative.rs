//! A gateway with a declarative file of `tests/data`, its `{{words}}` filled in.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::bridge::Setup;
use super::pki::Pki;

/// Fills `{{name.crt}}` and `{{name.key}}` from `pki`'s folder, as a quoted string, and everything else
/// from `values`; the file is written into that folder.
pub fn filled(pki: &Pki, file: &str, values: &[(&str, String)]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let text = fs::read_to_string(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    pki.write(source.file_name().unwrap().to_str().unwrap(), fill(pki, &text, values))
}

/// A declarative file of this text, filled in the same way.
pub fn written(pki: &Pki, text: &str, values: &[(&str, String)]) -> PathBuf {
    pki.write("kong.yaml", fill(pki, text, values))
}

/// A gateway with this text as its declarative file, everything in front of `echo`.
pub fn declaring(pki: &Pki, address: SocketAddr, text: &str) -> Setup {
    let text = format!("_format_version: \"3.0\"\n{CA}{text}");
    declared(pki, &written(pki, &text, &service(address)))
}

/// The test's CA, under the id [`CA_ID`].
const CA: &str = "ca_certificates:\n- {id: 11111111-1111-4111-8111-111111111111, cert: {{ca.crt}}}\n";

/// What plugins call the test's CA.
pub const CA_ID: &str = "11111111-1111-4111-8111-111111111111";

fn fill(pki: &Pki, text: &str, values: &[(&str, String)]) -> String {
    let mut parts = text.split("{{");
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (word, rest) = part.split_once("}}").unwrap();
        let value = values.iter().find(|(name, _)| *name == word).map(|(_, value)| value.clone());
        // JSON's quoted strings are YAML's.
        filled += &value.unwrap_or_else(|| serde_json::to_string(&pki.text(word)).unwrap());
        filled += rest;
    }
    filled
}

/// What a file of `tests/data` says of the service.
pub fn service(address: SocketAddr) -> [(&'static str, String); 3] {
    [
        ("service", address.to_string()),
        ("service-host", address.ip().to_string()),
        ("service-port", address.port().to_string()),
    ]
}

/// A gateway on a free port with this declarative file and `pki`'s server certificate.
pub fn declared(pki: &Pki, file: &Path) -> Setup {
    Setup::new("gateway")
        .env("PROXY_LISTEN", "127.0.0.1:0 ssl http2")
        .env("SSL_CERT", pki.path("server.crt"))
        .env("SSL_CERT_KEY", pki.path("server.key"))
        .env("DECLARATIVE_CONFIG", file)
}
