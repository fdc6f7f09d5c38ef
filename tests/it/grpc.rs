//! gRPC through both nodes: an application with Python's grpcio, without TLS, and a service of the same kind.

use std::net::SocketAddr;
use std::process::Command;

use mtls_bridge::pki::{Authority, Leaf};
use serde_json::{Value, json};

use crate::support::bridge::{Bridge, Setup, gateway, reverse_proxy};
use crate::support::client::curl;
use crate::support::peers::{Peer, python_with};
use crate::support::pki::Pki;
use crate::support::services::closed_port;

/// Answers every kind of call; bytes in, bytes out, no generated code.
const SERVICE: &str = r#"
import grpc
from concurrent import futures

def metadata(context):
    return dict(context.invocation_metadata())

def unary(request, context):
    context.send_initial_metadata((("x-head", "from the service"),))
    context.set_trailing_metadata((("x-trailer", "after the message"), ("x-trailer-bin", b"\x00\xff")))
    return request + b" from " + metadata(context).get("x-client-cert-dn", "nobody").encode()

def down(request, context):
    for number in range(int(request)):
        yield str(number).encode()

def up(requests, context):
    return str(sum(len(request) for request in requests)).encode()

def both(requests, context):
    for request in requests:
        yield request.upper()

def fail(request, context):
    context.set_trailing_metadata((("x-trailer", "why"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "nothing here, 100 % sure: å")

def break_off(request, context):
    yield b"one"
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no second one")

def wait(request, context):
    over = futures.Future()
    context.add_callback(lambda: over.set_result(None))
    print("waiting", flush=True)
    over.result()
    print("cancelled", flush=True)
    yield b""

handlers = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Down": grpc.unary_stream_rpc_method_handler(down),
    "Up": grpc.stream_unary_rpc_method_handler(up),
    "Both": grpc.stream_stream_rpc_method_handler(both),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "BreakOff": grpc.unary_stream_rpc_method_handler(break_off),
    "Wait": grpc.unary_stream_rpc_method_handler(wait),
}
server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"127.0.0.1:{port}", flush=True)
server.wait_for_termination()
"#;

/// What every client script begins with; the script puts what it learned into `said`.
const CLIENT: &str = r#"
import grpc, json, sys
channel = grpc.insecure_channel(sys.argv[1])
path = "/test.Echo/"
said = {}

def failure(error):
    trailers = {key: value for key, value in error.trailing_metadata() if key.startswith("x-trailer")}
    return {"code": error.code().value[0], "details": error.details(), "trailers": trailers}
"#;

/// Runs a client script against this address and gives what it said.
fn call(python: &str, address: SocketAddr, script: &str) -> Value {
    let text = format!("{CLIENT}\n{script}\nprint(json.dumps(said))\n");
    let output = Command::new("timeout")
        .args(["60", python, "-c", &text, &address.to_string()])
        .env_remove("http_proxy")
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed: {complaint}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {complaint}"))
}

/// A unary call that is to fail, as the caller sees it.
const FAILING: &str = r#"
try:
    channel.unary_unary(path + "Unary")(b"hello", timeout=30)
except grpc.RpcError as error:
    said = failure(error)
"#;

/// Both nodes in front of a Python service.
struct Chain {
    python: &'static str,
    service: Peer,
    gateway: Bridge,
    reverse_proxy: Bridge,
}

impl Chain {
    /// `None` where Python has no grpcio.
    fn start() -> Option<Self> {
        Self::with(&Pki::new(), |gateway| gateway, "client")
    }

    fn with(pki: &Pki, change: impl FnOnce(Setup) -> Setup, name: &str) -> Option<Self> {
        let python = python_with("grpc")?;
        let service = Peer::start_telling(python, &["-c", SERVICE]);
        let gateway = change(gateway(pki, service.address)).start();
        let reverse_proxy = reverse_proxy(pki, gateway.address)
            .env("CLIENT_SSL_CERT", pki.path(&format!("{name}.crt")))
            .env("CLIENT_SSL_CERT_KEY", pki.path(&format!("{name}.key")))
            .start_ready();
        Some(Self { python, service, gateway, reverse_proxy })
    }

