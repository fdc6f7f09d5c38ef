//! Handshakes over real sockets, under several server names (V1 and V3 of the threats this project
//! tests against). openssl is the client where a name is to be sent that rustls would not send.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Socket};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use proptest::prelude::*;
use rustls::pki_types::UnixTime;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use super::*;
use crate::message::reply::Reply;
use crate::pki::{Authority, Issued, KeyKind, Leaf};
use crate::policy::{Decisions, Lookup, MtlsAuth, NobodyKnows, Policy, Question, Refused};
use crate::tls::credentials::{Credentials, Side};
use crate::tls::server::{Asks, Hints, Presented};
use crate::tls::sni::ByName;
use crate::tls::trust::ChainVerifier;
use http::HeaderMap;

/// A listener with several names, and a caller who has a certificate.
struct Node {
    authority: Authority,
    presented: Presented,
    caller: Issued,
    folder: TempDir,
}

/// In the default certificate and in those of three names, the first name is the CN.
const OWN: [&str; 3] = ["open.example", "secure.example", "*.wild.example"];

impl Node {
    fn new() -> Self {
        let authority = Authority::new("the callers").unwrap();
        let caller = authority.issue(&Leaf::client("app")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.crt"), &caller.certificate_pem).unwrap();
        std::fs::write(folder.path().join("app.key"), &caller.key_pem).unwrap();
        let own = |name| vec![server(&authority, name, KeyKind::P256)];
        let by_name = by_name(OWN.map(|name| (name, own(name))));
        let presented = Presented { default: own("default.example"), by_name };
        Self { authority, presented, caller, folder }
    }

    fn verifier(&self) -> Arc<ChainVerifier> {
        let cas = vec![self.authority.certificate().clone()];
        Arc::new(ChainVerifier::new(cas, false, UnixTime::now()).unwrap())
    }

    /// Those of `secure.example` are asked and told the CA, those of `*.wild.example` are asked.
    fn names(&self) -> ByName<Hints> {
        let told = Hints::new(self.verifier().subjects()).unwrap();
        by_name([("secure.example", told), ("*.wild.example", Hints::default())])
    }

    fn configs(&self, asks: &Asks) -> ServerConfigs {
        ServerConfigs::new(&self.presented, asks, &[&TLS13, &TLS12]).unwrap()
    }

    /// `openssl s_client`, which offers its certificate to whoever asks: the peer it is to us, and what
    /// it tells.
    fn openssl(&self, configs: &ServerConfigs, arguments: &[&str]) -> (Result<Peer, String>, String) {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-cert", "app.crt", "-key", "app.key"]).args(arguments);
        command.current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let (peer, output) = meet(configs, move |address| {
            let client = command.args(["-connect", &address.to_string()]).spawn().unwrap();
            thread::spawn(|| client.wait_with_output().unwrap())
        });
        (peer, String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A client that has begun to speak, for this name.
    fn client(&self, server_name: &str) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(self.caller.chain(), self.caller.key())
            .unwrap();
        ClientConnection::new(Arc::new(config), server_name.to_owned().try_into().unwrap()).unwrap()
    }
}

fn by_name<T>(values: impl IntoIterator<Item = (&'static str, T)>) -> ByName<T> {
    let mut by_name = ByName::default();
    for (name, value) in values {
        assert!(by_name.insert(name.parse().unwrap(), value).is_none());
    }
    by_name
}

fn server(authority: &Authority, name: &str, key_kind: KeyKind) -> Credentials {
    let leaf = Leaf { key_kind, ..Leaf::server(&[name]).unwrap() };
    let issued = authority.issue(&leaf).unwrap();
    Credentials::new(issued.chain(), issued.key(), Side::Server, UnixTime::now()).unwrap()
}

/// What became of a handshake with the client that is started, on both sides.
fn meet<T>(
    configs: &ServerConfigs,
    start: impl FnOnce(SocketAddr) -> JoinHandle<T>,
) -> (Result<Peer, String>, T) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (peer, client) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = start(listener.local_addr().unwrap());
        let (speaks, known) = (Speaks { tls: true, http2: true }, KnownCertificates::default());
        let meet = async {
            let (tcp, address) = listener.accept().await.unwrap();
            let mut shaken = shake(tcp, address, speaks, Some(configs), &known).await?;
            // Ends it in order, so that the client reads all that was sent.
            let _ = shaken.stream.shutdown().await;
            let _ = shaken.stream.read_to_end(&mut Vec::new()).await;
            Ok(shaken.peer)
        };
        (tokio::time::timeout(Duration::from_secs(20), meet).await.expect("an end"), client)
    });
    (peer, client.join().unwrap())
}

