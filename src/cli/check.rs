//! What `mtls-bridge check` prints: the effective configuration with the origin of each value.
//!
//! `cli` loads it as for a start, files included, and prints every problem instead if there is one.

use std::fmt::Write;

use crate::config::{Caution, Loaded};

/// One line for each value, aligned: `key = value   (origin)`; then the `routes` of a declarative file, the
/// cautions of the settings and `more` of the file, and warnings.
pub fn render(loaded: &Loaded, routes: &[String], more: &[Caution]) -> String {
    let said = &loaded.effective;
    let lines: Vec<_> =
        said.iter().map(|said| (said.key(), said.shown(), said.origin().to_string())).collect();
    let width = |lengths: &mut dyn Iterator<Item = usize>| lengths.filter(|length| *length <= WIDEST).max();
    let keys = width(&mut lines.iter().map(|(key, ..)| key.chars().count())).unwrap_or_default();
    let values = width(&mut lines.iter().map(|(_, value, _)| value.chars().count())).unwrap_or_default();
    let mut page = String::new();
    for (key, value, origin) in &lines {
        line(&mut page, format_args!("{key:keys$} = {value:values$}   ({origin})"));
    }
    for (index, route) in routes.iter().enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        line(&mut page, format_args!("{gap}route {route}"));
    }
    let cautions = loaded.config.cautions.iter().chain(more).map(|caution| format!("caution: {caution}"));
    let warnings = loaded.warnings.iter().map(|warning| format!("warning: {warning}"));
    for (index, remark) in cautions.chain(warnings).enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        line(&mut page, format_args!("{gap}{remark}"));
    }
    page
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a String takes everything");
}

/// A longer value stands out of its column rather than pushing all the others away.
const WIDEST: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Mode, load};

    #[test]
    fn values_with_origins_then_cautions_and_warnings() {
        let environment = [
            ("UPSTREAM_URL", "https://gateway.example:8443"),
            ("CLIENT_SSL_CERT", "/tls/client.pem"),
            ("CLIENT_SSL_CERT_KEY", "/tls/client.key"),
            ("UPSTREAM_TLS_VERIFY", "no"),
            ("KONG_DATABASE", "off"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.into())).to_vec();
        let layers = Layers { mode: Some(Mode::ReverseProxy), environment, flags: Vec::new() };
        let page = render(&load(&layers).unwrap(), &[], &[]);
        let has = |key: &str, value: &str, origin: &str| {
            let found = page.lines().any(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                words == [&[key, "=", value], origin.split(' ').collect::<Vec<_>>().as_slice()].concat()
            });
            assert!(found, "{key} = {value} {origin} in\n{page}");
        };
        has("mode", "reverse-proxy", "(subcommand)");
        has("proxy_listen", "127.0.0.1:8000", "(profile reverse-proxy)");
        has("client_ssl_cert_key", "/tls/client.key", "(environment CLIENT_SSL_CERT_KEY)");
        has("retries", "1", "(default)");
        let remarks = page.split("\n\n").nth(1).unwrap();
        assert!(remarks.starts_with("caution: upstream_tls_verify=no (environment UPSTREAM_TLS_VERIFY): "));
        assert!(
            remarks.ends_with("warning: KONG_DATABASE is not a setting of mtls-bridge and was ignored\n")
        );
    }
}
