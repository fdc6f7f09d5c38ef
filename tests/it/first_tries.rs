//! Certificates as everybody makes them first, with one command of openssl: self-signed, of X.509 version 1,
//! with a key usage that somebody copied; and clients that know one kind of key.

use std::process::{Command, Stdio};

use crate::support::bridge::{Bridge, Setup};
use crate::support::client::{Answer, curl};
use crate::support::openssl::{Kind, OpensslPki};
use crate::support::peers::{free_address, installed, nginx};
use crate::support::services::Echo;

/// `NAME.crt` and `NAME.key`: `openssl req -x509` with nothing said but names, and these arguments.
fn self_signed(pki: &OpensslPki, name: &str, more: &[&str]) {
    let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
    let subject = format!("/CN={name}");
    let asked = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let named = ["-keyout", &key, "-out", &certificate, "-subj", &subject, "-days", "2"];
    pki.run(&[&asked[..], &named, &["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], more].concat());
    let text = pki.run(&["x509", "-in", &certificate, "-noout", "-text"]);
    assert!(text.contains("CA:TRUE"), "{text}");
}

/// A gateway that shows `own` and trusts `cas`.
fn gateway(pki: &OpensslPki, echo: &Echo, own: &str, cas: &str) -> Setup {
    Setup::new("gateway")
        .env("PROXY_LISTEN", "127.0.0.1:0 ssl http2")
        .env("UPSTREAM_URL", format!("http://{}", echo.address))
        .env("SSL_CERT", pki.path(&format!("{own}.crt")))
        .env("SSL_CERT_KEY", pki.path(&format!("{own}.key")))
        .env("MTLS_AUTH_CA_CERTIFICATES", pki.path(cas))
}

fn reverse_proxy(pki: &OpensslPki, url: &str, own: &str, cas: &str) -> Setup {
    Setup::new("reverse-proxy")
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("UPSTREAM_URL", url)
        .env("UPSTREAM_CA_CERTIFICATES", pki.path(cas))
        .env("CLIENT_SSL_CERT", pki.path(&format!("{own}.crt")))
        .env("CLIENT_SSL_CERT_KEY", pki.path(&format!("{own}.key")))
}

fn curl_as(pki: &OpensslPki, gateway: &Bridge, name: &str) -> Answer {
    let [certificate, key] =
        ["crt", "key"].map(|kind| pki.path(&format!("{name}.{kind}")).display().to_string());
    curl(&["-k", "--cert", &certificate, "--key", &key, &gateway.https()])
}

fn the_reason(gateway: &Bridge) -> String {
    gateway.access_line("/")["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn two_self_signed_certificates_that_list_each_other_make_a_link() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::new(Kind::P256), Echo::start());
    self_signed(&pki, "shop", &[]);
    self_signed(&pki, "app", &[]);
    let gateway = gateway(&pki, &echo, "shop", "app.crt").start();
    let proxy = reverse_proxy(&pki, &gateway.https(), "app", "shop.crt").start_ready();
    let answer = curl(&[&proxy.http()]);
    assert_eq!((answer.status, answer.received("x-client-cert-dn")), (200, vec!["CN=app".to_owned()]));
    for node in [&gateway, &proxy] {
        node.log
            .containing("it is a CA, which is taken only where this very certificate is listed as trusted");
    }
}

#[test]
fn a_self_signed_client_that_is_no_ca_comes_in_where_it_is_listed() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    let args =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let named = ["-subj", "/CN=alone", "-keyout", "alone.key", "-out", "alone.crt"];
    pki.run(&[&args[..], &named, &["-addext", "basicConstraints=critical,CA:FALSE"]].concat());
    let gateway = gateway(&pki, &echo, "server", "alone.crt").start();
    assert_eq!(curl_as(&pki, &gateway, "alone").status, 200);
    assert_eq!(curl_as(&pki, &gateway, "client").status, 401);
}

#[test]
fn another_self_signed_certificate_of_the_same_name_does_not_come_in() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::new(Kind::P256), Echo::start());
    self_signed(&pki, "app", &[]);
    self_signed(&pki, "shop", &[]);
    let gateway = gateway(&pki, &echo, "shop", "app.crt").start();
    self_signed(&pki, "app", &[]);
    assert_eq!(curl_as(&pki, &gateway, "app").status, 401);
    let reason = the_reason(&gateway);
    assert!(
        reason.contains("is a CA, which cannot be a client unless it signed itself and is itself listed"),
        "{reason}"
    );
}

#[test]
fn a_self_signed_server_with_another_name_is_not_believed() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::new(Kind::P256), Echo::start());
    self_signed(&pki, "shop", &[]);
    self_signed(&pki, "app", &[]);
    let gateway = gateway(&pki, &echo, "shop", "app.crt").start();
    let proxy = reverse_proxy(&pki, &gateway.https(), "app", "shop.crt")
        .env("UPSTREAM_TLS_SERVER_NAME", "other.example")
        .start();
    assert_eq!(curl(&[&proxy.http()]).status, 502);
    let reason = proxy.access_line("/")["reason"].to_string();
    assert!(reason.contains("has another name"), "{reason}");
}

