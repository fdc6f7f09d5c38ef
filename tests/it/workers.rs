//! Workers and their links: connections are spread, links are few, and whoever hangs up leaves
//! nothing behind.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::support::PATIENCE;
use crate::support::bridge::{Bridge, gateway, plain_proxy, reverse_proxy};
use crate::support::client::{connect, curl, get};
use crate::support::h2_client::{self, H2, block_on, block_on_steps, post, soon};
use crate::support::pki::Pki;
use crate::support::services::{Echo, silent_at_times};

/// Which link a request took, by the address the gateway saw.
fn link_of(gateway: &Bridge, path: &str) -> String {
    gateway.access_line(path)["peer"].as_str().unwrap().to_owned()
}

fn links_opened(gateway: &Bridge) -> u64 {
    gateway.ask_status("/status").1["connections_total"].as_u64().unwrap()
}

/// Waits until the process holds no more descriptors than this.
fn wait_for_descriptors(node: &Bridge, most: usize) {
    let deadline = Instant::now() + PATIENCE;
    while node.descriptors() > most {
        assert!(Instant::now() < deadline, "{} descriptors, not {most}", node.descriptors());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn every_worker_has_opened_its_link_when_the_reverse_proxy_is_ready() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let node = reverse_proxy(&pki, gateway.address).env("WORKERS", "2").start_ready();
    node.wait_until_ready();
    assert_eq!((gateway.connections(), links_opened(&gateway)), (2, 2));
    assert_eq!(curl(&[&format!("{}/first", node.http())]).status, 200);
    assert_eq!(links_opened(&gateway), 2, "the first request paid a handshake");
}

#[test]
fn a_connection_goes_to_the_worker_with_the_fewest() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let node = reverse_proxy(&pki, gateway.address).env("WORKERS", "2").start_ready();
    gateway.wait_for_connections(2);
    // Each worker has a link of its own, which tells them apart.
    let mut clients: BTreeMap<String, Vec<TcpStream>> = BTreeMap::new();
    for index in 0..4 {
        let mut client = connect(node.address);
        assert!(get(&mut client, &format!("/{index}")).0.starts_with("HTTP/1.1 200"));
        clients.entry(link_of(&gateway, &format!("/{index}"))).or_default().push(client);
    }
    assert_eq!(clients.values().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    let (emptied, ended) = clients.pop_first().unwrap();
    drop(ended);
    node.wait_for_connections(2);
    for index in 4..6 {
        let mut client = connect(node.address);
        assert!(get(&mut client, &format!("/{index}")).0.starts_with("HTTP/1.1 200"));
        assert_eq!(link_of(&gateway, &format!("/{index}")), emptied);
        clients.entry(emptied.clone()).or_default().push(client);
    }
}

/// So many requests at the same time, each of which takes a while; all are answered.
fn at_the_same_time(node: &Bridge, requests: usize) {
    block_on(async {
        let client = H2::connect(node.address).await;
        let mut answers = Vec::new();
        for _ in 0..requests {
            let answer = client.start(h2_client::get("/bytes/65537?delay_ms=500"), true).await.0;
            answers.push(tokio::spawn(async move {
                let answer = soon(answer).await.unwrap();
                assert_eq!(answer.status(), 200);
                h2_client::read_all(answer.into_body()).await.unwrap().len()
            }));
        }
        for answer in answers {
            assert_eq!(answer.await.unwrap(), 65_537);
        }
    });
}

#[test]
fn two_hundred_requests_at_the_same_time_share_one_link() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let node = reverse_proxy(&pki, gateway.address).start_ready();
    at_the_same_time(&node, 200);
    assert_eq!(links_opened(&gateway), 1);
}

#[test]
fn a_gateway_that_allows_few_streams_gets_more_links_and_nobody_fails() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("HTTP2_MAX_CONCURRENT_STREAMS", "20").start();
    let node = reverse_proxy(&pki, gateway.address).start_ready();
    at_the_same_time(&node, 200);
    let links = links_opened(&gateway);
    assert!((2..=16).contains(&links), "{links} links");
}

