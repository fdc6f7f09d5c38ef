//! Who called is told by us alone: a client can neither forge nor delete an identity.

use http::Request;

use crate::support::bridge::{Setup, gateway, reverse_proxy};
use crate::support::client::{Answer, curl_anonymous, curl_as, exchange, last_body};
use crate::support::http2::{Http2, collect, tls};
use crate::support::pki::Pki;
use crate::support::services::Echo;
use mtls_bridge::pki::{Leaf, San};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Every name we or Kong could emit about a caller.
const NAMES: [&str; 20] = [
    "X-Client-Cert-Dn",
    "X-Client-Cert-San",
    "X-Client-Cert",
    "X-Client-Cert-Serial",
    "X-Client-Cert-Issuer-DN",
    "X-Client-Cert-Subject-DN",
    "X-Client-Cert-Fingerprint",
    "X-Consumer-ID",
    "X-Consumer-Custom-ID",
    "X-Consumer-Username",
    "X-Consumer-Groups",
    "X-Credential-Identifier",
    "X-Credential-Username",
    "X-Anonymous-Consumer",
    "X-Authenticated-Groups",
    "X-Authenticated-Userid",
    "X-Authenticated-Scope",
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Forwarded-Client-Cert",
];

/// The name as it is, in other cases, and as CGI-like services would still read it.
fn spellings(name: &str) -> [String; 6] {
    let (lower, upper) = (name.to_lowercase(), name.to_uppercase());
    [
        name.to_owned(),
        upper.replace('-', "_"),
        lower.replace('-', "_"),
        lower.replacen('-', "_", 1),
        lower.replace('-', "."),
        upper,
    ]
}

/// Fields that claim to be someone else: each name in each spelling, repeated and empty.
fn forged() -> String {
    let field = |name: String| format!("{name}: CN=admin\r\n{name}:\r\n{name}: admin\r\n");
    NAMES.iter().flat_map(|name| spellings(name)).map(field).collect()
}