/// The common name of the certificate the client was shown.
fn shown(told: &str) -> Option<&str> {
    told.lines().find_map(|line| line.strip_prefix("subject=CN = "))
}

const NAMES_CA: &str = "Acceptable client certificate CA names\nCN = the callers\n";
const NAMES_NO_CA: &str = "No client certificate CA names sent";

/// Under both versions: the certificate shown, and whether the client is asked, and for whose.
fn check(node: &Node, configs: &ServerConfigs, server_name: Option<&str>, own: &str, asked: Option<&str>) {
    for version in ["-tls1_2", "-tls1_3"] {
        let name = server_name.map_or_else(|| vec!["-noservername"], |name| vec!["-servername", name]);
        let (peer, told) = node.openssl(configs, &[&[version], &name[..]].concat());
        let context = format!("{server_name:?} {version}: {peer:?}\n{told}");
        let peer = peer.unwrap_or_else(|_| panic!("{context}"));
        assert_eq!(shown(&told), Some(own), "{context}");
        assert_eq!(peer.certificate().is_some(), asked.is_some(), "{context}");
        assert!(told.contains(asked.unwrap_or(NAMES_NO_CA)), "{context}");
    }
}

#[test]
fn the_name_decides_which_certificate_is_shown_and_whether_one_is_asked_for() {
    let node = Node::new();
    let configs = node.configs(&Asks::Named { names: node.names(), rest: None });
    let check = |name, own, asked| check(&node, &configs, name, own, asked);
    check(Some("open.example"), "open.example", None);
    check(Some("secure.example"), "secure.example", Some(NAMES_CA));
    check(Some("SECURE.Example"), "secure.example", Some(NAMES_CA));
    check(Some("secure.example."), "secure.example", Some(NAMES_CA));
    check(Some("a.wild.example"), "*.wild.example", Some(NAMES_NO_CA));
    check(Some("b.a.wild.example"), "default.example", None);
    check(Some("other.example"), "default.example", None);
    // An address is no server name (RFC 6066 3).
    check(Some("127.0.0.1"), "default.example", None);
    check(None, "default.example", None);
}

#[test]
fn all_others_can_be_asked_too_with_other_ca_names() {
    let node = Node::new();
    let told = node.names().find(Some("secure.example")).cloned();
    let names = by_name([("open.example", Hints::default())]);
    let configs = node.configs(&Asks::Named { names, rest: told });
    check(&node, &configs, Some("open.example"), "open.example", Some(NAMES_NO_CA));
    for name in [Some("secure.example"), Some("other.example"), Some("127.0.0.1"), None] {
        let own = name.filter(|name| *name == "secure.example").unwrap_or("default.example");
        check(&node, &configs, name, own, Some(NAMES_CA));
    }
}

#[test]
fn what_is_no_host_name_does_not_come_in() {
    let node = Node::new();
    let configs = node.configs(&Asks::Named { names: node.names(), rest: None });
    for name in ["-a.example", "a..example", "a b"] {
        let (peer, told) = node.openssl(&configs, &["-servername", name]);
        assert!(peer.is_err() && shown(&told).is_none(), "{name}: {peer:?} {told}");
    }
}

