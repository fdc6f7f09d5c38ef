//! An stunnel pair: mutual TLS for bytes, without a request ever being looked at.

use std::process::Command;

use super::{Place, Role};
use crate::pki::GATEWAY_NAME;

pub(super) fn command(place: &Place<'_>, role: Role) -> anyhow::Result<Command> {
    let Place { site, folder, listen, next, .. } = place;
    let (name, side) = match role {
        Role::ReverseProxy => {
            ("client", format!("client = yes\nsni = {GATEWAY_NAME}\ncheckHost = {GATEWAY_NAME}\n"))
        }
        Role::Gateway => ("server", String::new()),
    };
    let path = |name: &str| site.pki.path(name);
    let text = format!(
        "foreground = yes\npid =\noutput = {}\n[link]\naccept = {listen}\nconnect = {next}\n\
         cert = {}\nkey = {}\nCAfile = {}\nverifyChain = yes\nsslVersion = TLSv1.3\n{side}",
        folder.join("connections.log").display(),
        path(&format!("{name}.crt")),
        path(&format!("{name}.key")),
        path("ca.crt"),
    );
    let file = place.write("stunnel.conf", &text)?;
    let mut command = Command::new("stunnel4");
    command.arg(file);
    Ok(command)
}
