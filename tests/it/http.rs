//! HTTP through both modes: versions, heads, paths, forwarding headers, our own error answers.

use http::Request;

use crate::support::bridge::{chain, gateway, plain_proxy, reverse_proxy};
use crate::support::client::{curl, curl_anonymous, curl_as, exchange, last_body};
use crate::support::http2::Http2;
use crate::support::pki::Pki;
use crate::support::services::{Echo, Recorder, closed_port};

#[test]
fn http_1_0_gets_its_answer_and_the_end_of_the_connection() {
    let echo = Echo::start();
    let nodes = chain(echo.address);
    let answer = exchange(nodes.reverse_proxy.address, b"GET /bytes/5?chunked HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.to_lowercase().contains("transfer-encoding"), "{answer}");
    assert_eq!(answer.rsplit("\r\n\r\n").next().unwrap().len(), 5, "{answer}");
    assert_eq!(nodes.reverse_proxy.access_line("/bytes/5")["protocol"], "HTTP/1.0");
}

#[test]
fn http2_by_prior_knowledge_passes_the_plain_listener() {
    let echo = Echo::start();
    let nodes = chain(echo.address);
    let answer = curl(&["--http2-prior-knowledge", &format!("{}/two", nodes.reverse_proxy.http())]);
    assert_eq!((answer.status, answer.version.as_str()), (200, "2"));
    assert_eq!(nodes.reverse_proxy.access_line("/two")["protocol"], "HTTP/2.0");
    assert_eq!(nodes.gateway.access_line("/two")["protocol"], "HTTP/2.0");
}

#[test]
fn the_gateway_speaks_by_alpn_what_its_client_asks_for() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let both = gateway(&pki, echo.address).start();
    assert_eq!(curl_as(&pki, "client", &["--http2", &both.https()]).version, "2");
    assert_eq!(curl_as(&pki, "client", &["--http1.1", &both.https()]).version, "1.1");
    let one = gateway(&pki, echo.address).env("PROXY_LISTEN", "127.0.0.1:0 ssl").start();
    assert_eq!(curl_as(&pki, "client", &["--http2", &one.https()]).version, "1.1");
}

#[test]
fn the_link_can_be_held_to_http1() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).env("UPSTREAM_HTTP", "http1").start_ready();
    assert_eq!(curl(&[&format!("{}/one", reverse_proxy.http())]).status, 200);
    assert_eq!(gateway.access_line("/one")["protocol"], "HTTP/1.1");
}

#[test]
fn an_upstream_held_to_http2_that_speaks_http1_alone_is_502_with_the_reason() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("PROXY_LISTEN", "127.0.0.1:0 ssl").start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).env("UPSTREAM_HTTP", "http2").start();
    assert_eq!(curl(&[&format!("{}/no", reverse_proxy.http())]).status, 502);
    let reason = reverse_proxy.access_line("/no")["reason"].to_string();
    assert!(reason.contains("HTTP/2") || reason.contains("NoApplicationProtocol"), "{reason}");
}

#[test]
fn connections_are_kept_on_both_sides() {
    let recorder = Recorder::start();
    let proxy = plain_proxy(recorder.address).start();
    let one = "GET /one HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = exchange(proxy.address, format!("{one}{one}{last}").as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 3, "{answers}");
    // Every worker opens a connection of its own ahead; which of them is first is chance.
    let connections: Vec<_> = recorder.received().iter().map(|received| received.connection).collect();
    assert_eq!(connections, [connections[0]; 3]);
}

