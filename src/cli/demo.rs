//! `mtls-bridge demo`: the whole chain in one process, with a PKI of its own, and the curl
//! lines that show what it does.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::echo;
use super::pki::shell_word;
use crate::app::{self, App, Process};
use crate::config::{Layers, LogFormat, LogSettings, Mode};
use crate::lifecycle::signal::Signals;
use crate::pki::{self, Authority, Development, Leaf, NewFile};

/// The certificates live as long as a demonstration may.
const DAYS: u16 = 7;

/// The name in the reverse proxy's certificate, which the gateway's acl lets in.
const CLIENT: &str = "demo-app";

/// Run the whole chain on loopback and print what to try with curl.
///
/// Makes a PKI in a temporary folder, starts an echo service, a gateway in front of it and a
/// reverse proxy that presents the client certificate. Ctrl-C ends it and removes the folder.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Port of the reverse proxy (plain HTTP); 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub reverse_proxy_port: u16,

    /// Port of the gateway (TLS); 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub gateway_port: u16,

    /// Port of the echo service; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub echo_port: u16,
}

/// Runs it until SIGINT or SIGTERM.
///
/// # Errors
/// When a port is taken, or the folder cannot be written.
pub fn run(demo: &Demo) -> anyhow::Result<()> {
    let process = Process::start(&LogSettings { level: "warn".into(), format: LogFormat::Text })?;
    let folder = Folder::new()?;
    make_pki(&folder.0)?;
    app::runtime()?.block_on(chain(demo, &folder.0, &process))
}

async fn chain(demo: &Demo, folder: &Path, process: &Process) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let service = TcpListener::bind(("127.0.0.1", demo.echo_port))
        .with_context(|| format!("the echo service does not start (--echo-port {})", demo.echo_port))?;
    let service_address = service.local_addr()?;
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let echo = tokio::task::spawn_local(echo::serve(service, None, async {
        // A dropped sender ends it as well.
        let _ = end.await;
    }));
    let gateway = start(Mode::Gateway, &gateway_settings(demo, folder, service_address), process)
        .with_context(|| format!("the gateway does not start (--gateway-port {})", demo.gateway_port))?;
    let gateway_address = first(&gateway)?;
    let reverse_proxy =
        start(Mode::ReverseProxy, &reverse_proxy_settings(demo, folder, gateway_address), process)
            .with_context(|| {
                format!("the reverse proxy does not start (--reverse-proxy-port {})", demo.reverse_proxy_port)
            })?;
    say(&what_to_try(folder, first(&reverse_proxy)?, gateway_address, service_address));
    // Any signal will do: SIGHUP means that the terminal is gone.
    let failed = tokio::select! {
        _ = signals.next() => None,
        part = gateway.failed() => Some(part),
    };
    say("\nEnding: what is in flight may finish.\n");
    tokio::select! {
        () = async { reverse_proxy.drain().await; gateway.drain().await; } => {}
        (signal, _) = signals.next() => say(&format!("{signal} again: ending at once.\n")),
    }
    drop(ended);
    echo.await??;
    match failed {
        None => Ok(()),
        Some(part) => bail!("{part}"),
    }
}

fn gateway_settings(demo: &Demo, folder: &Path, service: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("PROXY_LISTEN", format!("127.0.0.1:{} ssl http2", demo.gateway_port)),
        ("UPSTREAM_URL", format!("http://{service}")),
        ("SSL_CERT", file(folder, "server.crt")),
        ("SSL_CERT_KEY", file(folder, "server.key")),
        ("MTLS_AUTH_CA_CERTIFICATES", file(folder, "ca.crt")),
        ("ACL_ALLOW", CLIENT.into()),
        ("IDENTITY_HEADERS", "kong".into()),
        ("TRUSTED_PEERS", CLIENT.into()),
        ("STATUS_LISTEN", "off".into()),
    ]
}

fn reverse_proxy_settings(demo: &Demo, folder: &Path, gateway: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("PROXY_LISTEN", format!("127.0.0.1:{}", demo.reverse_proxy_port)),
        ("UPSTREAM_URL", format!("https://{gateway}")),
        ("CLIENT_SSL_CERT", file(folder, "client.crt")),
        ("CLIENT_SSL_CERT_KEY", file(folder, "client.key")),
        ("UPSTREAM_CA_CERTIFICATES", file(folder, "ca.crt")),
        ("STATUS_LISTEN", "off".into()),
    ]
}

/// Starts one node exactly as its environment would; the demo's own environment stays out of it.
fn start(mode: Mode, settings: &[(&str, String)], process: &Process) -> anyhow::Result<App> {
    let environment = settings.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    let layers = Layers { mode: Some(mode), environment, flags: vec![("access_log".into(), "off".into())] };
    let (loaded, snapshot) = app::load(&layers)?;
    App::start(&loaded.config, snapshot, process)
}

fn first(app: &App) -> anyhow::Result<SocketAddr> {
    app.addresses.first().copied().context("a node without a listener")
}

/// The usual six files, and a certificate of a CA the gateway does not know.
fn make_pki(folder: &Path) -> anyhow::Result<()> {
    let development = Development::new(&["localhost", "127.0.0.1"], CLIENT, DAYS)?;
    let stranger = Authority::new("some other CA")?.issue(&Leaf::client(CLIENT))?;
    let mut files = development.files(folder);
    files.extend(NewFile::pair(&folder.join("stranger"), stranger.certificate_pem, stranger.key_pem));
    Ok(pki::create_all(&files)?)
}

fn what_to_try(folder: &Path, reverse_proxy: SocketAddr, gateway: SocketAddr, service: SocketAddr) -> String {
    let pem = |name: &str| shell_word(&folder.join(name));
    let straight = format!("curl -i --cacert {}", pem("ca.crt"));
    let with = |name: &str| {
        format!("{straight} --cert {} --key {}", pem(&format!("{name}.crt")), pem(&format!("{name}.key")))
    };
    let tries = [
        (
            "through the chain, as an application would: 200, and the identity headers in the echo",
            format!("curl -i http://{reverse_proxy}/hello"),
        ),
        (
            "straight to the gateway with the certificate: 200",
            format!("{} https://{gateway}/hello", with("client")),
        ),
        ("without a certificate: 401", format!("{straight} https://{gateway}/hello")),
        ("with a certificate of another CA: 401", format!("{} https://{gateway}/hello", with("stranger"))),
    ];
    let mut page = format!(
        "\n  curl ──http──▶ reverse proxy {reverse_proxy} ══mTLS, HTTP/2══▶ gateway {gateway} ──http──▶ echo {service}\n\n"
    );
    for (what, line) in tries {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "# {what}\n{line}\n");
    }
    page.push_str("Ctrl-C ends it.\n");
    page
}

/// Whoever reads the output may be gone, as after `| head`; the demonstration goes on.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// A folder of our own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let name = format!("mtls-bridge-demo-{:08x}", fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("making the folder {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is small and temporary.
        let _ = fs::remove_dir_all(&self.0);
    }
}
