//! Arguments that may be keys: taken where they belong, and told to nobody where they do not.
//!
//! Used by `cli`, around clap, whose errors quote what they are about.

use clap::error::{ContextKind, ContextValue};
use clap::{Command, Error};

use crate::config::{Origin, Said};

/// The same command, whose certificates and keys may be text: PEM begins with hyphens, as flags do.
pub(super) fn command(command: Command) -> Command {
    let names: Vec<_> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |one| {
            one.mut_args(|argument| {
                let is_certificate = argument.get_id().as_str().contains("_cert");
                if is_certificate { argument.allow_hyphen_values(true) } else { argument }
            })
        })
    })
}

/// The same error without what may be a key, or a piece of one.
pub(super) fn covered(mut error: Error) -> Error {
    let is_secret = |text: &str| Said::new("argument", text, Origin::SUBCOMMAND).is_covered();
    let quoted: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => is_secret(text).then(|| (kind, ContextValue::String("***".into()))),
            ContextValue::Strings(texts) => {
                texts.iter().any(|text| is_secret(text)).then_some((kind, ContextValue::None))
            }
            ContextValue::StyledStr(text) => {
                is_secret(&text.to_string()).then_some((kind, ContextValue::None))
            }
            ContextValue::StyledStrs(texts) => {
                texts.iter().any(|text| is_secret(&text.to_string())).then_some((kind, ContextValue::None))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in quoted {
        error.insert(kind, value);
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Words {
        #[arg(long)]
        days: Option<u16>,
    }

    #[test]
    fn what_is_no_secret_is_quoted_and_what_is_one_is_not() {
        let told = |argument: &str| covered(Words::try_parse_from(["x", argument]).unwrap_err()).to_string();
        assert!(told("--dayz").contains("'--dayz'"), "{}", told("--dayz"));
        assert!(told("--days=many").contains("'many'"));
        for secret in ["-----BEGIN PRIVATE KEY-----\\nMHcCAQEE", "MHcCAQEEIBkg4LVWM9nuwNSk3yByxZ"] {
            for argument in [secret.to_owned(), format!("--days={secret}"), format!("--{secret}")] {
                let told = told(&argument);
                assert!(told.contains("***") && !told.contains("MHc"), "{told}");
            }
        }
    }
}
