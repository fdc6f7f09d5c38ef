//! `mtls-bridge pki init DIR`: all that two nodes need.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;

use crate::pki::{Development, Leaf, San, create_all};

/// The flags of `pki init`.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// Directory for the files; made if missing
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// Names and addresses by which the gateway is reached, comma separated [default: localhost, 127.0.0.1,
    /// ::1, gateway, and this machine's host name]
    #[arg(long, value_name = "NAME|IP", value_delimiter = ',')]
    pub server_name: Vec<String>,

    /// Name of the client, as the gateway and its service will see it
    #[arg(long, value_name = "NAME", default_value = "reverse-proxy", value_parser = NonEmptyStringValueParser::new())]
    pub client_name: String,

    /// Days until the two certificates end; the CA lasts a year, or as long as they do
    #[arg(long, default_value_t = Leaf::DAYS, value_parser = clap::value_parser!(u16).range(1..))]
    pub days: u16,

    /// Succeed without doing anything when all six files are there, for a container that runs at every start
    #[arg(long)]
    pub if_missing: bool,
}

pub(super) fn make(args: &Init) -> anyhow::Result<String> {
    if args.if_missing && FILES.iter().all(|name| args.directory.join(name).is_file()) {
        return Ok(format!("{} holds all six files already; nothing was made\n", args.directory.display()));
    }
    let names = if args.server_name.is_empty() { default_names() } else { args.server_name.clone() };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let set = Development::new(&names, &args.client_name, args.days)?;
    create_all(&set.files(&args.directory))?;
    Ok(report(args, &names))
}

/// What [`Development::files`] names its files.
const FILES: [&str; 6] = ["ca.crt", "ca.key", "server.crt", "server.key", "client.crt", "client.key"];

fn default_names() -> Vec<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let mut names = ["localhost", "127.0.0.1", "::1", "gateway"].map(String::from).to_vec();
    // Without the file, or with a name no certificate can hold, the others have to do.
    if host.is_ascii() && matches!(host.parse(), Ok(San::Dns(_))) && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    names
}

fn report(args: &Init, names: &[&str]) -> String {
    let [ca_crt, ca_key, server_crt, server_key, client_crt, client_key] =
        FILES.map(|name| shell_word(&args.directory.join(name)));
    let (days, client, listed, host) = (args.days, &args.client_name, names.join(", "), url_host(names));
    format!(
        "\
Made, good for {days} days:
  {ca_crt}  the CA both sides trust
  {ca_key}  its key, to issue more: keep it off both hosts
  {server_crt}, {server_key}  the gateway, as {listed}
  {client_crt}, {client_key}  the client {client}

On the gateway's host, in front of the service:
  SSL_CERT={server_crt} SSL_CERT_KEY={server_key} \\
  MTLS_AUTH_CA_CERTIFICATES={ca_crt} \\
  UPSTREAM_URL=http://127.0.0.1:8080 mtls-bridge gateway

On the application's host, with ca.crt, client.crt and client.key copied there:
  CLIENT_SSL_CERT={client_crt} CLIENT_SSL_CERT_KEY={client_key} \\
  UPSTREAM_CA_CERTIFICATES={ca_crt} \\
  UPSTREAM_URL=https://{host}:8443 mtls-bridge reverse-proxy

Then: curl http://127.0.0.1:8000/
"
    )
}

/// The first name that can stand in a URL; the certificate would not be accepted under another.
fn url_host(names: &[&str]) -> String {
    names
        .iter()
        .find_map(|name| match name.parse() {
            Ok(San::Dns(name)) => Some(name),
            Ok(San::Ip(IpAddr::V6(address))) => Some(format!("[{address}]")),
            Ok(San::Ip(IpAddr::V4(address))) => Some(address.to_string()),
            _ => None,
        })
        .unwrap_or_else(|| "gateway".to_owned())
}

/// The path as one word for a POSIX shell.
pub(in crate::cli) fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    if path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)) {
        return path;
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_run_next_names_a_host_of_the_certificate() {
        let check = |names: &[&str], expected: &str| assert_eq!(url_host(names), expected, "{names:?}");
        check(&["localhost", "127.0.0.1"], "localhost");
        check(&["uri:spiffe://x/y", "10.0.0.1"], "10.0.0.1");
        check(&["::1"], "[::1]");
        check(&["ops@example.org"], "gateway");
    }

    #[test]
    fn a_path_is_quoted_only_where_a_shell_would_split_it() {
        assert_eq!(shell_word(Path::new("/run/tls/ca.crt")), "/run/tls/ca.crt");
        assert_eq!(shell_word(Path::new("my pki/it's")), r"'my pki/it'\''s'");
    }
}