#[test]
fn a_client_whose_key_may_only_sign_certificates_does_not_come_in() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    pki.write(
        "usage.cnf",
        "[leaf]\nkeyUsage = keyCertSign\n[ca]\nbasicConstraints = CA:TRUE\nkeyUsage = cRLSign\n",
    );
    let sign = |name: &str, issuer: &str, section: &str| {
        let [key, request, certificate] = ["key", "csr", "crt"].map(|kind| format!("{name}.{kind}"));
        let (ca, ca_key) = (format!("{issuer}.crt"), format!("{issuer}.key"));
        pki.run(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key]);
        pki.run(&[
            "req",
            "-new",
            "-config",
            "openssl.cnf",
            "-key",
            &key,
            "-subj",
            &format!("/CN={name}"),
            "-out",
            &request,
        ]);
        let signed = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"];
        pki.run(
            &[&signed[..], &["-out", &certificate, "-extfile", "usage.cnf", "-extensions", section]].concat(),
        );
    };
    sign("odd", "ca", "leaf");
    sign("lame", "ca", "ca");
    pki.issue("good", "lame", "client", "/CN=good");
    pki.join("good.crt", &["good.crt", "lame.crt"]);
    let gateway = gateway(&pki, &echo, "server", "ca.crt").start();
    assert_eq!(curl_as(&pki, &gateway, "odd").status, 401);
    let expected =
        "the certificate of CN=odd may not sign a TLS handshake: its key usage lacks digitalSignature";
    assert_eq!(the_reason(&gateway), expected);
    let gateway = self::gateway(&pki, &echo, "server", "ca.crt").start();
    assert_eq!(curl_as(&pki, &gateway, "good").status, 401);
    let expected =
        "the CA CN=lame in the chain of CN=good may not issue certificates: its key usage lacks keyCertSign";
    assert_eq!(the_reason(&gateway), expected);
}

#[test]
fn a_gateway_shows_a_version_1_certificate_of_its_own_and_says_who_will_refuse_it() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::RSA_2048), Echo::start());
    pki.issue_version_1("localhost", "ca", "/CN=localhost");
    let gateway = gateway(&pki, &echo, "localhost", "ca.crt").start();
    gateway
        .log
        .containing("many clients will refuse the certificate (CN=localhost): it is of X.509 version 1");
    // With OpenSSL curl takes it, the common name included.
    assert_eq!(curl_as(&pki, &gateway, "client").status, 401, "client.crt without its chain");
    let [certificate, key] = ["client.chain", "client.key"].map(|name| pki.path(name).display().to_string());
    for version in ["1.2", "1.3"] {
        let tried = ["-k", "--tls-max", version, "--cert", &certificate, "--key", &key, &gateway.https()];
        assert_eq!(curl(&tried).status, 200, "{version}");
    }
    let other = self::gateway(&pki, &echo, "localhost", "ca.crt").env("SSL_CERT_KEY", pki.path("client.key"));
    let refused = other.refused().text;
    assert!(
        refused.contains("the private key does not belong to the first certificate (CN=localhost)"),
        "{refused}"
    );
    // Our other half says what is wrong with it.
    let proxy = reverse_proxy(&pki, &gateway.https(), "client", "ca.crt").start();
    assert_eq!(curl(&[&proxy.http()]).status, 502);
    let reason = proxy.access_line("/")["reason"].to_string();
    assert!(reason.contains("the certificate of CN=localhost is of X.509 version 1"), "{reason}");
    // Where nothing is verified, it is as good as any.
    let proxy = reverse_proxy(&pki, &gateway.https(), "client", "ca.crt")
        .env("UPSTREAM_TLS_VERIFY", "off")
        .env("CLIENT_SSL_CERT", pki.path("client.chain"))
        .start();
    assert_eq!(curl(&[&proxy.http()]).status, 200);
}