#[test]
fn a_name_may_have_certificates_of_several_kinds() {
    let mut node = Node::new();
    let both = [KeyKind::P256, KeyKind::Rsa2048].map(|kind| server(&node.authority, "both.example", kind));
    node.presented.by_name.insert("both.example".parse().unwrap(), both.to_vec());
    let configs = node.configs(&Asks::Nobody);
    let kinds = [("ECDSA+SHA256", "id-ecPublicKey"), ("RSA-PSS+SHA256", "rsaEncryption")];
    for (algorithms, kind) in kinds {
        let (_, told) = node.openssl(&configs, &["-servername", "both.example", "-sigalgs", algorithms]);
        assert_eq!(shown(&told), Some("both.example"), "{told}");
        assert!(told.contains(kind), "{algorithms}: {told}");
    }
    // One whose only kind does not fit is not replaced by one of another name.
    let (peer, told) = node.openssl(&configs, &["-servername", "open.example", "-sigalgs", "RSA-PSS+SHA256"]);
    assert!(peer.is_err() && shown(&told).is_none(), "{told}");
}

#[test]
fn routes_see_the_name_by_which_the_client_was_asked() {
    let node = Node::new();
    let configs = node.configs(&Asks::Named { names: node.names(), rest: None });
    for name in ["secure.example", "SECURE.example", "secure.example."] {
        let (peer, _) = node.openssl(&configs, &["-servername", name]);
        assert_eq!(peer.unwrap().tls.unwrap().server_name.as_deref(), Some("secure.example"), "{name}");
    }
}

/// The connection tells who the caller is, and `Host` has no part in it: HTTP/1.1 with another Host, and
/// HTTP/2 requests for another authority on a connection that was opened for this name, are the same.
#[test]
fn a_connection_under_a_name_that_is_not_asked_has_no_identity_for_any_host() {
    let node = Node::new();
    let configs = node.configs(&Asks::Named { names: node.names(), rest: None });
    let policy = Arc::new(Policy {
        mtls_auth: Some(MtlsAuth {
            verifier: node.verifier(),
            lookup: Lookup::Skip { group_by: None },
            anonymous: None,
            revocation: None,
        }),
        ..Policy::default()
    });
    let permits = |name: &str| {
        let peer = node.openssl(&configs, &["-servername", name]).0.unwrap();
        let question = Question {
            peer: &peer,
            client_ip: peer.address.ip(),
            from_trusted_ip: false,
            headers: &HeaderMap::new(),
            statuses: &NobodyKnows,
            now: UnixTime::now(),
        };
        policy.authorize(&question, &Decisions::default())
    };
    assert!(permits("secure.example").is_ok());
    let Err(Refused::Denied(denial)) = permits("open.example") else { panic!("not denied") };
    assert_eq!(denial.reply, Reply::NO_CERTIFICATE);
}

#[test]
fn a_client_is_given_no_session_to_resume_where_any_name_is_asked() {
    let node = Node::new();
    let session = |configs: &ServerConfigs, version: &str, name: &str| {
        let file = node.folder.path().join("session");
        let _ = std::fs::remove_file(&file);
        let (peer, _) = node.openssl(configs, &[version, "-servername", name, "-sess_out", "session"]);
        assert!(peer.is_ok(), "{peer:?}");
        file.exists()
    };
    const TRIES: usize = 10;
    let (nobody, some) =
        (node.configs(&Asks::Nobody), node.configs(&Asks::Named { names: node.names(), rest: None }));
    for version in ["-tls1_2", "-tls1_3"] {
        // In TLS 1.3 a ticket comes after the handshake, and openssl may have gone by then.
        let given = |configs, name| (0..TRIES).any(|_| session(configs, version, name));
        assert!(given(&nobody, "open.example"), "{version}: the check finds nothing");
        for name in ["open.example", "secure.example", "other.example"] {
            assert!(!given(&some, name), "{version} {name}");
        }
    }
}

#[test]
fn who_must_show_a_certificate_must_under_every_name() {
    let node = Node::new();
    let configs = node.configs(&Asks::Require(Hints::default(), node.verifier()));
    for name in ["open.example", "secure.example", "other.example"] {
        assert!(node.openssl(&configs, &["-servername", name]).0.unwrap().certificate().is_some());
        let none = ["-servername", name, "-cert", "nobody.crt", "-key", "nobody.key"];
        let nobody = Leaf::client("nobody").self_signed().unwrap();
        std::fs::write(node.folder.path().join("nobody.crt"), &nobody.certificate_pem).unwrap();
        std::fs::write(node.folder.path().join("nobody.key"), &nobody.key_pem).unwrap();
        assert!(node.openssl(&configs, &none).0.is_err(), "{name}");
    }
}

