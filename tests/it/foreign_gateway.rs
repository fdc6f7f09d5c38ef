//! Our reverse proxy towards an nginx and an HAProxy that require client certificates.

use std::fmt::Write as _;
use std::net::SocketAddr;

use mtls_bridge::pki::{Authority, Leaf};

use crate::support::bridge::{Bridge, reverse_proxy};
use crate::support::client::{Answer, curl};
use crate::support::peers::{Peer, free_address, haproxy, installed, nginx};
use crate::support::pki::Pki;
use crate::support::services::Echo;

/// What it says to its caller when the other side is not as it should be.
const BAD_GATEWAY: &str = "An invalid response was received from the upstream server";

/// A foreign gateway: which program, and what it speaks on the link.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Foreign {
    Nginx { http2: bool },
    HaProxy { http2: bool },
}

const ALL: [Foreign; 4] = [
    Foreign::Nginx { http2: false },
    Foreign::Nginx { http2: true },
    Foreign::HaProxy { http2: false },
    Foreign::HaProxy { http2: true },
];

/// How the foreign gateway differs from the usual one.
#[derive(Debug, Clone, Copy)]
struct Terms<'a> {
    /// `NAME.crt` and `NAME.key` it presents.
    certificate: &'a str,
    /// Whether it asks for a certificate.
    asks: bool,
    /// The newest TLS it speaks.
    newest: &'a str,
}

const USUAL: Terms<'static> = Terms { certificate: "server", asks: true, newest: "TLSv1.3" };

impl Foreign {
    fn is_installed(self) -> bool {
        installed(match self {
            Self::Nginx { .. } => "nginx",
            Self::HaProxy { .. } => "haproxy",
        })
    }

    fn is_http2(self) -> bool {
        let (Self::Nginx { http2 } | Self::HaProxy { http2 }) = self;
        http2
    }

    /// Starts it in front of `service`, which is told what the foreign gateway sees.
    fn start(self, pki: &Pki, service: SocketAddr, terms: Terms<'_>) -> Peer {
        match self {
            Self::Nginx { http2 } => start_nginx(pki, service, terms, http2),
            Self::HaProxy { http2 } => start_haproxy(pki, service, terms, http2),
        }
    }
}

fn start_nginx(pki: &Pki, service: SocketAddr, terms: Terms<'_>, http2: bool) -> Peer {
    let Terms { certificate, asks, newest } = terms;
    let (address, dir) = (free_address(), pki.path("").display().to_string());
    let http2 = if http2 { "http2" } else { "" };
    let protocols = if newest == "TLSv1.3" { "TLSv1.2 TLSv1.3" } else { newest };
    let verify = if asks {
        format!("ssl_client_certificate {dir}ca.crt; ssl_verify_client on;")
    } else {
        String::new()
    };
    let http = format!(
        "server {{ listen {address} ssl {http2}; server_name localhost;\n\
         ssl_certificate {dir}{certificate}.crt; ssl_certificate_key {dir}{certificate}.key;\n\
         ssl_protocols {protocols}; {verify} client_max_body_size 0;\n\
         location / {{ proxy_pass http://{service}; proxy_http_version 1.1;\n\
         proxy_set_header X-Seen-Dn $ssl_client_s_dn; proxy_set_header X-Seen-Verify $ssl_client_verify;\n\
         proxy_set_header X-Seen-Protocol $server_protocol; proxy_set_header X-Seen-Tls $ssl_protocol;\n\
         proxy_set_header X-Seen-Port $remote_port; }} }}"
    );
    nginx(&pki.path(""), &http, address)
}

fn start_haproxy(pki: &Pki, service: SocketAddr, terms: Terms<'_>, http2: bool) -> Peer {
    let Terms { certificate, asks, newest } = terms;
    let (address, dir) = (free_address(), pki.path("").display().to_string());
    let pem = pki.text(&format!("{certificate}.crt")) + &pki.text(&format!("{certificate}.key"));
    let pem = pki.write(&format!("{certificate}.pem"), pem);
    let alpn = if http2 { "h2,http/1.1" } else { "http/1.1" };
    let verify = if asks { format!("ca-file {dir}ca.crt verify required") } else { String::new() };
    let mut sections = format!(
        "frontend gateway\n bind {address} ssl crt {} alpn {alpn} ssl-max-ver {newest} {verify}\n",
        pem.display()
    );
    for (name, sample) in [
        ("Dn", "ssl_c_s_dn(,0,rfc2253)"),
        ("Verify", "ssl_c_verify"),
        ("Protocol", "req.ver"),
        ("Tls", "ssl_fc_protocol"),
        ("Port", "src_port"),
    ] {
        writeln!(sections, " http-request set-header X-Seen-{name} %[{sample}]").unwrap();
    }
    write!(sections, " default_backend echo\nbackend echo\n server echo {service}\n").unwrap();
    haproxy(&pki.path(""), &sections, address)
}

