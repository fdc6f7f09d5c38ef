//! Clients: curl for whole requests, a raw socket for everything curl is too polite to send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::Value;

use super::PATIENCE;
use super::pki::Pki;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `1.1` or `2`.
    pub version: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// curl's exit code; 18 is a body cut short, 92 a reset stream.
    pub exit: i32,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON: what the echo received, or an error of ours.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Every value of a header that the echo received.
    pub fn received(&self, name: &str) -> Vec<String> {
        let body = self.json();
        let headers = body["headers"].as_array().unwrap_or_else(|| panic!("no echo: {self:?}"));
        let of_name = headers.iter().filter(|header| header[0] == name);
        of_name.map(|header| header[1].as_str().unwrap().to_owned()).collect()
    }
}

/// Runs curl with these arguments; the last should be the URL.
pub fn curl(arguments: &[&str]) -> Answer {
    let output = Command::new("curl")
        .args(["-sS", "-i", "--no-progress-meter", "--max-time", &PATIENCE.as_secs().to_string()])
        .args(arguments)
        .output()
        .expect("curl was there when the tests were built");
    let exit = output.status.code().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    parse(&text, exit).unwrap_or_else(|| {
        panic!("curl {arguments:?} gave no answer ({exit}): {}", String::from_utf8_lossy(&output.stderr))
    })
}

/// What a line with `curl -i` gives in a shell.
pub fn shell(line: &str) -> Answer {
    let limited = format!("{line} --max-time {}", PATIENCE.as_secs());
    let output = Command::new("sh").args(["-c", &limited]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text, output.status.code().unwrap())
        .unwrap_or_else(|| panic!("{line}: no answer: {}", String::from_utf8_lossy(&output.stderr)))
}

/// curl's exit code where no answer is expected.
pub fn curl_fails(arguments: &[&str]) -> i32 {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", &PATIENCE.as_secs().to_string()])
        .args(arguments)
        .output()
        .expect("curl was there when the tests were built");
    assert!(!output.status.success(), "curl succeeded: {}", String::from_utf8_lossy(&output.stdout));
    output.status.code().unwrap()
}

/// curl's arguments for presenting `NAME.crt` to a gateway of `pki`.
pub fn with_certificate(pki: &Pki, name: &str) -> Vec<String> {
    let file = |suffix: &str| pki.path(&format!("{name}.{suffix}")).display().to_string();
    let ca = pki.path("ca.crt").display().to_string();
    ["--cacert", &ca, "--cert", &file("crt"), "--key", &file("key")].map(str::to_owned).to_vec()
}

/// curl to a gateway of `pki`, presenting `NAME.crt`.
pub fn curl_as(pki: &Pki, name: &str, arguments: &[&str]) -> Answer {
    let certificate = with_certificate(pki, name);
    let all: Vec<&str> = certificate.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
    curl(&all)
}

/// curl to a gateway of `pki` without a certificate.
pub fn curl_anonymous(pki: &Pki, arguments: &[&str]) -> Answer {
    let ca = pki.path("ca.crt").display().to_string();
    let all: Vec<&str> = ["--cacert", ca.as_str()].into_iter().chain(arguments.iter().copied()).collect();
    curl(&all)
}

/// The last head in the output (interim answers come before it) and the body.
pub fn parse(text: &str, exit: i32) -> Option<Answer> {
    let mut rest = text;
    loop {
        let (head, body) = rest.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let (version, status) = lines.next()?.strip_prefix("HTTP/")?.split_once(' ')?;
        let status: u16 = status.split(' ').next()?.parse().ok()?;
        if (100..200).contains(&status) && status != 101 {
            rest = body;
            continue;
        }
        let split = |line: &str| line.split_once(':').map(|(n, v)| (n.to_lowercase(), v.trim().to_owned()));
        let headers = lines.filter_map(split).collect();
        return Some(Answer { status, version: version.to_owned(), headers, body: body.to_owned(), exit });
    }
}

/// A raw connection whose reads fail after [`PATIENCE`].
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads one answer with a content-length off a connection that stays open: its head and body.
pub fn read_answer(stream: &mut TcpStream) -> (String, String) {
    let head = super::services::read_head(stream);
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8_lossy(&body).into_owned())
}

/// Sends a GET and reads its answer; the connection stays open.
pub fn get(stream: &mut TcpStream, path: &str) -> (String, String) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n").as_bytes()).unwrap();
    read_answer(stream)
}

/// Whether the other side has closed the connection, waited for.
pub fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Sends these bytes and gives everything that comes back until the other side closes.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end as well.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The JSON body of the last answer in what a raw connection gave.
pub fn last_body(answers: &str) -> Value {
    let body = answers.rsplit("\r\n\r\n").next().unwrap_or_default();
    // A chunked body has its sizes around it.
    let start = body.find('{').unwrap_or_else(|| panic!("no JSON: {answers}"));
    let end = body.rfind('}').unwrap_or_else(|| panic!("no JSON: {answers}"));
    serde_json::from_str(&body[start..=end]).unwrap_or_else(|error| panic!("{error}: {answers}"))
}
