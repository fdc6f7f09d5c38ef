//! Certificates and keys that `openssl` made: every kind of key, every form of it, and lists of CAs.

use crate::support::bridge::{Bridge, Setup};
use crate::support::client::{Answer, curl, curl_fails};
use crate::support::openssl::{Kind, OpensslPki};
use crate::support::peers::installed;
use crate::support::services::Echo;

/// A gateway that presents `server.chain` and trusts `cas`.
fn gateway(pki: &OpensslPki, echo: &Echo, cas: &str) -> Setup {
    Setup::new("gateway")
        .env("PROXY_LISTEN", "127.0.0.1:0 ssl http2")
        .env("UPSTREAM_URL", format!("http://{}", echo.address))
        .env("SSL_CERT", pki.path("server.chain"))
        .env("SSL_CERT_KEY", pki.path("server.key"))
        .env("MTLS_AUTH_CA_CERTIFICATES", pki.path(cas))
}

/// A reverse proxy that presents `client.chain`.
fn reverse_proxy(pki: &OpensslPki, gateway: &Bridge) -> Setup {
    Setup::new("reverse-proxy")
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("UPSTREAM_URL", gateway.https())
        .env("UPSTREAM_CA_CERTIFICATES", pki.path("ca.crt"))
        .env("CLIENT_SSL_CERT", pki.path("client.chain"))
        .env("CLIENT_SSL_CERT_KEY", pki.path("client.key"))
}

/// curl to the gateway with this certificate file and this key.
fn curl_as(pki: &OpensslPki, gateway: &Bridge, certificate: &str, key: &str) -> Answer {
    curl_more(pki, gateway, certificate, key, &[])
}

fn curl_more(pki: &OpensslPki, gateway: &Bridge, certificate: &str, key: &str, more: &[&str]) -> Answer {
    let [ca, certificate, key] =
        ["ca.crt", certificate, key].map(|name| pki.path(name).display().to_string());
    let usual = ["--cacert", &ca, "--cert", &certificate, "--key", &key, &gateway.https()];
    curl(&[more, &usual].concat())
}

fn the_reason(gateway: &Bridge) -> String {
    gateway.access_line("/")["reason"].as_str().unwrap_or_default().to_owned()
}

/// Both nodes with a PKI of this kind, an intermediate on either side and the root as trust.
fn check_chain_of(kind: Kind) {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(kind), Echo::start());
    let gateway = gateway(&pki, &echo, "ca.crt").start();
    let reverse_proxy = reverse_proxy(&pki, &gateway).start_ready();
    let answer = curl(&[&format!("{}/", reverse_proxy.http())]);
    assert_eq!((answer.status, answer.received("x-client-cert-dn")), (200, vec!["CN=app".to_owned()]));
    let told = pki.run(&["x509", "-in", "client.crt", "-noout", "-fingerprint", "-sha256"]);
    let fingerprint = told.trim().split_once('=').unwrap().1.replace(':', "").to_lowercase();
    assert_eq!(gateway.access_line("/")["fingerprint"], fingerprint.as_str());
}

#[test]
fn a_pki_of_rsa_keys_with_2048_bits_carries_the_link() {
    check_chain_of(Kind::RSA_2048);
}

#[test]
fn a_pki_of_rsa_keys_with_4096_bits_carries_the_link() {
    check_chain_of(Kind::RSA_4096);
}

#[test]
fn a_pki_of_p256_keys_carries_the_link() {
    check_chain_of(Kind::P256);
}

#[test]
fn a_pki_of_p384_keys_carries_the_link() {
    check_chain_of(Kind::P384);
}

#[test]
fn a_pki_of_ed25519_keys_carries_the_link() {
    check_chain_of(Kind::ED25519);
}

/// The keys of both nodes rewritten by an openssl command, and the link with them.
fn check_key_form(kind: Kind, command: &[&str], label: &str) {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(kind), Echo::start());
    for (from, to) in [("server.key", "server.other"), ("client.key", "client.other")] {
        pki.run(&[command, &["-in", from, "-out", to]].concat());
        assert!(pki.text(to).starts_with(&format!("-----BEGIN {label}-----\n")), "{}", pki.text(to));
    }
    let gateway = gateway(&pki, &echo, "ca.crt").env("SSL_CERT_KEY", pki.path("server.other")).start();
    let reverse_proxy =
        reverse_proxy(&pki, &gateway).env("CLIENT_SSL_CERT_KEY", pki.path("client.other")).start_ready();
    assert_eq!(curl(&[&reverse_proxy.http()]).status, 200);
}

#[test]
fn rsa_keys_are_read_as_pkcs1() {
    check_key_form(Kind::RSA_2048, &["rsa", "-traditional"], "RSA PRIVATE KEY");
}