#[tokio::test]
async fn many_requests_at_once_share_one_link_and_each_gets_its_own_answer() {
    const COUNT: usize = 90;
    let echo = Echo::start();
    let nodes = chain(echo.address);
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..COUNT {
        let client = client.clone();
        tasks.spawn(async move {
            let path = format!("/n/{number}");
            let answer = client.whole(Request::get(format!("http://x{path}")).body(()).unwrap()).await;
            assert_eq!((answer.head.status().as_u16(), &answer.json()["path"]), (200, &path.into()));
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let lines = tokio::task::spawn_blocking(|| nodes.gateway.stopped_access_lines()).await.unwrap();
    assert_eq!(lines.len(), COUNT);
    assert!(lines.iter().all(|line| line["peer"] == lines[0]["peer"]), "more than one link");
}

#[test]
fn head_204_and_304_have_no_body_and_leave_the_connection_usable() {
    let recorder = Recorder::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-Own: 1\r\n\r\n");
    let nodes = chain(recorder.address);
    let answer = curl(&["-I", &format!("{}/head", nodes.reverse_proxy.http())]);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("12345")));
    for (answer, status) in [
        (&b"HTTP/1.1 204 No Content\r\nX-Own: 1\r\n\r\n"[..], 204),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 12345\r\nETag: \"a\"\r\n\r\n", 304),
    ] {
        let recorder = Recorder::answering(answer);
        let nodes = chain(recorder.address);
        let one =
            "GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answers = exchange(nodes.reverse_proxy.address, one.as_bytes());
        assert_eq!(answers.matches(&format!("HTTP/1.1 {status} ")).count(), 2, "{answers}");
        assert!(answers.ends_with("\r\n\r\n"), "{answers}");
        assert_eq!(nodes.reverse_proxy.access_line("/two").get("reason"), None);
    }
}

