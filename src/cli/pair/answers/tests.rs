//! Answers as people type them, and flags as they write them.

use super::*;

fn pair(gateway_host: Option<&str>, service: Option<&str>) -> Pair {
    let (gateway_host, service) = (gateway_host.map(str::to_owned), service.map(str::to_owned));
    let (reverse_proxy_host, client_name) = (None, None);
    let out = PathBuf::new();
    let (gateway_port, listen_port, days) = (8443, 8000, 90);
    Pair { out, gateway_host, service, reverse_proxy_host, client_name, gateway_port, listen_port, days }
}

#[test]
fn what_is_missing_is_asked_for_and_an_empty_line_takes_the_default() {
    let mut shown = Vec::new();
    let mut typed = "gateway.example\n\n\norders-app\n".as_bytes();
    let answers = Answers::asking(&pair(None, None), &mut typed, &mut shown).unwrap();
    assert_eq!(
        (answers.gateway_host.as_str(), answers.client_name.as_str()),
        ("gateway.example", "orders-app")
    );
    assert_eq!(answers.service.to_string(), SERVICE);
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        shown.contains("Service behind it, as the gateway reaches it [http://service:8080]: "),
        "{shown}"
    );
}

#[test]
fn an_answer_is_judged_when_it_is_given_and_asked_for_again_with_the_reason() {
    let mut shown = Vec::new();
    let mut typed = "https://x\nlocalhost\ngateway.example\nservice\nhttp://localhost:1\n\n-\napp.example\na,b\norders-app\n".as_bytes();
    let answers = Answers::asking(&pair(None, None), &mut typed, &mut shown).unwrap();
    assert_eq!(
        (answers.gateway_host.as_str(), answers.client_name.as_str()),
        ("gateway.example", "orders-app")
    );
    let shown = String::from_utf8(shown).unwrap();
    let expected = [
        "gateway_host=https://x (typed): neither a host name nor an address; ",
        "gateway_host=localhost (typed): inside the reverse proxy's container this is",
        "service=service (typed): not a URL; ",
        "service=http://localhost:1 (typed): inside the gateway's container",
        "reverse_proxy_host=- (typed): neither a host name nor an address; ",
        "client_name=a,b (typed): has other characters than a name may; ",
    ];
    for reason in expected {
        assert!(shown.contains(reason), "{reason} in\n{shown}");
    }
    assert_eq!(shown.matches("Host of the gateway").count(), 3);
}

#[test]
fn what_was_given_is_judged_before_anything_is_asked() {
    let mut shown = Vec::new();
    let given = Pair { client_name: Some("a,b".into()), ..pair(None, None) };
    let refused = Answers::asking(&given, &mut "x\n".as_bytes(), &mut shown).unwrap_err();
    assert!(refused.to_string().starts_with("client_name=a,b") && shown.is_empty(), "{refused}");
}

#[test]
fn whoever_gave_what_is_needed_is_asked_nothing() {
    let mut shown = Vec::new();
    let given = pair(Some("10.0.0.1"), Some("http://service:8080"));
    Answers::asking(&given, &mut io::empty(), &mut shown).unwrap();
    assert_eq!(shown, b"");
}

#[test]
fn a_terminal_that_closes_is_a_missing_answer() {
    let refused = Answers::asking(&pair(None, None), &mut io::empty(), &mut io::sink()).unwrap_err();
    assert!(refused.to_string().starts_with("--gateway-host: not given"), "{refused}");
}

fn check(gateway_host: &str, service: &str, client_name: &str, expected: &str) {
    let client_name = Some(client_name.to_owned());
    let pair = Pair { client_name, ..pair(Some(gateway_host), Some(service)) };
    let refused = Answers::given(&pair).unwrap_err().to_string();
    assert!(refused.starts_with(expected) && !refused.contains('\n'), "{refused}");
}

#[test]
fn what_docker_or_a_shell_would_read_differently_is_refused() {
    let (host, url) = ("gateway.example", "http://service:8080");
    check("https://x", url, "app", "gateway_host=https://x (flag --gateway-host): neither a host name");
    check("", url, "app", "gateway_host= (flag --gateway-host): neither a host name");
    check(
        "LocalHost",
        url,
        "app",
        "gateway_host=LocalHost (flag --gateway-host): inside the reverse proxy's",
    );
    check(
        "127.0.0.1",
        url,
        "app",
        "gateway_host=127.0.0.1 (flag --gateway-host): inside the reverse proxy's",
    );
    check(host, "service:8080", "app", "service=service:8080 (flag --service): not a URL; ");
    check(
        host,
        "http://localhost:80",
        "app",
        "service=http://localhost:80 (flag --service): inside the gateway's",
    );
    check(host, "http://s/$HOME", "app", "service=http://s/$HOME (flag --service): its path has characters");
    check(host, url, "a,b", "client_name=a,b (flag --client-name): has other characters than a name may");
    check(host, url, " ", "client_name= (flag --client-name): not a name for a certificate");
}