#[test]
fn rsa_keys_are_read_as_pkcs8() {
    check_key_form(Kind::RSA_2048, &["pkcs8", "-topk8", "-nocrypt"], "PRIVATE KEY");
}

#[test]
fn p256_keys_are_read_as_sec1() {
    check_key_form(Kind::P256, &["ec"], "EC PRIVATE KEY");
}

#[test]
fn p384_keys_are_read_as_sec1() {
    check_key_form(Kind::P384, &["ec"], "EC PRIVATE KEY");
}

#[test]
fn ec_keys_are_read_as_pkcs8() {
    check_key_form(Kind::P384, &["pkcs8", "-topk8", "-nocrypt"], "PRIVATE KEY");
}

#[test]
fn ed25519_keys_are_read_as_pkcs8() {
    check_key_form(Kind::ED25519, &["pkcs8", "-topk8", "-nocrypt"], "PRIVATE KEY");
}

#[test]
fn an_ec_key_behind_its_parameters_is_read() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    // As `openssl ecparam -genkey` writes keys.
    pki.write("parameters", pki.run(&["ecparam", "-name", "prime256v1"]));
    pki.run(&["ec", "-in", "server.key", "-out", "sec1"]);
    let key = pki.join("server.key", &["parameters", "sec1"]);
    assert!(pki.text("server.key").starts_with("-----BEGIN EC PARAMETERS-----"), "{}", key.display());
    let gateway = gateway(&pki, &echo, "ca.crt").start();
    assert_eq!(curl_as(&pki, &gateway, "client.chain", "client.key").status, 200);
}

#[test]
fn a_key_with_a_passphrase_stops_the_start_in_either_form() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::RSA_2048), Echo::start());
    let passphrase = ["-aes256", "-passout", "pass:secret", "-in", "server.key", "-out", "locked.key"];
    for form in [&["rsa"][..], &["rsa", "-traditional"]] {
        pki.run(&[form, &passphrase].concat());
        let refused = gateway(&pki, &echo, "ca.crt").env("SSL_CERT_KEY", pki.path("locked.key")).refused();
        assert_eq!(refused.code, 2);
        let expected = "its private key is encrypted with a passphrase, which is not supported";
        assert!(refused.text.contains(expected) && refused.text.contains("SSL_CERT_KEY"), "{}", refused.text);
    }
}

#[test]
fn text_that_openssl_writes_before_a_certificate_is_passed_over() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    for name in ["ca.crt", "server.crt"] {
        pki.run(&["x509", "-text", "-in", name, "-out", name]);
        assert!(pki.text(name).starts_with("Certificate:\n"));
    }
    pki.join("server.chain", &["server.crt", "intermediate.crt"]);
    let gateway = gateway(&pki, &echo, "ca.crt").start();
    assert_eq!(curl_as(&pki, &gateway, "client.chain", "client.key").status, 200);
}

#[test]
fn a_leaf_alone_does_not_lead_to_a_root_two_steps_away() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    let gateway = gateway(&pki, &echo, "ca.crt").start();
    assert_eq!(curl_as(&pki, &gateway, "client.crt", "client.key").status, 401);
    let expected = "the certificate of CN=app was issued by CN=Third Party Issuing CA,O=Third Party, which \
                    does not lead to any CA in mtls-auth's list";
    assert_eq!(the_reason(&gateway), expected);
}

#[test]
fn an_intermediate_listed_beside_its_root_completes_the_chain_of_a_leaf() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    for parts in [["ca.crt", "intermediate.crt"], ["intermediate.crt", "ca.crt"]] {
        pki.join("bundle.crt", &parts);
        let gateway = gateway(&pki, &echo, "bundle.crt").start();
        assert_eq!(curl_as(&pki, &gateway, "client.crt", "client.key").status, 200, "{parts:?}");
    }
}

#[test]
fn an_intermediate_alone_is_no_anchor_unless_partial_chains_are_allowed() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    let refused = gateway(&pki, &echo, "intermediate.crt").refused();
    assert_eq!(refused.code, 2);
    assert!(refused.text.contains("mtls_auth_ca_certificates"), "{}", refused.text);
    assert!(refused.text.contains("none of them is a root (issued by itself)"), "{}", refused.text);
    let partial = gateway(&pki, &echo, "intermediate.crt").env("MTLS_AUTH_ALLOW_PARTIAL_CHAIN", "on").start();
    for certificate in ["client.crt", "client.chain"] {
        assert_eq!(curl_as(&pki, &partial, certificate, "client.key").status, 200, "{certificate}");
    }
}