/// What the service took for a statement about the caller, in the laxest reading of names.
fn identity(fields: &Value) -> Vec<(String, String)> {
    let reading = |name: &str| name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let names: Vec<_> = NAMES.iter().map(|name| name.to_lowercase()).collect();
    let fields = fields.as_array().unwrap().iter();
    let pairs = fields.map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    let mut told: Vec<_> = pairs
        .filter(|(name, _)| names.contains(&reading(name)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    told.sort();
    told
}

fn told(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const APP: [(&str, &str); 3] =
    [("x-authenticated-groups", "app"), ("x-client-cert-dn", "CN=app"), ("x-client-cert-san", "app")];

/// Room for all forgeries at once.
fn roomy(setup: Setup) -> Setup {
    setup.env("MAX_HEADER_COUNT", "1000")
}

/// Sends text on a TLS connection with `NAME.crt` and gives all that comes back.
async fn over_tls(address: std::net::SocketAddr, pki: &Pki, name: Option<&str>, text: &str) -> String {
    let mut stream = tls(address, pki, name, &[b"http/1.1"]).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn forged_headers_on_the_plain_listener_do_not_survive_the_chain() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = roomy(gateway(&pki, echo.address)).env("ACL_ALLOW", "app").start();
    let reverse_proxy = roomy(reverse_proxy(&pki, gateway.address)).start_ready();
    let request =
        format!("GET / HTTP/1.1\r\nHost: x\r\n{}X-Own: kept\r\nConnection: close\r\n\r\n", forged());
    let body = last_body(&exchange(reverse_proxy.address, request.as_bytes()));
    assert_eq!(identity(&body["headers"]), told(&APP), "{body}");
    assert!(body["headers"].to_string().contains(r#"["x-own","kept"]"#), "{body}");
}

#[test]
fn a_reverse_proxy_alone_lets_no_forged_header_through() {
    let echo = Echo::start();
    let reverse_proxy = roomy(Setup::new("reverse-proxy"))
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("UPSTREAM_URL", format!("http://{}", echo.address))
        .env("CLIENT_SSL", "off")
        .start();
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{}Connection: close\r\n\r\n", forged());
    let body = last_body(&exchange(reverse_proxy.address, request.as_bytes()));
    assert_eq!(identity(&body["headers"]), told(&[]), "{body}");
}

#[tokio::test]
async fn forged_headers_over_tls_are_replaced_by_the_certificates_names() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = roomy(gateway(&pki, echo.address)).env("ACL_ALLOW", "app").start();
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{}Connection: close\r\n\r\n", forged());
    let body = last_body(&over_tls(gateway.address, &pki, Some("client"), &request).await);
    assert_eq!(identity(&body["headers"]), told(&APP), "{body}");
}

#[tokio::test]
async fn forged_headers_over_http2_are_replaced_too_through_one_node_and_through_both() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = roomy(gateway(&pki, echo.address)).env("ACL_ALLOW", "app").start();
    let reverse_proxy = roomy(reverse_proxy(&pki, gateway.address)).start_ready();
    let through_both = Http2::plain(reverse_proxy.address).await;
    let through_one = Http2::tls(gateway.address, &pki, Some("client")).await;
    for client in [through_both, through_one] {
        let mut request = Request::get("https://x/");
        for name in NAMES.iter().flat_map(|name| spellings(name)) {
            request = request.header(&name, "admin").header(&name, "").header(&name, "CN=admin");
        }
        let answer = client.whole(request.body(()).unwrap()).await;
        assert_eq!(identity(&answer.json()["headers"]), told(&APP));
    }
}

#[test]
fn without_a_certificate_a_forged_identity_gets_401_and_reaches_no_service() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let answer = curl_anonymous(&pki, &["-H", "X-Client-Cert-Dn: CN=app", &format!("{}/f", gateway.https())]);
    assert_eq!(answer.status, 401);
    let line = gateway.access_line("/f");
    assert_eq!((line.get("upstream"), line.get("certificate")), (None, None));
}

#[test]
fn a_gateways_plaintext_listener_believes_no_header_for_a_certificate() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = roomy(gateway(&pki, echo.address)).env("PROXY_LISTEN", "127.0.0.1:0").start();
    let request = format!("GET /p HTTP/1.1\r\nHost: x\r\n{}Connection: close\r\n\r\n", forged());
    let answer = exchange(gateway.address, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(last_body(&answer)["message"], "No required TLS certificate was sent");
    assert_eq!(gateway.access_line("/p")["reason"], "the request came without TLS, so without a certificate");
}

#[test]
fn forged_trailers_over_http1_are_dropped_and_those_of_the_application_arrive() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = roomy(gateway(&pki, echo.address)).start();
    let reverse_proxy = roomy(reverse_proxy(&pki, gateway.address)).start_ready();
    let announced: Vec<_> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let forged: String = NAMES
        .iter()
        .flat_map(|name| [(*name).to_owned(), name.replace('-', "_")])
        .map(|name| format!("{name}: admin\r\n"))
        .collect();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Sum, {}\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n{forged}\r\n",
        announced.join(", "),
    );
    let body = last_body(&exchange(reverse_proxy.address, request.as_bytes()));
    assert_eq!(body["body"], "hi");
    assert_eq!(body["trailers"].to_string(), r#"[["x-sum","7"]]"#);
    assert_eq!(identity(&body["headers"]), told(&[("x-client-cert-dn", "CN=app"), APP[2]]));
}

#[tokio::test]
async fn forged_trailers_over_http2_are_dropped_through_both_modes() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).start_ready();
    let through_both = Http2::plain(reverse_proxy.address).await;
    let through_one = Http2::tls(gateway.address, &pki, Some("client")).await;
    for client in [through_both, through_one] {
        let request = Request::post("https://x/").header("trailer", "x-sum, x-consumer-id, x_client_cert_dn");
        let (response, mut stream) = client.send(request.body(()).unwrap(), false).await;
        stream.send_data("hi".into(), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        trailers.insert("x-consumer-id", "admin".parse().unwrap());
        trailers.insert("x_client_cert_dn", "admin".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
        let answer = collect(response).await.unwrap();
        assert_eq!(answer.json()["trailers"].to_string(), r#"[["x-sum","7"]]"#);
        assert_eq!(identity(&answer.json()["headers"]), told(&[("x-client-cert-dn", "CN=app"), APP[2]]));
    }
}

#[tokio::test]
async fn connection_can_delete_none_of_our_headers() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("ACL_ALLOW", "app").start();
    for connection in [
        "Connection: close, X-Client-Cert-Dn, X-Client-Cert-San, X-Authenticated-Groups",
        "Connection: close\r\nConnection: x-client-cert-dn\r\nCONNECTION: X-AUTHENTICATED-GROUPS",
        "connection: ,, X-Client-Cert-San ,\tx-Client-cert-dn,,close",
        "Connection: close, X-Forwarded-For, X-Real-IP, Via, Host, X-Kong-Request-Id, X-Forwarded-Proto",
        "Connection: close\r\nX-Client-Cert-Dn: CN=admin\r\nConnection: X-Client-Cert-Dn",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{connection}\r\n\r\n");
        let body = last_body(&over_tls(gateway.address, &pki, Some("client"), &request).await);
        assert_eq!(identity(&body["headers"]), told(&APP), "{connection}");
        let names: Vec<_> = body["headers"].as_array().unwrap().iter().map(|pair| pair[0].clone()).collect();
        for name in ["x-forwarded-for", "x-real-ip", "via", "host", "x-kong-request-id", "x-forwarded-proto"]
        {
            assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{name}: {connection}");
        }
    }
}

#[test]
fn what_connection_names_goes_no_further() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let answer = curl_as(
        &pki,
        "client",
        &["-H", "X-Hop: 1", "-H", "Connection: X-Hop", &gateway.https(), "--http1.1"],
    );
    assert_eq!(answer.status, 200);
    assert_eq!(answer.received("x-hop"), [""; 0]);
}

