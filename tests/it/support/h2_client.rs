//! HTTP/2 clients: one from the `h2` crate that can be stopped at any frame, and raw frames for
//! what no library sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use super::client::connect;
use super::http2;
use super::pki::Pki;

pub use super::http2::soon;

/// Runs `work` on a runtime of its own; fails after the test's patience.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(soon(work))
}

/// The same for work of many steps, each of which is waited for with [`soon`]: how long all of it takes is decided
/// by what else the machine does.
pub fn block_on_steps<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A connection; a task reads and writes it.
pub struct H2 {
    /// Opens streams.
    pub send: SendRequest<Bytes>,
    /// How the connection ended.
    pub ended: JoinHandle<Result<(), h2::Error>>,
}

impl H2 {
    /// In plaintext, with prior knowledge.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(tokio::net::TcpStream::connect(address).await.unwrap(), &Builder::new()).await
    }

    /// On any stream.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        builder: &Builder,
    ) -> Self {
        let (send, connection) = soon(builder.handshake(stream)).await.unwrap();
        Self { send, ended: tokio::spawn(connection) }
    }

    /// Starts a request; without a body the stream ends with the head.
    pub async fn start(&self, request: Request<()>, bodyless: bool) -> (ResponseFuture, SendStream<Bytes>) {
        soon(self.send.clone().ready()).await.unwrap().send_request(request, bodyless).unwrap()
    }

    /// A GET, and the head of its answer.
    pub async fn get(&self, path: &str) -> Result<Response<RecvStream>, h2::Error> {
        soon(self.start(get(path), true).await.0).await
    }
}

/// A GET for this path.
pub fn get(path: &str) -> Request<()> {
    Request::get(format!("http://node.example{path}")).body(()).unwrap()
}

/// A POST to this path.
pub fn post(path: &str) -> Request<()> {
    Request::post(format!("http://node.example{path}")).body(()).unwrap()
}

/// Everything that comes in a body, its window released.
pub async fn read_all(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = soon(body.data()).await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        all.extend_from_slice(&data);
    }
    Ok(all)
}

/// A TLS stream with ALPN h2 to a gateway of `pki`, with its client's certificate.
pub async fn tls(pki: &Pki, address: SocketAddr) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
    http2::tls(address, pki, Some("client"), &[b"h2"]).await
}

/// Frame types (RFC 9113 6).
pub mod kind {
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Frame flags.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 7).
pub const REFUSED_STREAM: u32 = 7;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// What every HTTP/2 connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// GET of a short path, as HPACK without any table or Huffman.
pub fn get_block(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x01\x04node");
    block
}

/// A connection that has said its preface and empty settings.
pub fn raw(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(PREFACE).unwrap();
    stream.write_all(&frame(kind::SETTINGS, 0, 0, &[])).unwrap();
    stream
}

/// The next frame of this kind; `None` when the connection ends first.
pub fn next_frame(stream: &mut TcpStream, wanted: u8) -> Option<Frame> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).ok()?;
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        if head[3] == wanted {
            return Some(Frame { kind: head[3], stream: id, payload });
        }
    }
}

impl Frame {
    /// The error code of RST_STREAM and GOAWAY.
    pub fn error_code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}
