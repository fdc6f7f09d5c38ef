//! `check --pair` about chains: what is missing, what is for something else, and who did not sign what.

use mtls_bridge::pki::{Authority, Leaf};

use crate::support::openssl::{Kind, OpensslPki};
use crate::support::pairs::{FAR_ENV, Made, NEAR_ENV};

#[test]
fn a_missing_intermediate_is_named_with_the_setting_to_append_it_to() {
    let openssl = OpensslPki::with_leaves(Kind::P256);
    let made = Made::new()
        .write("reverse-proxy/certs/ca.crt", &openssl.text("ca.crt"))
        .write("gateway/certs/server.crt", &openssl.text("server.crt"))
        .write("gateway/certs/server.key", &openssl.text("server.key"))
        .edit(NEAR_ENV, "CLIENT_SSL_CERT=", "UPSTREAM_TLS_SERVER_NAME=localhost\nCLIENT_SSL_CERT=");
    let issuer = "CN=Third Party Issuing CA,O=Third Party";
    let expected = format!(
        "gateway: ssl_cert=gateway/certs/server.crt (environment SSL_CERT): the certificate (CN=gateway) was issued by \
         {issuer}, which it does not bring along"
    );
    let unsure = "; append the certificate of CN=Third Party Issuing CA,O=Third Party to ssl_cert if it is an intermediate";
    let findings = made.found();
    assert!(
        findings.len() == 1 && findings[0].starts_with(&expected) && findings[0].contains(unsure),
        "{findings:?}"
    );
    // Where the intermediate lies about, it is certain.
    let made = made.write("gateway/certs/intermediate.crt", &openssl.text("intermediate.crt"));
    assert_eq!(made.found(), [format!("{expected}; append the certificate of {issuer} to ssl_cert")]);
    let made = made.write("gateway/certs/server.crt", &openssl.text("server.chain"));
    assert_eq!(made.found(), [""; 0]);

    // The other way round.
    let made = Made::new()
        .write("gateway/certs/ca.crt", &openssl.text("ca.crt"))
        .write("reverse-proxy/certs/client.crt", &openssl.text("client.crt"))
        .write("reverse-proxy/certs/client.key", &openssl.text("client.key"))
        .edit(FAR_ENV, "=orders-app", "=app");
    let findings = made.found();
    let expected = "reverse-proxy: client_ssl_cert=reverse-proxy/certs/client.crt (environment CLIENT_SSL_CERT): the certificate (CN=app) was issued by";
    assert!(findings.len() == 1 && findings[0].starts_with(expected), "{findings:?}");
}

#[test]
fn a_certificate_for_another_purpose_or_for_any_is_called_that() {
    let openssl = OpensslPki::new(Kind::P256);
    let any = "\n[any]\nbasicConstraints = CA:FALSE\nextendedKeyUsage = anyExtendedKeyUsage\nsubjectAltName = DNS:gateway.example\n";
    openssl.write("openssl.cnf", openssl.text("openssl.cnf") + any);
    openssl.issue("any", "ca", "any", "/CN=orders-app");
    let [ca, crt, key] = ["ca.crt", "any.crt", "any.key"].map(|name| openssl.text(name));
    let made = Made::new()
        .write("gateway/certs/ca.crt", &ca)
        .write("reverse-proxy/certs/client.crt", &crt)
        .write("reverse-proxy/certs/client.key", &key);
    let told = |made: &Made, key: &str, what: &str| {
        let findings = made.found();
        assert!(findings.iter().any(|line| line.contains(key) && line.contains(what)), "{findings:?}");
        assert!(!findings.iter().any(|line| line.contains("did not sign")), "{findings:?}");
    };
    told(&made, "client_ssl_cert=", "anyExtendedKeyUsage");
    let made = Made::new()
        .write("reverse-proxy/certs/ca.crt", &ca)
        .write("gateway/certs/server.crt", &crt)
        .write("gateway/certs/server.key", &key);
    told(&made, "ssl_cert=", "anyExtendedKeyUsage");
    let made = Made::new();
    let (server, client) = (Leaf::server(&["gateway.example"]).unwrap(), Leaf::client("gateway.example"));
    let [server, client] = [server, client].map(|leaf| made.authority().issue(&leaf).unwrap());
    let made = made.present("reverse-proxy/certs/client", &server);
    told(&made, "client_ssl_cert=", "clientAuth");
    let made = Made::new();
    let made = made.present("gateway/certs/server", &client);
    told(&made, "ssl_cert=", "serverAuth");
}

#[test]
fn a_foreign_ca_is_not_taken_for_a_missing_intermediate() {
    let stranger = Authority::new("Another CA").unwrap().certificate_pem();
    let finding = Made::new().write("gateway/certs/ca.crt", &stranger).finding();
    assert!(finding.contains("this did not sign the certificate of reverse-proxy"), "{finding}");
}