#[test]
fn rfc9440_tells_the_certificate_and_its_chain() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let below = pki.authority.intermediate("Lower").unwrap();
    let client = pki.keep("deep", below.issue(&Leaf::client("deep")).unwrap());
    let gateway = gateway(&pki, echo.address).env("IDENTITY_HEADERS", "rfc9440").start();
    let forged = "Client-Cert-Chain: :AAAA:";
    let answer = curl_as(&pki, "deep", &["-H", forged, &gateway.https()]);
    let sequence =
        |der: &[u8]| format!(":{}:", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der));
    let chain = client.chain();
    assert_eq!(answer.received("client-cert"), [sequence(&chain[0])]);
    assert_eq!(answer.received("client-cert-chain"), [sequence(&chain[1])]);
    assert_eq!(answer.received("x-client-cert-dn"), [""; 0]);
}

#[test]
fn xfcc_is_one_element_about_the_certificate_and_nothing_of_the_clients() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let sans = vec![San::Dns("a.example".into()), San::Uri("spiffe://x/a".into())];
    pki.issue("named", &Leaf { sans, ..Leaf::client("named") });
    let gateway = gateway(&pki, echo.address).env("IDENTITY_HEADERS", "xfcc").start();
    let forged = "X-Forwarded-Client-Cert: Hash=00;Subject=\"CN=admin\"";
    let answer = curl_as(&pki, "named", &["-H", forged, &format!("{}/x", gateway.https())]);
    let line = gateway.access_line("/x");
    let [value] = &answer.received("x-forwarded-client-cert")[..] else { panic!("{answer:?}") };
    let start =
        format!("Hash={};Cert=\"-----BEGIN%20CERTIFICATE-----%0A", line["fingerprint"].as_str().unwrap());
    assert!(value.starts_with(&start), "{value}");
    assert!(value.ends_with("\";Subject=\"CN=named\";DNS=a.example;URI=spiffe://x/a"), "{value}");
}

#[test]
fn identity_headers_off_tells_nothing_and_still_lets_nobody_forge() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("IDENTITY_HEADERS", "off").start();
    let answer = curl_as(&pki, "client", &["-H", "X-Client-Cert-Dn: CN=admin", &gateway.https()]);
    assert_eq!(answer.status, 200);
    assert_eq!(identity(&answer.json()["headers"]), told(&[]));
}

