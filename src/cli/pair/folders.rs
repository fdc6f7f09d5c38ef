//! The files of a pair: what goes to which host, and the texts.
//!
//! Pure: `pair` writes them. A text that docker reads keeps to what docker-compose 1.29 and `docker compose`
//! v2 read alike: no `version:`, no quotes in environment files.

use std::path::Path;

use crate::config::{Scheme, Target};
use crate::pki::{Access, Development, Issued, NewFile};

use super::answers::Answers;

/// To whom the keys belong, and so as whom the containers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Whoever runs this.
    Ours { user: u32, group: u32 },
    /// The user of the image, where root writes the files.
    Image,
}

impl Owner {
    fn ids(self) -> (u32, u32) {
        match self {
            Self::Ours { user, group } => (user, group),
            Self::Image => (IMAGE_USER, IMAGE_USER),
        }
    }

    fn key(self) -> Access {
        match self {
            Self::Ours { .. } => Access::Secret,
            Self::Image => Access::SecretOf { user: IMAGE_USER, group: IMAGE_USER },
        }
    }
}

/// Everything, in the order in which it is told.
pub(super) fn files(answers: &Answers, set: &Development, owner: Owner, out: &Path) -> Vec<NewFile> {
    let (near, far, ca) = (out.join(NEAR), out.join(FAR), out.join("ca"));
    let authority = set.authority.certificate_pem();
    let mut files = vec![
        public(near.join(COMPOSE), compose(&near_side(answers), owner)),
        public(near.join(ENV), near_env(answers)),
        public(near.join("README.md"), near_readme(answers)),
        public(near.join("certs/ca.crt"), authority.clone()),
    ];
    files.extend(pair(&near.join("certs/client"), &set.client, owner));
    files.extend([
        public(far.join(COMPOSE), compose(&far_side(answers), owner)),
        public(far.join(ENV), far_env(answers)),
        public(far.join("README.md"), far_readme(answers)),
        public(far.join("certs/ca.crt"), authority.clone()),
    ]);
    files.extend(pair(&far.join("certs/server"), &set.server, owner));
    files.extend(NewFile::pair(&ca.join("ca"), authority, set.authority.key_pem().to_owned()));
    files.push(public(ca.join("README.md"), CA_README.to_owned()));
    files
}

/// What was made, and what comes next.
pub(super) fn report(answers: &Answers, out: &Path) -> String {
    let (near, far, ca) = (out.join(NEAR), out.join(FAR), out.join("ca"));
    let Answers { gateway_host, reverse_proxy_host, days, .. } = answers;
    format!(
        "\
Made, good for {days} days:
  {near}  goes to {reverse_proxy_host}
  {far}  goes to {gateway_host}
  {ca}  the CA's key, to issue more: keep it off both hosts

Before and after any change:
  mtls-bridge check --pair {near} {far}

Then on each host, in its folder: docker compose up -d
",
        near = near.display(),
        far = far.display(),
        ca = ca.display(),
    )
}

fn public(path: std::path::PathBuf, contents: String) -> NewFile {
    NewFile { path, contents, access: Access::Public }
}

fn pair(stem: &Path, issued: &Issued, owner: Owner) -> [NewFile; 2] {
    let mut files = NewFile::pair(stem, issued.certificate_pem.clone(), issued.key_pem.clone());
    files[1].access = owner.key();
    files
}

/// In what the two compose files differ.
struct Side {
    title: String,
    service: &'static str,
    key: &'static str,
    port: String,
    port_why: &'static str,
    network_why: &'static str,
}

fn near_side(answers: &Answers) -> Side {
    Side {
        title: format!("The reverse proxy, for {}.", answers.reverse_proxy_host),
        service: NEAR,
        key: "client.key",
        port: format!("127.0.0.1:{}:{NEAR_PORT}", answers.listen_port),
        port_why: "On loopback alone: this leg is plaintext.",
        network_why: "An application in a container joins this network, and calls http://reverse-proxy:8000.",
    }
}

fn far_side(answers: &Answers) -> Side {
    Side {
        title: format!("The gateway, for {}.", answers.gateway_host),
        service: FAR,
        key: "server.key",
        port: format!("{}:{FAR_PORT}", answers.gateway_port),
        port_why: "Where the reverse proxy calls: the port in its UPSTREAM_URL.",
        network_why: "The service's container joins this network, and publishes no port of its own.",
    }
}

fn compose(side: &Side, owner: Owner) -> String {
    let Side { title, service, key, port, port_why, network_why } = side;
    let (user, group) = owner.ids();
    format!(
        r#"# {title}
#
#   docker compose up -d
#
# The settings are in {ENV}; this side's certificates, and no others, are in certs/.

services:
  {service}:
    image: ${{MTLS_BRIDGE_IMAGE:-mtls-bridge}}
    env_file: [{ENV}]
    # The owner of certs/{key}, which nobody else may read (mode 0600): no group, and no other
    # container's user. Where the file belongs to somebody else after copying, give it to this user
    # (`sudo chown {user}:{group} certs/{key}`), or write its owner's ids here.
    user: "{user}:{group}"
    volumes: ["./certs:/certs:ro"]
    # {port_why}
    ports: ["{port}"]
    # A service, or an application's callback, on this host outside docker.
    extra_hosts: ["host.docker.internal:host-gateway"]
    restart: unless-stopped
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    mem_limit: 256m
    cpus: 1.0
    pids_limit: 256
    # Longer than DRAIN_TIMEOUT (30s), so that what is in flight may finish.
    stop_grace_period: 35s
    healthcheck:
      test: [CMD, /mtls-bridge, healthcheck]
      interval: 5s
      timeout: 6s
      retries: 3
      start_period: 10s

networks:
  # {network_why}
  default:
    name: mtls-bridge-{service}
"#
    )
}