#[test]
fn the_service_learns_the_way_and_what_a_client_says_about_it_is_dropped() {
    let echo = Echo::start();
    let proxy = plain_proxy(echo.address).start();
    let answer = curl(&[
        "-H",
        "Host: api.example:99",
        "-H",
        "X-Forwarded-For: 1.1.1.1",
        "-H",
        "X-Forwarded-Proto: https",
        "-H",
        "X-Forwarded-Host: evil",
        "-H",
        "X-Forwarded-Port: 1",
        "-H",
        "X-Forwarded-Path: /evil",
        "-H",
        "X-Forwarded-Prefix: /evil",
        "-H",
        "X_Forwarded_For: 1.1.1.1",
        "-H",
        "X-Real-IP: 1.1.1.1",
        "-H",
        "Forwarded: for=1.1.1.1",
        "-H",
        "X-Kong-Request-Id: mine",
        "-H",
        "Via: 1.0 before",
        &format!("{}/way?q=1", proxy.http()),
    ]);
    let received = |name: &str| answer.received(name);
    assert_eq!(received("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received("x-forwarded-proto"), ["http"]);
    assert_eq!(received("x-forwarded-host"), ["api.example"]);
    assert_eq!(received("x-forwarded-port"), [proxy.address.port().to_string()]);
    assert_eq!(received("x-forwarded-path"), ["/way"]);
    assert_eq!(received("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(received("via"), ["1.0 before", "1.1 mtls-bridge"]);
    assert_eq!(received("host"), [echo.address.to_string()]);
    for gone in ["x-forwarded-prefix", "forwarded", "x_forwarded_for"] {
        assert_eq!(received(gone), [""; 0], "{gone}");
    }
    let [id] = &received("x-kong-request-id")[..] else { panic!("{answer:?}") };
    assert!(id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{id}");
    assert_eq!(answer.header("x-kong-request-id"), Some(id.as_str()));
    assert_eq!(proxy.access_line("/way")["request_id"], id.as_str());
}

#[test]
fn a_request_id_of_the_client_passes_no_node_that_sends_none_itself() {
    let echo = Echo::start();
    let proxy = plain_proxy(echo.address).env("HEADERS_UPSTREAM", "off").start();
    let answer = curl(&["-H", "X-Kong-Request-Id: mine", &proxy.http()]);
    assert_eq!(answer.received("x-kong-request-id"), [""; 0]);
}

#[test]
fn the_way_is_believed_from_trusted_addresses() {
    let echo = Echo::start();
    let proxy = plain_proxy(echo.address).env("TRUSTED_IPS", "127.0.0.0/8").start();
    let answer = curl(&[
        "-H",
        "X-Forwarded-For: 1.1.1.1, 2.2.2.2",
        "-H",
        "X-Forwarded-Proto: https",
        "-H",
        "X-Forwarded-Host: first.example",
        "-H",
        "X-Real-IP: 2.2.2.2",
        "-H",
        "X-Kong-Request-Id: mine-7",
        &format!("{}/way", proxy.http()),
    ]);
    assert_eq!(answer.received("x-forwarded-for"), ["1.1.1.1, 2.2.2.2, 127.0.0.1"]);
    assert_eq!(answer.received("x-forwarded-proto"), ["https"]);
    assert_eq!(answer.received("x-forwarded-host"), ["first.example"]);
    assert_eq!(answer.received("x-real-ip"), ["2.2.2.2"]);
    assert_eq!(answer.received("x-kong-request-id"), ["mine-7"]);
    assert_eq!(proxy.access_line("/way")["client"], "2.2.2.2");
}

#[test]
fn a_trusted_peer_tells_the_way_and_both_nodes_log_one_request_id() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("TRUSTED_PEERS", "app").start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).start_ready();
    let answer = curl(&["-H", "Host: shop.example", &format!("{}/way", reverse_proxy.http())]);
    assert_eq!(answer.received("x-forwarded-for"), ["127.0.0.1, 127.0.0.1"]);
    assert_eq!(answer.received("x-forwarded-proto"), ["http"]);
    assert_eq!(answer.received("x-forwarded-host"), ["shop.example"]);
    assert_eq!(answer.received("via"), ["1.1 mtls-bridge", "2 mtls-bridge"]);
    let ids = [&gateway, &reverse_proxy].map(|node| node.access_line("/way")["request_id"].clone());
    assert_eq!(ids[0], ids[1]);
    assert_eq!(answer.header("x-kong-request-id"), ids[0].as_str());
}

#[test]
fn a_trusted_name_in_a_certificate_of_another_ca_is_not_believed() {
    let (pki, stranger, echo) = (Pki::new(), Pki::new(), Echo::start());
    pki.keep("stranger", stranger.authority.issue(&mtls_bridge::pki::Leaf::client("app")).unwrap());
    let gateway = gateway(&pki, echo.address).env("TRUSTED_PEERS", "app").start();
    let answer = curl_as(&pki, "stranger", &["-H", "X-Kong-Request-Id: mine", &gateway.https()]);
    assert_eq!(
        (answer.status, &answer.json()["message"]),
        (401, &"TLS certificate failed verification".into())
    );
    assert_ne!(answer.header("x-kong-request-id"), Some("mine"));
}

#[test]
fn another_certificate_of_the_ca_is_no_trusted_peer() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("TRUSTED_PEERS", "App, other").start();
    let forged = ["-H", "X-Forwarded-For: 1.1.1.1", "-H", "X-Kong-Request-Id: mine", &gateway.https()];
    let answer = curl_as(&pki, "client", &forged);
    assert_eq!(answer.received("x-forwarded-for"), ["127.0.0.1"]);
    assert_ne!(answer.received("x-kong-request-id"), ["mine"]);
}

#[test]
fn preserve_host_keeps_the_clients_host_through_both_nodes() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("PRESERVE_HOST", "on").start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).env("PRESERVE_HOST", "on").start_ready();
    let url = format!("{}/kept", reverse_proxy.http());
    assert_eq!(curl(&["-H", "Host: shop.example:81", &url]).received("host"), ["shop.example:81"]);
    assert_eq!(gateway.access_line("/kept")["host"], "shop.example:81");
}

/// Paths whose bytes mean something else once they were tidied up.
const PATHS: [&str; 8] = [
    "/a%2Fb",
    "//a///b",
    "/a;v=1/b?x=1;y",
    "/a/../b/./c",
    "/%2e%2e/%2E",
    "/?",
    "/a?b=/c?d&e=%20+",
    "/~a,b:c@d!$'()*",
];

#[test]
fn the_bytes_of_path_and_query_arrive_unchanged() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for path in PATHS {
        exchange(nodes.reverse_proxy.address, request(path).as_bytes());
    }
    assert_eq!(recorder.targets(), PATHS);
}