#[tokio::test]
async fn hostile_certificate_text_becomes_one_header_line_and_one_access_line() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let hostile = "a;b,c=\"d\\e\r\nX-Evil: 1\0\u{1b}[31m\u{e9} ";
    let sans = vec![
        San::Dns("x,DNS:admin\r\nX-Evil: 1\0".into()),
        San::Uri("spiffe://x/\";Subject=\"CN=admin,y".into()),
    ];
    pki.issue("hostile", &Leaf { sans, organization: Some("O=1,CN=admin".into()), ..Leaf::client(hostile) });
    let gateway = gateway(&pki, echo.address).env("IDENTITY_HEADERS", "kong,rfc9440,xfcc").start();
    let client = Http2::tls(gateway.address, &pki, Some("hostile")).await;
    let answer = client.whole(Request::get("https://localhost/").body(()).unwrap()).await;
    let names = ["client-cert", "x-client-cert-dn", "x-client-cert-san", "x-forwarded-client-cert"];
    let told = identity(&answer.json()["headers"]);
    assert_eq!(told.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(answer.received("x-evil"), [""; 0]);
    let dn = r#"CN=a\;b\,c=\"d\\e\0D\0AX-Evil: 1\00\1B[31m\C3\A9\20,O=O=1\,CN=admin"#;
    assert_eq!(told[1].1, dn);
    assert_eq!(told[2].1, r#"x\,DNS:admin\0D\0AX-Evil: 1\00,spiffe://x/";Subject="CN=admin\,y"#);
    let xfcc = &told[3].1;
    assert_eq!(xfcc.matches(";Subject=\"").count(), 1, "{xfcc}");
    assert_eq!((xfcc.matches(";DNS=").count(), xfcc.matches(";URI=").count()), (1, 1), "{xfcc}");
    assert!(!xfcc.split(";DNS=").nth(1).unwrap().contains([',', '"', '\\']), "{xfcc}");
    let lines = tokio::task::spawn_blocking(|| gateway.stopped_access_lines()).await.unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["certificate"], dn);
}

#[test]
fn a_common_name_with_a_comma_is_one_group_to_a_reader_of_lists() {
    let (pki, echo) = (Pki::new(), Echo::start());
    pki.issue("two", &Leaf::client("app, admin"));
    let gateway = gateway(&pki, echo.address).env("ACL_ALLOW", r"app\, admin").start();
    let answer = curl_as(&pki, "two", &[&gateway.https()]);
    assert_eq!(answer.received("x-authenticated-groups"), [r"app\, admin"]);
}

fn acl(setting: (&str, &str), more: &[(&str, &str)]) -> Answer {
    let (pki, echo) = (Pki::new(), Echo::start());
    pki.issue("client-of-acme", &Leaf { organization: Some("Acme".into()), ..Leaf::client("app") });
    let setup = gateway(&pki, echo.address).env(setting.0, setting.1);
    let gateway = more.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start();
    curl_as(&pki, "client-of-acme", &["-H", "X-Authenticated-Groups: admin", &gateway.https()])
}

#[test]
fn a_denied_group_gets_403_and_others_pass_without_the_groups_header() {
    let denied = acl(("ACL_DENY", "other, app"), &[]);
    assert_eq!((denied.status, &denied.json()["message"]), (403, &"You cannot consume this service".into()));
    let passed = acl(("ACL_DENY", "other"), &[]);
    assert_eq!((passed.status, passed.received("x-authenticated-groups")), (200, vec![]));
}

#[test]
fn groups_are_compared_exactly_case_included() {
    assert_eq!(acl(("ACL_ALLOW", "App"), &[]).status, 403);
    assert_eq!(acl(("ACL_ALLOW", "ap"), &[]).status, 403);
}

#[test]
fn a_hidden_groups_header_is_not_sent_and_not_taken_from_the_client() {
    let answer = acl(("ACL_ALLOW", "app"), &[("ACL_HIDE_GROUPS_HEADER", "on")]);
    assert_eq!((answer.status, answer.received("x-authenticated-groups")), (200, vec![]));
}

#[test]
fn the_group_can_be_the_whole_distinguished_name() {
    let by_dn = [("MTLS_AUTH_AUTHENTICATED_GROUP_BY", "DN")];
    let answer = acl(("ACL_ALLOW", r"CN=app\,O=Acme"), &by_dn);
    assert_eq!(
        (answer.status, answer.received("x-authenticated-groups")),
        (200, vec!["CN=app,O=Acme".into()])
    );
    assert_eq!(acl(("ACL_ALLOW", "app"), &by_dn).status, 403);
}

#[test]
fn a_certificate_without_a_common_name_has_no_group_and_gets_403() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let leaf = Leaf { common_name: None, organization: Some("Acme".into()), ..Leaf::client("") };
    pki.issue("nameless", &leaf);
    let gateway = gateway(&pki, echo.address).env("ACL_DENY", "other").start();
    let answer = curl_as(&pki, "nameless", &[&format!("{}/n", gateway.https())]);
    assert_eq!(answer.status, 403);
    assert_eq!(gateway.access_line("/n")["reason"], "the caller's certificate gives no group for the acl");
}
