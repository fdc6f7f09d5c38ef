//! `docs/configuration.md`, written from the declarations of the settings.
//!
//! `cli` prints it; the test at the end keeps the committed page equal to it.

use std::fmt::Write;

use super::mode::Mode;
use super::names::{UNSUPPORTED, kong, nginx};
use super::settings::{Declared, known, sources};
use super::source::built_in;

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut heading = "";
    let sources = sources();
    for declared in sources.iter().chain(known()) {
        if declared.heading != heading {
            heading = &declared.heading;
            section(&mut page, heading);
        }
        setting(&mut page, declared);
    }
    aliases(&mut page);
    unsupported(&mut page);
    page
}

fn section(page: &mut String, heading: &str) {
    line(page, format_args!("\n## {heading}"));
}

fn setting(page: &mut String, declared: &Declared) {
    let key = &declared.key;
    let (variable, flag) = (declared.variable(), key.replace('_', "-"));
    line(page, format_args!("\n### `{key}`\n"));
    line(page, format_args!("`{variable}` · `--{flag}` · default: {}\n", default(declared)));
    // clap drops the full stop at the end of a doc comment.
    line(page, format_args!("{}.", declared.meaning.trim_end_matches('.')));
}

/// The built-in default, or what the profiles of the modes put in its place.
fn default(declared: &Declared) -> String {
    let quoted = |text: &str| format!("`{text}`");
    let own = declared.default.as_deref().map_or_else(|| "none".to_owned(), quoted);
    let of_mode = |mode: Mode| {
        let profile = built_in(mode.name());
        let said = profile.iter().find(|said| said.key() == declared.key)?;
        (declared.key != "mode").then(|| quoted(said.value()))
    };
    match Mode::ALL.map(of_mode) {
        [None, None] => own,
        modes => {
            let each = Mode::ALL.iter().zip(modes);
            let each =
                each.map(|(mode, default)| format!("{} {}", mode.name(), default.as_ref().unwrap_or(&own)));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

fn aliases(page: &mut String) {
    section(page, "Kong's names");
    line(page, format_args!("\n{ABOUT_ALIASES}\n"));
    line(page, format_args!("| Kong's key | is read as |\n|---|---|"));
    for (alias, key, _) in kong::UNDERSTOOD {
        line(page, format_args!("| `{alias}` | `{key}` |"));
    }
    section(page, "nginx's directives");
    line(page, format_args!("\n{ABOUT_DIRECTIVES}\n"));
    line(page, format_args!("| nginx's directive | after | is read as |\n|---|---|---|"));
    for understood in nginx::UNDERSTOOD {
        let targets: Vec<_> = understood.targets.iter().map(|key| format!("`{key}`")).collect();
        let (directive, blocks) = (understood.directive, understood.blocks());
        line(page, format_args!("| `{directive}` | {blocks} | {} |", targets.join(", ")));
    }
}

fn unsupported(page: &mut String) {
    section(page, "Not supported by this version");
    line(page, format_args!("\n{ABOUT_UNSUPPORTED}\n"));
    line(page, format_args!("| Key | Instead |\n|---|---|"));
    for unsupported in UNSUPPORTED {
        line(page, format_args!("| `{}` | {} |", unsupported.key, unsupported.advice));
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a String takes everything");
}

const INTRODUCTION: &str = "\
<!-- Written by config/reference_page.rs. Change the settings' doc comments, not this page. -->
# Configuration

Every setting has one name in four spellings: `client_ssl_cert` in a TOML file, `CLIENT_SSL_CERT` and
`KONG_CLIENT_SSL_CERT` in the environment, `--client-ssl-cert` on the command line. Later layers win:

1. the built-in defaults
2. the profile of the mode: `profiles/reverse-proxy.toml` or `profiles/gateway.toml`
3. the profiles named by `PROFILE`, in their order
4. the file named by `CONFIG`
5. `KONG_*`
6. the bare environment
7. flags
8. the subcommand, for `mode`

`mtls-bridge check` prints each value with the place it came from, or everything that is wrong.

## How values are written

- **Switches**: `on`, `true`, `yes`, `1` or `off`, `false`, `no`, `0`, in any case. Anything else is an error.
- **Durations**: `500ms`, `5s`, `1m`, `1h`. A bare number is seconds, except where a setting says milliseconds.
- **Sizes**: bytes, or with `k`, `m`, `g` (also `KiB`, `kb`), in powers of 1024.
- **Lists**: separated by commas; `\\,` is a comma inside an element. In TOML, an array.
- **Certificates and keys**: the path of a PEM or DER file, PEM text, or base64 of either. PEM whose line breaks
  became `\\n`, spaces, tabs or commas is read; every `BEGIN` is read or named with its line.
- **`NAME_FILE`** names a file that holds the value of `NAME`, for docker secrets. Only `SSL_CERT_FILE` is
  not ours: OpenSSL's users mean their CAs with it. `SSL_CERT` takes a path as it is.
- **Empty** is the same as not set, with a warning. The exceptions are `acl_allow`, `acl_deny`,
  `mtls_auth_ca_certificates` and `upstream_ca_certificates`: emptied by accident they would open a door,
  so an empty value is an error.

Unknown keys in a file are errors. Unknown variables are ignored, with these exceptions:

- An unknown `ACL_…` or `MTLS_AUTH_…`, and what is near the name of such a setting by its letters or its
  words, is an error: a rule about who may pass is not lost to a slip. What is near another name is warned about.
- Of `KONG_…` and of nginx's directives, what is understood counts (see \"Kong's names\"), what nothing here
  depends on is named together in one line, and what may decide who passes is an error.
- What Kubernetes and docker set for a service or link of any name (`ACL_SERVICE_HOST`,
  `UPSTREAM_PORT_8080_TCP_ADDR`), `SSL_CERT_FILE`, `SSL_CERT_DIR` and `SSLKEYLOGFILE` are left alone.
";

const ABOUT_ALIASES: &str = "\
Also as variables, with and without `KONG_`. The setting's own name wins over them, and the later over the earlier.";

const ABOUT_DIRECTIVES: &str = "\
Kong's users inject them as `nginx_<block>_<directive>`, in the environment after `KONG_`. The inner block wins over the outer
one, and Kong's own key over both. Directives about buffers, logs, sockets and ciphers change nothing here. Every
other one may decide who passes, and is an error: access (`allow`, `deny`, `auth_request`, `satisfy`), `include`,
limits, Lua, and whatever is not known. So is a value that holds a second directive.";

const ABOUT_UNSUPPORTED: &str = "\
These keys are part of the contract with Kong's users, and most of them decide who may pass. Saying one is an
error, so that nobody relies on a rule that is not kept.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == reference(),
            "docs/configuration.md is stale; run `UPDATE_DOCS=1 cargo test --lib reference_page`, \
             and commit the page"
        );
    }

    #[test]
    fn defaults_per_mode() {
        let default = |key| default(known().iter().find(|declared| declared.key == key).unwrap());
        assert_eq!(default("client_ssl"), "reverse-proxy `on`, gateway `off`");
        assert_eq!(default("retries"), "`1`");
        assert_eq!(default("mode"), "none");
    }
}