#[test]
fn a_client_that_hangs_up_before_the_answer_releases_its_request_everywhere() {
    let silent = silent_at_times();
    let pki = Pki::new();
    let gateway = gateway(&pki, silent).start();
    let node = reverse_proxy(&pki, gateway.address).start_ready();
    assert_eq!(curl(&[&format!("{}/warm", node.http())]).status, 200);
    let before = (node.descriptors(), gateway.descriptors());
    for _ in 0..10 {
        let clients: Vec<_> = (0..100)
            .map(|_| {
                let mut client = connect(node.address);
                client.write_all(b"GET /silent HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
                client
            })
            .collect();
        node.wait_for_connections(100);
        drop(clients);
        node.wait_for_connections(0);
    }
    wait_for_descriptors(&node, before.0);
    wait_for_descriptors(&gateway, before.1);
    assert_eq!(curl(&[&format!("{}/after", node.http())]).status, 200);
    assert_eq!(links_opened(&gateway), 1, "the link was lost");
}

#[test]
fn a_thousand_downloads_that_are_broken_off_cost_neither_the_link_nor_memory() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let node = reverse_proxy(&pki, gateway.address).start_ready();
    let break_off = |requests: usize| {
        block_on_steps(async {
            let client = soon(H2::connect(node.address)).await;
            for _ in 0..requests / 50 {
                let mut bodies = Vec::new();
                for _ in 0..50 {
                    let answer = soon(client.get("/bytes/100000000")).await.unwrap();
                    assert_eq!(answer.status(), 200);
                    bodies.push(answer.into_body());
                }
                // Dropped, each is reset with megabytes on their way.
                drop(bodies);
            }
        });
        node.wait_for_connections(0);
    };
    break_off(200);
    let before = (node.descriptors(), gateway.descriptors(), node.resident_kib(), gateway.resident_kib());
    break_off(1500);
    wait_for_descriptors(&node, before.0 + 2);
    wait_for_descriptors(&gateway, before.1 + 2);
    assert_eq!(links_opened(&gateway), 1, "the link was lost");
    for (now, then) in [(node.resident_kib(), before.2), (gateway.resident_kib(), before.3)] {
        assert!(now < then + 64 * 1024, "{then} KiB became {now}");
    }
}

#[test]
fn a_thousand_uploads_that_are_denied_cost_no_link() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("ACL_ALLOW", "billing").start();
    let node = reverse_proxy(&pki, gateway.address).start_ready();
    let body = Bytes::from(vec![b'x'; 60_000]);
    block_on_steps(async {
        let client = soon(H2::connect(node.address)).await;
        for _ in 0..60 {
            let mut answers = Vec::new();
            for _ in 0..20 {
                let (answer, mut upload) = soon(client.start(post("/denied"), false)).await;
                // Denied from its head alone; whether all of it is taken is of no interest.
                let _ = upload.send_data(body.clone(), true);
                answers.push((answer, upload));
            }
            for (answer, _upload) in answers {
                assert_eq!(soon(answer).await.unwrap().status(), 403);
            }
        }
    });
    assert_eq!(links_opened(&gateway), 1, "the link was lost");
}

#[test]
fn nothing_is_left_of_clients_that_come_and_go() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    let visit = |times: usize| {
        for _ in 0..times {
            assert!(get(&mut connect(node.address), "/").0.starts_with("HTTP/1.1 200"));
        }
        node.wait_for_connections(0);
    };
    visit(500);
    let before = (node.descriptors(), node.resident_kib());
    visit(2000);
    wait_for_descriptors(&node, before.0 + 2);
    let now = node.resident_kib();
    assert!(now < before.1 + 8 * 1024, "{} KiB became {now}", before.1);
}
