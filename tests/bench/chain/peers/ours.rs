//! mtls-bridge: both modes, with the settings that have no default and two workers.
//!
//! Everything else is as a user gets it: access log, scrubbing, deadlines, status listener, retries.

use std::process::Command;

use super::{Place, Role, free_address};
use crate::pki::{CLIENT_NAME, GATEWAY_NAME};

pub(super) fn command(place: &Place<'_>, role: Role, http2: bool) -> anyhow::Result<Command> {
    let Place { site, listen, next, .. } = place;
    let mut command = Command::new(&site.program);
    command.env_clear();
    command.env("WORKERS", place.workers.to_string()).env("STATUS_LISTEN", free_address().to_string());
    // As many as the others: `auto` depends on the machine.
    command.env("MAX_CONNECTIONS", "16384");
    match role {
        Role::ReverseProxy => command
            .arg("reverse-proxy")
            .env("PROXY_LISTEN", listen.to_string())
            .env("UPSTREAM_URL", format!("https://{next}"))
            .env("UPSTREAM_HTTP", if http2 { "auto" } else { "http1" })
            .env("UPSTREAM_TLS_SERVER_NAME", GATEWAY_NAME)
            .env("UPSTREAM_CA_CERTIFICATES", site.pki.path("ca.crt"))
            .env("CLIENT_SSL_CERT", site.pki.path("client.crt"))
            .env("CLIENT_SSL_CERT_KEY", site.pki.path("client.key")),
        Role::Gateway => command
            .arg("gateway")
            .env("PROXY_LISTEN", format!("{listen} ssl http2"))
            .env("UPSTREAM_URL", format!("http://{next}"))
            .env("SSL_PROTOCOLS", "TLSv1.3")
            .env("SSL_CERT", site.pki.path("server.crt"))
            .env("SSL_CERT_KEY", site.pki.path("server.key"))
            .env("MTLS_AUTH_CA_CERTIFICATES", site.pki.path("ca.crt"))
            .env("ACL_ALLOW", CLIENT_NAME),
    };
    Ok(command)
}