#[test]
fn a_partial_chain_lets_in_nobody_from_beside_the_listed_intermediate() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    pki.issue("sibling", "ca", "intermediate", "/CN=Sibling CA");
    pki.issue("cousin", "sibling", "client", "/CN=cousin");
    pki.join("cousin.chain", &["cousin.crt", "sibling.crt"]);
    let gateway = gateway(&pki, &echo, "intermediate.crt").env("MTLS_AUTH_ALLOW_PARTIAL_CHAIN", "on").start();
    assert_eq!(curl_as(&pki, &gateway, "cousin.chain", "cousin.key").status, 401);
    let expected = "the certificate of CN=cousin was issued by CN=Sibling CA, which does not lead to any CA in mtls-auth's list";
    assert_eq!(the_reason(&gateway), expected);
}

#[test]
fn the_service_reads_the_subject_as_openssl_prints_it() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    let gateway = gateway(&pki, &echo, "ca.crt").start();
    for (at, subject) in [
        "/C=CA/ST=ON/L=Toronto/O=Kong/OU=Gateway/CN=KongSDET/emailAddress=kong@konghq.com",
        "/C=SE/O=Åkeri \"Nord\", \\/ \\\\ AB/CN=a\\+b=c;d<e>f#g",
        "/DC=com/DC=example/UID=robot/CN= #7 of 9",
        "/C=SE/CN=a+OU=b+serialNumber=12",
        "/C=SE/street=Storgatan 1/postalCode=123 45/title=Dr/GN=Eva/SN=Öst/initials=E/dnQualifier=x/CN=日本",
        "/plant=seven/CN=#hash/organizationIdentifier=NTRSE-1/businessCategory=Private Organization",
        "/OU=one/OU=two/CN=first/CN=second",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("subject{at}");
        pki.leaf(&name, "client", subject);
        let certificate = format!("{name}.crt");
        let printed = pki.run(&["x509", "-in", &certificate, "-noout", "-subject", "-nameopt", "RFC2253"]);
        let expected = printed.strip_prefix("subject=").unwrap().trim_end_matches('\n');
        let answer = curl_as(&pki, &gateway, &format!("{name}.chain"), &format!("{name}.key"));
        assert_eq!(answer.status, 200, "{subject}");
        assert_eq!(answer.received("x-client-cert-dn"), [expected], "{subject}");
    }
}

#[test]
fn a_gateway_with_rsa_and_ecdsa_certificates_shows_each_client_one_it_can_verify() {
    if !installed("openssl") {
        return;
    }
    let (rsa, ecdsa, echo) =
        (OpensslPki::with_leaves(Kind::RSA_2048), OpensslPki::with_leaves(Kind::P256), Echo::start());
    let list = |name: &str| format!("{},{}", rsa.path(name).display(), ecdsa.path(name).display());
    let gateway = gateway(&rsa, &echo, "ca.crt")
        .env("SSL_CERT", list("server.chain"))
        .env("SSL_CERT_KEY", list("server.key"))
        .start();
    let address = gateway.address.to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        for (pki, algorithms, kind) in
            [(&rsa, "RSA-PSS+SHA256", "RSA-PSS"), (&ecdsa, "ECDSA+SHA256", "ECDSA")]
        {
            let asked = ["s_client", "-connect", &address, "-servername", "localhost", version];
            let verified = ["-CAfile", "ca.crt", "-verify_return_error", "-sigalgs", algorithms];
            let said = pki.run(&[&asked[..], &verified].concat());
            assert!(said.contains(&format!("Peer signature type: {kind}\n")), "{version}: {said}");
        }
    }
}

#[test]
fn a_version_1_certificate_is_refused_and_the_log_says_how_to_issue_a_better_one() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    // What `openssl x509 -req` makes when nobody gives it extensions.
    pki.issue_version_1("plain", "ca", "/CN=plain");
    let expected = "the certificate of CN=plain is of X.509 version 1, which cannot say \
                    what it is for; issue it again with extensions (openssl x509 -req -extfile …)";
    for newest in ["1.2", "1.3"] {
        let gateway = gateway(&pki, &echo, "ca.crt").start();
        let answer = curl_more(&pki, &gateway, "plain.crt", "plain.key", &["--tls-max", newest]);
        let message = &answer.json()["message"];
        assert_eq!((answer.status, message), (401, &"TLS certificate failed verification".into()));
        assert_eq!(the_reason(&gateway), expected);
    }
    let gateway = gateway(&pki, &echo, "ca.crt").env("MTLS_AUTH_HANDSHAKE", "require").start();
    let [ca, certificate, key] =
        ["ca.crt", "plain.crt", "plain.key"].map(|name| pki.path(name).display().to_string());
    curl_fails(&["--cacert", &ca, "--cert", &certificate, "--key", &key, &gateway.https()]);
    gateway.log.containing(expected);
}