    fn call(&self, script: &str) -> Value {
        call(self.python, self.reverse_proxy.address, script)
    }
}

#[test]
fn a_unary_call_passes_with_its_metadata_and_the_service_learns_who_called() {
    let Some(chain) = Chain::start() else { return };
    let said = chain.call(
        r#"
answer, call = channel.unary_unary(path + "Unary").with_call(b"hello", timeout=30)
said = {"answer": answer.decode(), "head": dict(call.initial_metadata())["x-head"], "code": call.code().value[0]}
said["trailers"] = [list(value) if isinstance(value, bytes) else value
                    for key, value in call.trailing_metadata() if key.startswith("x-trailer")]
"#,
    );
    let expected = json!({
        "answer": "hello from CN=app", "head": "from the service", "code": 0,
        "trailers": ["after the message", [0, 255]],
    });
    assert_eq!(said, expected);
    let line = chain.gateway.access_line("/test.Echo/Unary");
    assert_eq!((&line["status"], &line["protocol"]), (&200.into(), &"HTTP/2.0".into()));
    assert!(line["reason"].is_null(), "{line}");
}

#[test]
fn a_service_streams_many_messages_down() {
    let Some(chain) = Chain::start() else { return };
    let said = chain.call(
        r#"
said = [int(message) for message in channel.unary_stream(path + "Down")(b"1000", timeout=30)]
"#,
    );
    assert_eq!(said, json!((0..1000).collect::<Vec<_>>()));
}

#[test]
fn a_client_streams_many_messages_up() {
    let Some(chain) = Chain::start() else { return };
    let said = chain.call(
        r#"
said = channel.stream_unary(path + "Up")((b"x" * 10000 for _ in range(500)), timeout=30).decode()
"#,
    );
    assert_eq!(said, "5000000");
}

#[test]
fn messages_go_back_and_forth_one_by_one() {
    let Some(chain) = Chain::start() else { return };
    // Each message waits for the answer to the one before it, so nothing may be held back.
    let said = chain.call(
        r#"
import queue
wishes = queue.Queue()
answers = channel.stream_stream(path + "Both")(iter(wishes.get, None), timeout=30)
said = []
for number in range(50):
    wishes.put(f"message {number}".encode())
    said.append(next(answers).decode())
wishes.put(None)
said.append(list(answers))
"#,
    );
    let mut expected: Vec<Value> = (0..50).map(|number| format!("MESSAGE {number}").into()).collect();
    expected.push(json!([]));
    assert_eq!(said, Value::from(expected));
}

#[test]
fn a_status_of_the_service_arrives_with_its_message_and_trailers() {
    let Some(chain) = Chain::start() else { return };
    let said = chain.call(
        r#"
try:
    channel.unary_unary(path + "Fail")(b"", timeout=30)
except grpc.RpcError as error:
    said = failure(error)
"#,
    );
    let expected =
        json!({"code": 5, "details": "nothing here, 100 % sure: å", "trailers": {"x-trailer": "why"}});
    assert_eq!(said, expected);
    assert!(chain.gateway.access_line("/test.Echo/Fail")["reason"].is_null());
}

#[test]
fn a_status_after_messages_arrives_behind_them() {
    let Some(chain) = Chain::start() else { return };
    let said = chain.call(
        r#"
messages = []
try:
    for message in channel.unary_stream(path + "BreakOff")(b"", timeout=30):
        messages.append(message.decode())
except grpc.RpcError as error:
    said = {"messages": messages, "code": error.code().value[0], "details": error.details()}
"#,
    );
    assert_eq!(said, json!({"messages": ["one"], "code": 8, "details": "no second one"}));
}