#[test]
fn nginx_takes_the_version_1_certificate_of_a_reverse_proxy() {
    if !installed("openssl") || !installed("nginx") {
        return;
    }
    let pki = OpensslPki::with_leaves(Kind::RSA_2048);
    pki.issue_version_1("plain", "ca", "/CN=plain");
    let address = free_address();
    let [ca, chain, key] =
        ["ca.crt", "server.chain", "server.key"].map(|name| pki.path(name).display().to_string());
    let http = format!(
        "server {{ listen {address} ssl; ssl_certificate {chain}; ssl_certificate_key {key}; \
         ssl_client_certificate {ca}; ssl_verify_client on; location / {{ return 200 $ssl_client_s_dn; }} }}"
    );
    let folder = tempfile::tempdir().unwrap();
    let _nginx = nginx(folder.path(), &http, address);
    let proxy = reverse_proxy(&pki, &format!("https://{address}"), "plain", "ca.crt").start_ready();
    let answer = curl(&[&proxy.http()]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "CN=plain"));
}

#[test]
fn a_client_that_cannot_verify_our_kind_of_key_is_sent_handshake_failure() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (OpensslPki::with_leaves(Kind::P256), Echo::start());
    let gateway = gateway(&pki, &echo, "server", "ca.crt").start();
    let address = gateway.address.to_string();
    let offer = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-servername", "localhost"]).args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for offered in [
        &["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"][..],
        &["-tls1_2", "-sigalgs", "RSA-PSS+SHA256"],
        &["-tls1_3", "-sigalgs", "ECDSA+SHA384"],
        // The suites fit the key, and its curve does not.
        &["-tls1_2", "-sigalgs", "ECDSA+SHA384"],
        &["-tls1_2", "-sigalgs", "ed25519"],
        &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
    ] {
        let told = offer(offered);
        assert!(told.contains("alert number 40"), "{offered:?}: {told}");
    }
    gateway.log.containing("the client cannot verify the kind of key in our certificate");
}

#[test]
fn an_upstream_that_cannot_verify_our_kind_of_key_is_named() {
    if !installed("openssl") || !installed("nginx") {
        return;
    }
    let (pki, rsa) = (OpensslPki::with_leaves(Kind::P256), OpensslPki::with_leaves(Kind::RSA_2048));
    for verify in ["on", "optional"] {
        let address = free_address();
        let path = |name: &str| rsa.path(name).display().to_string();
        let http = format!(
            "server {{ listen {address} ssl; ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {}; \
             ssl_verify_client {verify}; ssl_conf_command ClientSignatureAlgorithms RSA-PSS+SHA256; \
             location / {{ return 200; }} }}",
            path("server.chain"),
            path("server.key"),
            path("ca.crt"),
        );
        let folder = tempfile::tempdir().unwrap();
        let _nginx = nginx(folder.path(), &http, address);
        let proxy = reverse_proxy(&pki, &format!("https://{address}"), "client", "ca.crt")
            .env("UPSTREAM_CA_CERTIFICATES", rsa.path("ca.crt"))
            .start();
        assert_eq!(curl(&[&proxy.http()]).status, 502, "{verify}");
        let reason = proxy.access_line("/")["reason"].to_string();
        assert!(reason.contains("verifies no signatures of the kind of key"), "{verify}: {reason}");
    }
}
