//! What can be said: every setting, with its default and its meaning, declared once.
//!
//! The groups live beside what they mean (`limits`, `access`, …), and this is their order in
//! `--help`, in `check` and in `docs/configuration.md`. A field is the key; clap makes the
//! flag, its default and its help of it, and [`known`] reads them back, so that nothing is
//! listed twice. An `Option` has no default of its own.

use std::sync::LazyLock;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};

use super::access::AccessSettings;
use super::deadlines::DeadlineSettings;
use super::declarative::DeclarativeSettings;
use super::forwarding::ForwardingSettings;
use super::limits::LimitSettings;
use super::listen::ListenSettings;
use super::problem::Said;
use super::process::ProcessSettings;
use super::revocation::RevocationSettings;
use super::server_tls::ServerTlsSettings;
use super::upstream::UpstreamSettings;
use super::upstream_tls::UpstreamTlsSettings;

/// Every setting, as it was said; the keys are flat.
#[derive(Debug, Clone, Args, serde::Deserialize)]
#[command(next_help_heading = "Mode")]
pub struct Settings {
    /// `reverse-proxy` or `gateway`; the subcommand of that name says the same and wins.
    #[arg(long, value_name = "MODE")]
    pub(super) mode: Option<Said>,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) listen: ListenSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) server_tls: ServerTlsSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) access: AccessSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) declarative: DeclarativeSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) revocation: RevocationSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) upstream: UpstreamSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) upstream_tls: UpstreamTlsSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) forwarding: ForwardingSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) limits: LimitSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) deadlines: DeadlineSettings,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) process: ProcessSettings,
}

/// Where else to look. These are read from the environment and the command line only.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sources")]
pub struct Sources {
    /// More defaults, later ones win: a comma list of `reverse-proxy`, `gateway`, `development`,
    /// `hardened`, and paths of files like that of `config`.
    #[arg(long, value_name = "PROFILES")]
    pub profile: Option<String>,

    /// A file of settings: TOML, or a `kong.conf` (`key = value` in each line, `#` before comments, Kong's keys
    /// and ours), told by its ending or its lines.
    #[arg(long, value_name = "PATH")]
    pub config: Option<String>,
}

/// A declared setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// Lower case with `_`.
    pub(super) key: String,
    /// Built in; `None` where nothing is.
    pub(super) default: Option<String>,
    /// What it means, in Markdown.
    pub(super) meaning: String,
    /// The group's title.
    pub(super) heading: String,
}

impl Declared {
    /// The environment variable, without Kong's prefix.
    pub(super) fn variable(&self) -> String {
        self.key.to_uppercase()
    }
}

/// Every setting in the order of its declaration.
pub(super) fn known() -> &'static [Declared] {
    static KNOWN: LazyLock<Vec<Declared>> =
        LazyLock::new(|| declared(Settings::augment_args(Command::new(""))));
    &KNOWN
}

/// [`Sources`], for the reference page.
pub(super) fn sources() -> Vec<Declared> {
    declared(Sources::augment_args(Command::new("")))
}

fn declared(command: Command) -> Vec<Declared> {
    let text = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string);
    let declared = |arg: &clap::Arg| Declared {
        key: arg.get_id().to_string(),
        default: arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned()),
        meaning: text(arg.get_long_help()).or_else(|| text(arg.get_help())).unwrap_or_default(),
        heading: arg.get_help_heading().unwrap_or_default().to_owned(),
    };
    command.get_arguments().map(declared).collect()
}

/// What was said on the command line, as keys and values for `Layers::flags`. `matches` is of a
/// command with [`Settings`], [`Sources`], both or neither.
pub fn flags(matches: &ArgMatches) -> Vec<(String, String)> {
    let sources = sources();
    let keys = known().iter().chain(&sources).map(|declared| &declared.key);
    keys.filter_map(|key| Some((key.clone(), on_command_line(matches, key)?))).collect()
}

fn on_command_line(matches: &ArgMatches, key: &str) -> Option<String> {
    let mut values = matches.try_get_raw(key).ok()??;
    let said = matches.value_source(key) == Some(ValueSource::CommandLine);
    values.next_back().filter(|_| said).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_documented_and_in_a_group() {
        assert!(known().len() > 50, "{}", known().len());
        for declared in known() {
            assert!(!declared.meaning.is_empty() && !declared.heading.is_empty(), "{declared:?}");
        }
        let client_ssl = known().iter().find(|declared| declared.key == "client_ssl").unwrap();
        assert_eq!((client_ssl.heading.as_str(), &client_ssl.default), ("TLS to the upstream", &None));
    }

    /// clap lets flattened structs describe the command; its own words must win.
    #[test]
    fn the_settings_do_not_describe_the_command() {
        #[derive(clap::Parser)]
        enum Commands {
            /// Mine.
            Gateway(Arguments),
        }
        #[derive(Args)]
        struct Arguments {
            #[command(flatten)]
            _sources: Sources,
            #[command(flatten)]
            _settings: Settings,
        }
        let command = <Commands as clap::CommandFactory>::command();
        let gateway = command.find_subcommand("gateway").unwrap();
        assert_eq!(gateway.get_about().map(ToString::to_string).as_deref(), Some("Mine"));
        assert!(gateway.get_long_about().is_none());
    }

    #[test]
    fn only_what_was_said_is_a_flag() {
        let command = Sources::augment_args(Settings::augment_args(Command::new("mtls-bridge")));
        let matches = command.get_matches_from([
            "mtls-bridge",
            "--profile=hardened",
            "--retries",
            "1",
            "--client-ssl-cert=/c.pem",
        ]);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = [pair("retries", "1"), pair("client_ssl_cert", "/c.pem"), pair("profile", "hardened")];
        assert_eq!(flags(&matches), expected);
        assert_eq!(flags(&Command::new("").get_matches_from([""])), []);
    }
}
