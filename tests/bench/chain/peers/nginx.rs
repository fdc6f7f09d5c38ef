//! nginx as both nodes, HTTP/1.1 between them.
//!
//! Tuned beyond its defaults where that is to its advantage: connections upstream are kept and never given
//! up for their age, bodies stream instead of waiting in a file.

use std::process::Command;

use super::{Place, Role};
use crate::pki::GATEWAY_NAME;

pub(super) fn command(place: &Place<'_>, role: Role) -> anyhow::Result<Command> {
    let dir = place.folder.display();
    let server = match role {
        Role::ReverseProxy => reverse_proxy(place),
        Role::Gateway => gateway(place),
    };
    let Place { next, workers, .. } = place;
    let text = format!(
        "daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log warn;\n\
         worker_processes {workers};\n\
         events {{ worker_connections 16384; }}\n\
         http {{ access_log {dir}/access.log;\n\
         client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;\n\
         keepalive_requests 100000000; client_max_body_size 0;\n\
         upstream next {{ server {next}; keepalive 8192; keepalive_requests 100000000; }}\n\
         server {{ {server}\n\
         location / {{ proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_request_buffering off; proxy_max_temp_file_size 0;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_set_header X-Request-Id $request_id; {} }} }} }}\n",
        location(place, role)
    );
    let file = place.write("nginx.conf", &text)?;
    let mut command = Command::new("nginx");
    // Until it has read the file it would write its errors where only root may.
    command.arg("-p").arg(place.folder).arg("-c").arg(file).arg("-e").arg(place.folder.join("error.log"));
    Ok(command)
}

fn reverse_proxy(place: &Place<'_>) -> String {
    format!("listen {} backlog=16384;", place.listen)
}

fn gateway(place: &Place<'_>) -> String {
    let pki = &place.site.pki;
    format!(
        "listen {} ssl backlog=16384; server_name {GATEWAY_NAME}; ssl_protocols TLSv1.3;\n\
         ssl_certificate {}; ssl_certificate_key {}; ssl_client_certificate {}; ssl_verify_client on;",
        place.listen,
        pki.path("server.crt"),
        pki.path("server.key"),
        pki.path("ca.crt")
    )
}

fn location(place: &Place<'_>, role: Role) -> String {
    let pki = &place.site.pki;
    match role {
        Role::ReverseProxy => format!(
            "proxy_pass https://next; proxy_ssl_protocols TLSv1.3;\n\
             proxy_ssl_certificate {}; proxy_ssl_certificate_key {};\n\
             proxy_ssl_trusted_certificate {}; proxy_ssl_verify on; proxy_ssl_name {GATEWAY_NAME};\n\
             proxy_ssl_server_name on; proxy_ssl_session_reuse on;",
            pki.path("client.crt"),
            pki.path("client.key"),
            pki.path("ca.crt")
        ),
        Role::Gateway => "proxy_pass http://next;\n\
             proxy_set_header X-Client-Cert-Dn $ssl_client_s_dn;\n\
             proxy_set_header X-Client-Cert-San \"\";"
            .to_owned(),
    }
}