/// What the client sends first, as one record.
fn hello(client: &mut ClientConnection) -> Vec<u8> {
    let mut sent = Vec::new();
    client.write_tls(&mut sent).unwrap();
    sent
}

/// The same message in records of so many bytes (RFC 8446 5.1 allows it).
fn in_records(hello: &[u8], of: usize) -> Vec<u8> {
    let (head, message) = hello.split_at(5);
    let record = |part: &[u8]| [&head[..3], &(part.len() as u16).to_be_bytes(), part].concat();
    message.chunks(of).flat_map(record).collect()
}

/// Sends the ClientHello in such records and writes, and shakes hands: whether it came to an end.
fn split(
    mut client: ClientConnection,
    record: usize,
    write: usize,
) -> impl FnOnce(SocketAddr) -> JoinHandle<bool> {
    move |address| {
        thread::spawn(move || {
            let mut socket = Socket::connect(address).unwrap();
            socket.set_nodelay(true).unwrap();
            for part in in_records(&hello(&mut client), record).chunks(write) {
                socket.write_all(part).unwrap();
            }
            while client.is_handshaking() && client.complete_io(&mut socket).is_ok() {}
            let _ = rustls::Stream::new(&mut client, &mut socket).read_to_end(&mut Vec::new());
            !client.is_handshaking()
        })
    }
}

#[test]
fn a_client_hello_in_pieces_is_asked_like_any_other() {
    let node = Node::new();
    let configs = node.configs(&Asks::Named { names: node.names(), rest: None });
    for (record, write) in [(1, 1), (1, 4096), (7, 3), (40, 1), (16_384, 1), (100, 100)] {
        for (name, asked) in [("secure.example", true), ("open.example", false)] {
            let (peer, complete) = meet(&configs, split(node.client(name), record, write));
            assert_eq!(peer.unwrap().certificate().is_some(), asked, "{name} {record} {write}");
            assert!(complete, "{name} {record} {write}");
        }
    }
}

/// Sends this and nothing more.
fn send(bytes: Vec<u8>) -> impl FnOnce(SocketAddr) -> JoinHandle<()> {
    move |address| {
        thread::spawn(move || {
            let mut socket = Socket::connect(address).unwrap();
            // It may be refused before all is sent.
            let _ = socket.write_all(&bytes).and_then(|()| socket.shutdown(Shutdown::Write));
            let _ = socket.read_to_end(&mut Vec::new());
        })
    }
}

#[test]
fn what_is_no_client_hello_ends_with_a_sentence() {
    let node = Node::new();
    let configs = node.configs(&Asks::Named { names: node.names(), rest: None });
    let check = |bytes: &[u8], sentence: &str| {
        assert_eq!(meet(&configs, send(bytes.into())).0.unwrap_err(), sentence);
    };
    check(b"", "the client closed the connection in the handshake");
    check(b"\x16\x03\x01\x02\x00\x01", "the client closed the connection in the handshake");
    check(b"GET / HTTP/1.1\r\n\r\n", "the client did not speak TLS; is it plain HTTP sent to a TLS port?");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_client_hello_ends_in_an_error(
        cut in 0..2000_usize,
        record in 1..600_usize,
        damage in proptest::collection::vec((0..2000_usize, any::<u8>()), 0..6),
    ) {
        let node = Node::new();
        let configs = node.configs(&Asks::Named { names: node.names(), rest: None });
        let mut hello = hello(&mut node.client("secure.example"));
        hello.truncate(cut.max(6));
        for (at, byte) in damage {
            if let Some(damaged) = hello.get_mut(at) {
                *damaged = byte;
            }
        }
        prop_assert!(meet(&configs, send(in_records(&hello, record))).0.is_err());
    }
}
