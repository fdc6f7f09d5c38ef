//! Listeners for IPv6, alone or with IPv4: `ipv6only`, as in nginx.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use crate::support::bridge::plain_proxy;
use crate::support::client::curl;
use crate::support::peers::{free_address, report};
use crate::support::services::Echo;

fn has_ipv6() -> bool {
    let found = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    report("IPv6", found);
    found
}

#[test]
fn a_listener_with_ipv6only_off_takes_both_families_and_ipv4_clients_have_ipv4_addresses() {
    if !has_ipv6() {
        return;
    }
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("PROXY_LISTEN", "[::]:0 ipv6only=off").start();
    let port = node.address.port();
    for (host, client) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let answer = curl(&["-g", &format!("http://{host}:{port}/{client}")]);
        assert_eq!((answer.status, answer.received("x-real-ip")), (200, vec![client.to_owned()]));
    }
    let peer = node.access_line("/127.0.0.1")["peer"].as_str().unwrap().to_owned();
    assert!(peer.starts_with("127.0.0.1:"), "{peer}");
}

#[test]
fn an_ipv4_client_of_both_families_is_trusted_by_its_ipv4_address() {
    if !has_ipv6() {
        return;
    }
    let echo = Echo::start();
    let node = plain_proxy(echo.address)
        .env("PROXY_LISTEN", "[::]:0 ipv6only=off")
        .env("TRUSTED_IPS", "127.0.0.0/8")
        .env("REAL_IP_HEADER", "X-Forwarded-For")
        .start();
    let url = format!("http://127.0.0.1:{}/", node.address.port());
    let answer = curl(&["-H", "X-Forwarded-For: 203.0.113.7", &url]);
    assert_eq!(answer.received("x-real-ip"), ["203.0.113.7"]);
}

#[test]
fn an_ipv6_listener_takes_no_ipv4_unless_it_is_told_to() {
    if !has_ipv6() {
        return;
    }
    let echo = Echo::start();
    for listen in ["[::]:0", "[::]:0 ipv6only=on"] {
        let node = plain_proxy(echo.address).env("PROXY_LISTEN", listen).start();
        let port = node.address.port();
        assert_eq!(curl(&["-g", &format!("http://[::1]:{port}/")]).status, 200, "{listen}");
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
    }
}

#[test]
fn both_families_on_one_port_are_two_listeners_or_one_and_never_both() {
    let echo = Echo::start();
    let port = free_address().port();
    let (both, one) =
        (format!("0.0.0.0:{port}, [::]:{port}"), format!("[::]:{port} ipv6only=off, 0.0.0.0:{port}"));
    let refused = plain_proxy(echo.address).env("PROXY_LISTEN", &one).refused();
    assert_eq!(
        refused.line(),
        format!(
            "proxy_listen={one} (environment PROXY_LISTEN): [::]:{port} ipv6only=off and 0.0.0.0:{port} are for \
             the same connections; keep the IPv6 one alone, or write ipv6only=on for it"
        )
    );
    if has_ipv6() {
        let node = plain_proxy(echo.address).env("PROXY_LISTEN", &both).start();
        for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()] {
            node.log.containing("listening");
            assert_eq!(curl(&["-g", &format!("http://{address}/")]).status, 200);
        }
    }
}

#[test]
fn what_ipv6only_cannot_mean_is_refused() {
    let echo = Echo::start();
    for (listen, what) in [
        ("[::]:0 ipv6only=no", "`ipv6only` is neither on nor off; write ipv6only=on or ipv6only=off"),
        ("[::]:0 ipv6only", "`ipv6only` is neither on nor off; write ipv6only=on or ipv6only=off"),
        (
            "0.0.0.0:0 ipv6only=off",
            "`ipv6only` means nothing for 0.0.0.0:0; remove it, or write an IPv6 address such as [::]:8443",
        ),
    ] {
        let refused = plain_proxy(echo.address).env("PROXY_LISTEN", listen).refused();
        assert_eq!(refused.line(), format!("proxy_listen={listen} (environment PROXY_LISTEN): {what}"));
    }
}