/// The whole way: our reverse proxy, the foreign gateway, the echo.
struct Way {
    reverse_proxy: Bridge,
    _foreign: Peer,
    _echo: Echo,
    pki: Pki,
}

impl Way {
    /// `None` where the foreign program is missing.
    fn to(foreign: Foreign) -> Option<Self> {
        Self::with(foreign, Pki::new(), "client", USUAL)
    }

    /// Presents `NAME.crt` to a foreign gateway on these terms.
    fn with(foreign: Foreign, pki: Pki, name: &str, terms: Terms<'_>) -> Option<Self> {
        foreign.is_installed().then(|| {
            let echo = Echo::start();
            let peer = foreign.start(&pki, echo.address, terms);
            let reverse_proxy = reverse_proxy(&pki, peer.address)
                .env("CLIENT_SSL_CERT", pki.path(&format!("{name}.crt")))
                .env("CLIENT_SSL_CERT_KEY", pki.path(&format!("{name}.key")))
                .start();
            Self { reverse_proxy, _foreign: peer, _echo: echo, pki }
        })
    }

    fn get(&self, path: &str, more: &[&str]) -> Answer {
        let url = format!("{}{path}", self.reverse_proxy.http());
        curl(&[more, &[&url]].concat())
    }

    /// The answer to a request that the link cannot carry, and the reason in our log.
    fn refused(&self) -> String {
        let answer = self.get("/refused", &[]);
        assert_eq!((answer.status, &answer.json()["message"]), (502, &BAD_GATEWAY.into()));
        self.reverse_proxy.access_line("/refused")["reason"].as_str().unwrap().to_owned()
    }

    fn upstream(&self) -> String {
        let line = self.reverse_proxy.access.json("an upstream", |line| line["upstream"].is_string());
        line["upstream"].as_str().unwrap().to_owned()
    }
}

/// `client.crt` of a CA that the foreign gateway does not know, as `stranger.crt`.
fn with_stranger() -> Pki {
    let pki = Pki::new();
    let stranger = Authority::new("another CA").unwrap().issue(&Leaf::client("app")).unwrap();
    pki.keep("stranger", stranger);
    pki
}

#[test]
fn a_foreign_gateway_sees_our_certificate_and_speaks_the_http_it_offers() {
    for foreign in ALL {
        let Some(way) = Way::to(foreign) else { continue };
        let answer = way.get("/orders?x=1", &[]);
        assert_eq!((answer.status, &answer.json()["path"]), (200, &"/orders".into()), "{foreign:?}");
        assert_eq!(answer.received("x-seen-dn"), ["CN=app"], "{foreign:?}");
        let (verified, protocol) = match foreign {
            Foreign::Nginx { http2 } => ("SUCCESS", if http2 { "HTTP/2.0" } else { "HTTP/1.1" }),
            Foreign::HaProxy { http2 } => ("0", if http2 { "2.0" } else { "1.1" }),
        };
        assert_eq!(answer.received("x-seen-verify"), [verified], "{foreign:?}");
        assert_eq!(answer.received("x-seen-protocol"), [protocol], "{foreign:?}");
        assert_eq!(answer.received("x-seen-tls"), ["TLSv1.3"], "{foreign:?}");
    }
}

#[test]
fn a_foreign_gateway_that_knows_only_tls_1_2_gets_our_certificate_too() {
    let terms = Terms { newest: "TLSv1.2", ..USUAL };
    for foreign in ALL {
        let Some(way) = Way::with(foreign, Pki::new(), "client", terms) else { continue };
        let answer = way.get("/", &[]);
        assert_eq!(answer.received("x-seen-tls"), ["TLSv1.2"], "{foreign:?}");
        assert_eq!(answer.received("x-seen-dn"), ["CN=app"], "{foreign:?}");
    }
}

#[test]
fn a_megabyte_goes_up_to_a_foreign_gateway_unchanged() {
    let text: String = (0..131_072).map(|number| format!("{number:07}\n")).collect();
    for foreign in ALL {
        let Some(way) = Way::to(foreign) else { continue };
        let body = way.pki.write("body.txt", &text).display().to_string();
        let answer = way.get("/", &["-H", "Expect:", "--data-binary", &format!("@{body}")]);
        assert_eq!(answer.status, 200, "{foreign:?}");
        assert!(answer.json()["body"] == text.as_str(), "the body was changed: {foreign:?}");
    }
}

#[test]
fn a_megabyte_comes_down_from_a_foreign_gateway_whole() {
    for foreign in ALL {
        let Some(way) = Way::to(foreign) else { continue };
        for path in ["/bytes/1048576", "/bytes/1048577?chunked"] {
            let answer = way.get(path, &[]);
            let announced = path.trim_start_matches("/bytes/").trim_end_matches("?chunked");
            assert_eq!((answer.status, answer.exit), (200, 0), "{foreign:?} {path}");
            assert_eq!(answer.body.len().to_string(), announced, "{foreign:?} {path}");
        }
    }
}