#[test]
fn a_call_that_the_client_cancels_is_cancelled_at_the_service() {
    let Some(chain) = Chain::start() else { return };
    let said = chain.call(
        r#"
call = channel.unary_stream(path + "Wait")(b"")
try:
    channel.unary_stream(path + "Wait")(b"", timeout=1).next()
except grpc.RpcError as error:
    said = error.code().value[0]
call.cancel()
"#,
    );
    assert_eq!(said, 4, "DEADLINE_EXCEEDED");
    chain.service.output.containing("waiting");
    chain.service.output.containing("cancelled");
}

#[test]
fn many_calls_at_once_share_the_link() {
    let Some(chain) = Chain::start() else { return };
    let said = chain.call(
        r#"
calls = [channel.unary_unary(path + "Unary").future(str(number).encode(), timeout=30) for number in range(300)]
said = sorted({call.result().decode().split(" ", 1)[1] for call in calls}), len(calls)
"#,
    );
    assert_eq!(said, json!([["from CN=app"], 300]));
}

#[test]
fn a_call_with_a_certificate_that_is_not_trusted_is_unauthenticated() {
    let pki = Pki::new();
    pki.keep("stranger", Authority::new("another CA").unwrap().issue(&Leaf::client("app")).unwrap());
    let Some(chain) = Chain::with(&pki, |gateway| gateway, "stranger") else { return };
    let expected = json!({"code": 16, "details": "TLS certificate failed verification", "trailers": {}});
    assert_eq!(chain.call(FAILING), expected);
    let reason = chain.gateway.access_line("/test.Echo/Unary")["reason"].clone();
    assert!(reason.as_str().unwrap().contains("was issued by CN=another CA"), "{reason}");
}

#[test]
fn a_call_of_a_group_that_is_not_allowed_is_denied() {
    let billing_only = |gateway: Setup| gateway.env("ACL_ALLOW", "billing");
    let Some(chain) = Chain::with(&Pki::new(), billing_only, "client") else { return };
    let expected = json!({"code": 7, "details": "You cannot consume this service", "trailers": {}});
    assert_eq!(chain.call(FAILING), expected);
}

#[test]
fn a_denied_call_is_answered_by_its_head_alone() {
    let pki = Pki::new();
    let gateway = gateway(&pki, closed_port()).start();
    let ca = pki.path("ca.crt").display().to_string();
    let url = format!("{}/test.Echo/Unary", gateway.https());
    // Without a body: curl 7.88 takes the end of an answer that comes before its body for an error.
    let grpc = ["-H", "Content-Type: application/grpc", "-H", "TE: trailers", "-X", "POST"];
    let answer = curl(&[&["--cacert", &ca, "--http2"], &grpc[..], &[&url]].concat());
    assert_eq!((answer.status, answer.exit, answer.body.as_str()), (200, 0, ""));
    assert_eq!(answer.header("grpc-status"), Some("16"));
    assert_eq!(answer.header("grpc-message"), Some("No required TLS certificate was sent"));
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
}

#[test]
fn a_call_for_a_dead_service_is_unavailable() {
    let Some(python) = python_with("grpc") else { return };
    let pki = Pki::new();
    let gateway = gateway(&pki, closed_port()).start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).start_ready();
    let text = "An invalid response was received from the upstream server";
    let expected = json!({"code": 14, "details": text, "trailers": {}});
    assert_eq!(call(python, reverse_proxy.address, FAILING), expected);
    let reason = gateway.access_line("/test.Echo/Unary")["reason"].clone();
    assert!(reason.as_str().unwrap().contains("cannot be reached"), "{reason}");
}

#[test]
fn a_call_through_a_dead_gateway_is_unavailable() {
    let Some(python) = python_with("grpc") else { return };
    let reverse_proxy = reverse_proxy(&Pki::new(), closed_port()).start();
    assert_eq!(call(python, reverse_proxy.address, FAILING)["code"], 14);
    let reason = reverse_proxy.access_line("/test.Echo/Unary")["reason"].clone();
    assert!(reason.as_str().unwrap().contains("cannot be reached"), "{reason}");
}
