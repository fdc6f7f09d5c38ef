//! Which declarative file there is: said in [`DeclarativeSettings`], meant as [`DeclarativeSource`].

use std::path::{Path, PathBuf};

use crate::config::problem::{Problem, Problems, Said};

/// Services, routes, consumers and plugins as Kong's users have them.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Declarative configuration")]
pub(in crate::config) struct DeclarativeSettings {
    /// A `kong.yml`, instead of `upstream_url`: the path of a file ending in `.yaml`, `.yml` or `.json`, of
    /// format 1.1, 2.1 or 3.0. Or manifests of Kubernetes, as Kong's ingress controller reads them: a file
    /// of several documents, or a folder of such files.
    #[arg(long, value_name = "PATH")]
    pub(in crate::config) declarative_config: Option<Said>,

    /// The same as text, YAML or JSON.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::config) declarative_config_string: Option<Said>,

    /// Whether a request that no route takes is judged by the global plugins first, so that strangers get 401
    /// instead of 404; in Kong they get 404.
    #[arg(long, value_name = "on|off", default_value = "off")]
    pub(in crate::config) authenticate_before_routing: Said,
}

impl DeclarativeSettings {
    /// What says that there is a file, even where two do.
    pub(in crate::config) fn said(&self) -> Option<&Said> {
        self.declarative_config.as_ref().or(self.declarative_config_string.as_ref())
    }
}

/// Where the declarative configuration is.
#[derive(Debug, Clone)]
pub enum DeclarativeSource {
    /// In the file of this path.
    File(Said),
    /// Here.
    Text(Said),
}

impl DeclarativeSource {
    /// `None` where nothing is said; the first of two.
    pub(in crate::config) fn compile(
        settings: &DeclarativeSettings,
        problems: &mut Problems,
    ) -> Option<Self> {
        match (&settings.declarative_config, &settings.declarative_config_string) {
            (Some(path), None) => Some(Self::File(path.clone())),
            (None, Some(text)) => Some(Self::Text(text.clone())),
            (Some(path), Some(_)) => {
                let what = "declarative_config_string is set too";
                problems.push(Problem::new(path, what, "keep one of the two"));
                Some(Self::File(path.clone()))
            }
            (None, None) => None,
        }
    }

    /// What was said.
    pub fn said(&self) -> &Said {
        match self {
            Self::File(said) | Self::Text(said) => said,
        }
    }

    /// The files it is read from: none, one, or those now in the folder.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::File(said) => super::files::paths(Path::new(said.value())),
            Self::Text(_) => Vec::new(),
        }
    }

    /// How its problems begin: `declarative_config=/etc/kong.yml`.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::File(said) => format!("{}={}", said.key(), said.shown()),
            Self::Text(said) => said.key().to_owned(),
        }
    }
}
