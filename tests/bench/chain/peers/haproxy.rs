//! HAProxy as both nodes, HTTP/1.1 or HTTP/2 between them.
//!
//! Tuned beyond its defaults where that is to its advantage: connections upstream are reused always.

use std::process::Command;

use super::{Place, Role};
use crate::pki::GATEWAY_NAME;

pub(super) fn command(place: &Place<'_>, role: Role, http2: bool) -> anyhow::Result<Command> {
    let Place { listen, next, workers, .. } = place;
    let alpn = if http2 { "h2" } else { "http/1.1" };
    let path = |name: &str| place.site.pki.path(name);
    let sides = match role {
        Role::ReverseProxy => format!(
            "frontend front\n bind {listen} backlog 16384\n default_backend next\n\
             backend next\n http-reuse always\n\
             server gateway {next} ssl crt {} ca-file {} verify required verifyhost {GATEWAY_NAME} \
             sni str({GATEWAY_NAME}) ssl-min-ver TLSv1.3 alpn {alpn}\n",
            path("client.pem"),
            path("ca.crt")
        ),
        Role::Gateway => format!(
            "frontend door\n bind {listen} backlog 16384 ssl crt {} ca-file {} verify required \
             ssl-min-ver TLSv1.3 alpn h2,http/1.1\n\
             http-request set-header X-Client-Cert-Dn %{{+Q}}[ssl_c_s_dn]\n\
             http-request del-header X-Client-Cert-San\n\
             default_backend next\n\
             backend next\n http-reuse always\n server service {next}\n",
            path("server.pem"),
            path("ca.crt")
        ),
    };
    // Its own estimate of the descriptors it needs is for two TLS ends of each connection, more than a
    // container usually may have.
    let text = format!(
        "global\n nbthread {workers}\n maxconn 11000\n no strict-limits\n log stdout format raw local0 info\n\
         defaults\n mode http\n log global\n option httplog\n option forwardfor\n\
         unique-id-format %{{+X}}o%ci%cp%fi%fp%Ts%rt\n unique-id-header X-Request-Id\n\
         timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         timeout http-request 10s\n timeout http-keep-alive 60s\n{sides}"
    );
    let file = place.write("haproxy.cfg", &text)?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}