#[test]
fn requests_one_after_the_other_share_one_connection_to_a_foreign_gateway() {
    for foreign in ALL {
        let Some(way) = Way::to(foreign) else { continue };
        // Else the first request may open a connection beside the one that is opened at start.
        way.reverse_proxy.log.containing("is reached");
        let ports: Vec<_> = (0..3).map(|_| way.get("/", &[]).received("x-seen-port")).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && port.len() == 1), "{foreign:?}: {ports:?}");
    }
}

#[test]
fn what_nginx_says_to_a_stranger_is_passed_on_as_it_is() {
    // nginx accepts the handshake and refuses the request: an answer like any other.
    for foreign in [Foreign::Nginx { http2: false }, Foreign::Nginx { http2: true }] {
        let Some(way) = Way::with(foreign, with_stranger(), "stranger", USUAL) else { continue };
        let answer = way.get("/stranger", &[]);
        assert_eq!(answer.status, 400, "{foreign:?}");
        assert!(answer.body.contains("The SSL certificate error"), "{foreign:?}: {}", answer.body);
        assert!(answer.header("server").unwrap().starts_with("nginx"), "{foreign:?}");
        assert_eq!(way.reverse_proxy.access_line("/stranger")["status"], 400, "{foreign:?}");
    }
}

#[test]
fn the_alert_with_which_haproxy_refuses_a_stranger_is_named_in_our_log() {
    for http2 in [false, true] {
        for newest in ["TLSv1.2", "TLSv1.3"] {
            let (foreign, terms) = (Foreign::HaProxy { http2 }, Terms { newest, ..USUAL });
            let Some(way) = Way::with(foreign, with_stranger(), "stranger", terms) else { continue };
            let reason = way.refused();
            let expected = format!(
                "{} refused our client certificate (alert UnknownCA); does it trust the CA that issued it?",
                way.upstream()
            );
            assert_eq!(reason, expected, "{foreign:?} {newest}");
        }
    }
}

#[test]
fn a_foreign_gateway_of_another_name_gets_no_request() {
    for foreign in ALL {
        let pki = Pki::new();
        pki.issue("elsewhere", &Leaf::server(&["elsewhere.example"]).unwrap());
        let terms = Terms { certificate: "elsewhere", ..USUAL };
        let Some(way) = Way::with(foreign, pki, "client", terms) else { continue };
        let reason = way.refused();
        let start = format!("the certificate of {} has another name: ", way.upstream());
        assert!(reason.starts_with(&start) && reason.contains("elsewhere.example"), "{foreign:?}: {reason}");
    }
}

#[test]
fn a_foreign_gateway_of_another_ca_gets_no_request() {
    for foreign in ALL {
        let pki = Pki::new();
        let other = Authority::new("another CA").unwrap();
        pki.keep("impostor", other.issue(&Leaf::server(&["localhost"]).unwrap()).unwrap());
        let terms = Terms { certificate: "impostor", ..USUAL };
        let Some(way) = Way::with(foreign, pki, "client", terms) else { continue };
        let reason = way.refused();
        let expected = format!(
            "the certificate of {} was not issued by any CA in upstream_ca_certificates",
            way.upstream()
        );
        assert_eq!(reason, expected, "{foreign:?}");
    }
}

#[test]
fn a_foreign_gateway_that_asks_for_no_certificate_gets_no_request() {
    let terms = Terms { asks: false, ..USUAL };
    for foreign in ALL {
        let Some(way) = Way::with(foreign, Pki::new(), "client", terms) else { continue };
        let reason = way.refused();
        let expected = format!(
            "{} did not ask for a client certificate, so the link would not be mutual; does its mtls-auth \
             cover this port, or should client_ssl be off?",
            way.upstream()
        );
        assert_eq!(reason, expected, "{foreign:?}");
    }
}

#[test]
fn http2_that_is_demanded_and_not_offered_is_an_error() {
    for foreign in ALL.into_iter().filter(|foreign| !foreign.is_http2()) {
        if !foreign.is_installed() {
            continue;
        }
        let (pki, echo) = (Pki::new(), Echo::start());
        let peer = foreign.start(&pki, echo.address, USUAL);
        let bridge = reverse_proxy(&pki, peer.address).env("UPSTREAM_HTTP", "http2").start();
        let answer = curl(&[&format!("{}/refused", bridge.http())]);
        assert_eq!(answer.status, 502, "{foreign:?}");
        let reason = bridge.access_line("/refused")["reason"].as_str().unwrap().to_owned();
        // OpenSSL's servers may refuse what they do not know or choose nothing at all.
        let said = ["speaks no HTTP that we offered", "does not speak HTTP/2"];
        assert!(said.iter().any(|said| reason.contains(said)), "{foreign:?}: {reason}");
        assert!(reason.contains("upstream_http"), "{foreign:?}: {reason}");
    }
}
