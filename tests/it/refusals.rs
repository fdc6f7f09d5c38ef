//! What is on disk and cannot be taken over: a refusal lasts as long as its cause, and no part of a file counts
//! as the whole.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mtls_bridge::pki::{Authority, Leaf, Validity};
use time::OffsetDateTime;

use crate::support::PATIENCE;
use crate::support::bridge::{gateway, reverse_proxy};
use crate::support::client::{curl, curl_as};
use crate::support::pki::Pki;
use crate::support::services::Echo;

const REPLACED: &str = "certificates were replaced";

const REFUSED: &str = "the last good certificates stay in force";

/// How many lines of a log hold this.
fn count(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.contains(text)).count()
}

fn rename(pki: &Pki, from: &str, to: &str) {
    fs::rename(pki.path(from), pki.path(to)).unwrap();
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_taken_over_when_it_is_though_nobody_touches_it() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let node = reverse_proxy(&pki, gateway.address).start_ready();
    let now = OffsetDateTime::now_utc();
    let validity =
        Validity { not_before: now + time::Duration::seconds(6), not_after: now + time::Duration::hours(1) };
    pki.issue("next", &Leaf { validity, ..Leaf::client("renewed") });
    rename(&pki, "next.crt", "client.crt");
    rename(&pki, "next.key", "client.key");
    let line = node.log.containing(REFUSED);
    assert!(line.contains("the certificate (CN=renewed) is not valid before"), "{line}");
    let url = format!("{}/", node.http());
    assert_eq!(curl(&[&url]).received("x-client-cert-dn"), ["CN=app"]);
    node.log.containing(REPLACED);
    assert_eq!(curl(&[&url]).received("x-client-cert-dn"), ["CN=renewed"]);
    let lines = node.log.so_far();
    assert_eq!((count(&lines, REFUSED), count(&lines, REPLACED)), (1, 1), "each is told once: {lines:#?}");
}

#[test]
fn files_that_go_and_come_back_are_told_to_be_those_in_force_again() {
    let (pki, echo) = (Pki::new(), Echo::start());
    fs::create_dir(pki.path("tls")).unwrap();
    for name in ["server.crt", "server.key"] {
        fs::copy(pki.path(name), pki.path("tls").join(name)).unwrap();
    }
    let node = gateway(&pki, echo.address)
        .env("SSL_CERT", pki.path("tls/server.crt"))
        .env("SSL_CERT_KEY", pki.path("tls/server.key"))
        .start();
    rename(&pki, "tls", "away");
    let line = node.log.containing(REFUSED);
    assert!(line.contains("there is no such file"), "{line}");
    rename(&pki, "away", "tls");
    node.log.containing("certificates are again those that are in force");
    assert_eq!(count(&node.log.so_far(), REPLACED), 0);
}

#[test]
fn the_same_content_written_again_is_no_replacement() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let node = reverse_proxy(&pki, gateway.address).start_ready();
    for name in ["client.crt", "client.key", "ca.crt"] {
        pki.write(name, pki.text(name));
        fs::copy(pki.path(name), pki.path("copy")).unwrap();
        rename(&pki, "copy", name);
    }
    // What is seen next is something else, so all of that was seen before.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        pki.write("ca.crt", pki.text("ca.crt"));
        thread::park_timeout(Duration::from_millis(50));
    }
    assert_eq!(count(&node.log.so_far(), REPLACED), 0);
    pki.issue("next", &Leaf::client("renewed"));
    rename(&pki, "next.crt", "client.crt");
    rename(&pki, "next.key", "client.key");
    node.log.containing(REPLACED);
    node.log.wait_times(2, "is reached", |line| line.contains("is reached").then_some(()));
    let lines = node.log.so_far();
    assert_eq!((count(&lines, REPLACED), count(&lines, REFUSED)), (1, 0), "{lines:#?}");
}

/// Runs `write` again and again until `stop` says so.
fn again_and_again(stop: &AtomicBool, mut write: impl FnMut(usize)) {
    let begin = Instant::now();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) && begin.elapsed() < PATIENCE {
        write(round);
        round += 1;
        thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_bundle_that_is_being_written_is_not_taken_for_a_shorter_one() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let other = Authority::new("another CA").unwrap().certificate_pem();
    pki.write("cas.crt", pki.text("ca.crt"));
    let node = gateway(&pki, echo.address).env("MTLS_AUTH_CA_CERTIFICATES", pki.path("cas.crt")).start();
    let url = format!("{}/", node.https());
    let begin = Instant::now();
    let mut written = other;
    // The first of two CAs is there, and a comment before the second grows for longer than a rest.
    while begin.elapsed() < Duration::from_secs(3) {
        pki.write("cas.crt", &written);
        written += "# more to come\n";
        thread::park_timeout(Duration::from_millis(50));
    }
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 200);
    pki.write("cas.crt", written + &pki.text("ca.crt"));
    node.log.containing(REPLACED);
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 200);
    assert_eq!(count(&node.log.so_far(), REPLACED), 1);
}

#[test]
fn a_file_that_never_rests_is_taken_over_all_the_same() {
    let (pki, echo) = (Pki::new(), Echo::start());
    pki.write("cas.crt", pki.text("ca.crt"));
    let node = gateway(&pki, echo.address).env("MTLS_AUTH_CA_CERTIFICATES", pki.path("cas.crt")).start();
    let (other, stop) = (Authority::new("another CA").unwrap().certificate_pem(), AtomicBool::new(false));
    let (folder, cas) = (pki.path("next.crt"), pki.path("cas.crt"));
    let write = |path: &Path, text: String| fs::write(path, text).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            again_and_again(&stop, |round| {
                write(&folder, format!("{other}# {round}\n"));
                fs::rename(&folder, &cas).unwrap();
            });
        });
        node.log.containing(REPLACED);
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(curl_as(&pki, "client", &[&format!("{}/", node.https())]).status, 401);
}
