//! The plain service behind every gateway, as light as it can be: it is no part of what is measured.
//!
//! A process of its own with one thread, so that its connections and its CPU are nobody else's. `GET /`
//! answers 12 bytes, `GET /bytes/N` answers N, and a body that is sent is read to its end and answered with
//! its length in 12 digits.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::bail;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, LocalOptions};

use crate::peers::{Node, free_address};

/// What `GET /` answers.
const HELLO: &[u8; 12] = b"hello, world";
/// Pieces that bodies are sent and read in.
const PIECE: usize = 256 * 1024;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// Starts this program a second time, as the service, and waits until it listens.
pub fn start(folder: &Path) -> anyhow::Result<(Node, SocketAddr)> {
    let address = free_address();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--serve-upstream", &address.to_string()]);
    let mut node = Node::spawn(command, folder, "the upstream service".to_owned())?;
    node.wait_for_port(address)?;
    Ok((node, address))
}

/// Serves until killed.
pub fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(16 * 1024)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(async move {
                // A client that breaks off sees to its own failure; the load counts it.
                let _ = connection(stream).await;
            });
        }
    })
}

async fn connection(mut stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 8 * 1024];
    let mut filled = 0;
    loop {
        let Some(request) = Request::parse(&buffer[..filled])? else {
            if filled == buffer.len() {
                bail!("a head of more than {filled} bytes");
            }
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                read => filled += read,
            }
            continue;
        };
        let in_buffer = (filled - request.head).min(request.body);
        read_body(&mut stream, request.body - in_buffer).await?;
        buffer.copy_within(request.head + in_buffer..filled, 0);
        filled -= request.head + in_buffer;
        answer(&mut stream, &request).await?;
    }
}

async fn read_body(stream: &mut TcpStream, mut left: usize) -> anyhow::Result<()> {
    if left == 0 {
        return Ok(());
    }
    let mut piece = vec![0; PIECE.min(left)];
    while left > 0 {
        let limit = piece.len().min(left);
        match stream.read(&mut piece[..limit]).await? {
            0 => bail!("a body that ends {left} bytes early"),
            read => left -= read,
        }
    }
    Ok(())
}

async fn answer(stream: &mut TcpStream, request: &Request) -> anyhow::Result<()> {
    if request.body > 0 {
        let text = format!("{}{:012}", head(12), request.body);
        stream.write_all(text.as_bytes()).await?;
    } else if let Some(mut left) = request.wanted {
        stream.write_all(head(left).as_bytes()).await?;
        while left > 0 {
            let piece = left.min(PIECE);
            stream.write_all(&ZEROS[..piece]).await?;
            left -= piece;
        }
    } else {
        let mut whole = head(HELLO.len()).into_bytes();
        whole.extend_from_slice(HELLO);
        stream.write_all(&whole).await?;
    }
    Ok(())
}

fn head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n")
}

/// As much of a request as the answer depends on. Sizes in bytes.
struct Request {
    head: usize,
    body: usize,
    wanted: Option<usize>,
}

impl Request {
    /// `None` while the head is not complete.
    fn parse(text: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head) = parsed.parse(text)? else { return Ok(None) };
        let wanted = parsed.path.and_then(|path| path.strip_prefix("/bytes/")).map(str::parse).transpose()?;
        let mut body = 0;
        for header in parsed.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                body = std::str::from_utf8(header.value)?.parse()?;
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("a body without a length");
            }
        }
        Ok(Some(Self { head, body, wanted }))
    }
}