#[tokio::test]
async fn no_request_escapes_the_upstreams_path() {
    let recorder = Recorder::start();
    let proxy =
        plain_proxy(recorder.address).env("UPSTREAM_URL", format!("http://{}/api", recorder.address)).start();
    for target in ["/", "/x?y", "http://x", "http://x?y", "http://x/z"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        exchange(proxy.address, request.as_bytes());
    }
    let client = Http2::plain(proxy.address).await;
    client.whole(Request::get("http://x?h2").body(()).unwrap()).await;
    assert_eq!(recorder.targets(), ["/api", "/api/x?y", "/api", "/api?y", "/api/z", "/api?h2"]);
}

#[test]
fn the_asterisk_matches_no_route() {
    let recorder = Recorder::start();
    let proxy = plain_proxy(recorder.address).start();
    let answer = exchange(proxy.address, b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert_eq!(last_body(&answer)["message"], "no Route matched with those values");
}

#[tokio::test]
async fn cookies_that_http2_split_are_one_line_over_http1() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let request = Request::get("http://x/").header("cookie", "a=1").header("cookie", "b=2; c=3");
    client.whole(request.body(()).unwrap()).await;
    assert_eq!(recorder.received()[0].header("cookie"), ["a=1; b=2; c=3"]);
}

#[tokio::test]
async fn te_trailers_is_named_in_connection_over_http1() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    client.whole(Request::get("http://x/").header("te", "trailers").body(()).unwrap()).await;
    let received = &recorder.received()[0];
    assert_eq!(received.header("te"), ["trailers"]);
    assert!(
        received.header("connection").iter().any(|it| it.eq_ignore_ascii_case("te")),
        "{}",
        received.head
    );
}

#[test]
fn errors_of_ours_come_in_the_format_the_caller_accepts() {
    let proxy = plain_proxy(closed_port()).start();
    let error = |accept: &str| curl(&["-H", accept, &proxy.http()]);
    let id = |answer: &crate::support::client::Answer| answer.header("x-kong-request-id").unwrap().to_owned();
    let message = "An invalid response was received from the upstream server";
    for accept in ["Accept: */*", "Accept:", "Accept: image/png", "Accept: application/json"] {
        let answer = error(accept);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (502, Some("application/json; charset=utf-8"))
        );
        let expected = format!("{{\n  \"message\":\"{message}\",\n  \"request_id\":\"{}\"\n}}", id(&answer));
        assert_eq!(answer.body, expected, "{accept}");
    }
    let plain = error("Accept: text/plain");
    assert_eq!(plain.body, format!("{message}\nrequest_id: {}\n", id(&plain)));
    let xml = error("Accept: application/xml");
    assert!(xml.body.contains(&format!("<requestid>{}</requestid>", id(&xml))), "{xml:?}");
    let html = error("Accept: application/json;q=0.5, text/html");
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(html.body.contains(&format!("<p>{message}.</p>")), "{html:?}");
}

#[test]
fn an_error_for_head_has_a_length_and_no_body() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    for version in ["--http1.1", "--http2"] {
        let answer = curl_anonymous(&pki, &["-I", version, &gateway.https()]);
        assert_eq!((answer.status, answer.body.as_str(), answer.exit), (401, "", 0), "{version}");
        assert_ne!(answer.header("content-length"), Some("0"));
    }
}

#[tokio::test]
async fn a_grpc_caller_is_refused_in_trailers_only() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let client = Http2::tls(gateway.address, &pki, None).await;
    let request =
        Request::post("https://localhost/pkg.Service/Method").header("content-type", "application/grpc");
    let answer = client.whole(request.body(()).unwrap()).await;
    let head = answer.head.headers();
    assert_eq!(
        (answer.head.status().as_u16(), &head["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    assert_eq!(head["grpc-status"], "16");
    assert_eq!(head["grpc-message"], "No required TLS certificate was sent");
    assert!(answer.body.is_empty() && answer.trailers.is_none());
}