fn near_env(answers: &Answers) -> String {
    let Answers { gateway_host, gateway_port, client_name, .. } = answers;
    let gateway = Target {
        scheme: Scheme::Https,
        host: gateway_host.clone(),
        port: *gateway_port,
        path: String::new(),
    };
    format!(
        "\
# {INTRODUCTION}

MODE=reverse-proxy

# Where the application calls: every address of the container, for compose.yaml publishes it on the
# host's loopback alone.
PROXY_LISTEN=0.0.0.0:{NEAR_PORT}

# The gateway. Its certificate must hold this name and come from this CA.
UPSTREAM_URL={gateway}
UPSTREAM_CA_CERTIFICATES=/certs/ca.crt

# What we present: the certificate of {client_name}.
CLIENT_SSL_CERT=/certs/client.crt
CLIENT_SSL_CERT_KEY=/certs/client.key

# Longer than the gateway's, so that its answer about a slow service arrives before we give up.
READ_TIMEOUT=75s
WRITE_TIMEOUT=75s
"
    )
}

fn far_env(answers: &Answers) -> String {
    let Answers { client_name, service, .. } = answers;
    format!(
        "\
# {INTRODUCTION}

MODE=gateway

# Where the reverse proxy comes in. compose.yaml publishes it.
PROXY_LISTEN=0.0.0.0:{FAR_PORT} ssl http2

# The service, as this container reaches it.
UPSTREAM_URL={service}

# What we show: the reverse proxy verifies the name in it.
SSL_CERT=/certs/server.crt
SSL_CERT_KEY=/certs/server.key

# Who may come in: certificates of this CA, and of those the ones with this name (CN). To let in more,
# issue a certificate (`mtls-bridge pki issue`) and add its name, separated by a comma.
MTLS_AUTH_CA_CERTIFICATES=/certs/ca.crt
ACL_ALLOW={client_name}

# Whose word is taken for the address of the application's client (X-Forwarded-For).
TRUSTED_PEERS={client_name}

# Shorter than the reverse proxy's: the node next to a slow service is the one that says so.
READ_TIMEOUT=60s
WRITE_TIMEOUT=60s
"
    )
}

fn near_readme(answers: &Answers) -> String {
    let Answers { gateway_host, gateway_port, reverse_proxy_host, listen_port, .. } = answers;
    format!(
        "\
# mtls-bridge on {reverse_proxy_host}: the reverse proxy
- Copy this folder there, and no other; `certs/client.key` must belong to the `user:` of compose.yaml.
- Start: `docker compose up -d`. Healthy (`docker compose ps`) when {gateway_host}:{gateway_port} was reached.
- Applications call http://127.0.0.1:{listen_port}/; containers join `mtls-bridge-reverse-proxy` and call http://reverse-proxy:{NEAR_PORT}/.
- After a change: `mtls-bridge check --pair` with this folder and the gateway's.
"
    )
}

fn far_readme(answers: &Answers) -> String {
    let Answers { gateway_host, gateway_port, client_name, service, .. } = answers;
    format!(
        "\
# mtls-bridge on {gateway_host}: the gateway
- Copy this folder there, and no other; `certs/server.key` must belong to the `user:` of compose.yaml.
- The service, {service}, joins the network `mtls-bridge-gateway`. Start: `docker compose up -d`.
- Port {gateway_port} must be open to the reverse proxy. It lets {client_name} in, and nobody else.
- After a change: `mtls-bridge check --pair` with this folder and the reverse proxy's.
"
    )
}

const NEAR: &str = "reverse-proxy";
const FAR: &str = "gateway";

pub(super) const COMPOSE: &str = "compose.yaml";
pub(super) const ENV: &str = "mtls-bridge.env";

/// Inside the containers, where nobody else has a port.
const NEAR_PORT: u16 = 8000;
const FAR_PORT: u16 = 8443;

/// `USER` in compose/Dockerfile.
const IMAGE_USER: u32 = 65532;

const INTRODUCTION: &str = "\
Read by compose.yaml. Values stand as they are, without quotes; paths are those in the container.
# Every setting there is: `mtls-bridge reverse-proxy --help`.";

const CA_README: &str = "\
# The CA of this pair: for neither host

Whoever has `ca.key` can issue certificates that both hosts believe. Keep this folder offline, and use it
to issue more: `mtls-bridge pki issue --ca . --name NAME --client --out DIR`, or `--server` with `--san HOST`.
";
