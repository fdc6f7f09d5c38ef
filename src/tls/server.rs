//! The TLS of our listeners: which certificate a client is shown, and whether it is asked for its own.
//!
//! Built by `snapshot`, used by `server/handshake`. Both may depend on the server name the client asks
//! for; where the question does not, there is one configuration for all. A certificate is *asked for*
//! and its key proven; its chain is judged per request (docs/decisions/0002-chains-are-judged-per-request.md),
//! or in the handshake, under [`Asks::Require`].

mod asker;
mod failure;
mod hints;
mod presented;

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::{Error, SupportedProtocolVersion};

use self::asker::Asker;
use super::sni::ByName;
use super::trust::ChainVerifier;

pub use self::failure::handshake_failure;
pub use self::hints::{Hints, TooManyNames};
pub use self::presented::Presented;

/// Who is asked for a certificate.
#[derive(Debug, Clone)]
pub enum Asks {
    /// Nobody.
    Nobody,
    /// Every client; who sends none, or an untrusted one, is answered per request.
    Everybody(Hints),
    /// By the server name: clients that ask for one of `names`, and all others where `rest` is there.
    Named {
        /// What these are told.
        names: ByName<Hints>,
        /// What all others are told, those without a name among them; `None`: they are not asked.
        rest: Option<Hints>,
    },
    /// Every client; the handshake fails without a certificate that this verifier accepts.
    Require(Hints, Arc<ChainVerifier>),
}

impl Asks {
    fn anybody(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::Named { names, rest } => rest.is_some() || !names.is_empty(),
            Self::Everybody(_) | Self::Require(..) => true,
        }
    }
}

/// The configurations of handshakes. Names that are treated alike share one.
#[derive(Debug, Clone)]
pub struct ServerConfigs {
    rest: Arc<ByAlpn>,
    /// `None` where the name makes no difference, so that nobody need wait for it.
    named: Option<Box<ByName<Arc<ByAlpn>>>>,
}

/// One per ALPN list, since listeners differ in that alone.
#[derive(Debug)]
struct ByAlpn {
    http2: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
}

impl ByAlpn {
    fn of(&self, http2: bool) -> &Arc<ServerConfig> {
        if http2 { &self.http2 } else { &self.http1 }
    }
}

impl ServerConfigs {
    /// Builds them. `versions` is not empty.
    ///
    /// # Errors
    /// When rustls refuses the versions.
    pub fn new(
        presented: &Presented,
        asks: &Asks,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, Error> {
        let mut build = Build {
            provider: super::provider(),
            resolver: presented.resolver(),
            versions,
            resumption: !asks.anybody(),
            made: HashMap::new(),
        };
        let all = |rest| Self { rest, named: None };
        match asks {
            Asks::Nobody => build.asking(None).map(all),
            Asks::Everybody(hints) => build.asking(Some(hints)).map(all),
            Asks::Require(hints, judge) => build.both(Some((hints, Some(judge)))).map(all),
            Asks::Named { names, rest } => {
                let rest = build.asking(rest.as_ref())?;
                let names = names.try_map(|hints| build.asking(Some(hints)))?;
                let named = names.values().any(|config| !Arc::ptr_eq(config, &rest));
                Ok(Self { rest, named: named.then(|| Box::new(names)) })
            }
        }
    }

    /// The configuration for every client, whatever name it asks for; `None` where that matters. With
    /// ALPN for h2 if `http2`.
    #[must_use]
    pub fn for_all(&self, http2: bool) -> Option<&Arc<ServerConfig>> {
        self.named.is_none().then(|| self.rest.of(http2))
    }

    /// The configuration for a client that asks for this name. With ALPN for h2 if `http2`.
    #[must_use]
    pub fn for_name(&self, server_name: Option<&str>, http2: bool) -> &Arc<ServerConfig> {
        let named = self.named.as_ref().and_then(|names| names.find(server_name));
        named.unwrap_or(&self.rest).of(http2)
    }
}

/// What all configurations have in common, and those that were made.
struct Build<'a> {
    provider: Arc<CryptoProvider>,
    resolver: Arc<dyn ResolvesServerCert>,
    versions: &'a [&'static SupportedProtocolVersion],
    /// A resumed handshake asks nobody, calls no verifier and would outlive a revocation. And a session
    /// begun under a name that is not asked must never serve one that is (CVE-2025-23419), so a
    /// listener that asks anybody resumes nobody's.
    resumption: bool,
    made: HashMap<Option<Hints>, Arc<ByAlpn>>,
}

impl Build<'_> {
    /// One that asks with these hints, or not at all.
    fn asking(&mut self, hints: Option<&Hints>) -> Result<Arc<ByAlpn>, Error> {
        let hints = hints.cloned();
        if let Some(made) = self.made.get(&hints) {
            return Ok(Arc::clone(made));
        }
        let made = self.both(hints.as_ref().map(|hints| (hints, None)))?;
        self.made.insert(hints, Arc::clone(&made));
        Ok(made)
    }

    fn both(&self, asks: Option<(&Hints, Option<&Arc<ChainVerifier>>)>) -> Result<Arc<ByAlpn>, Error> {
        let config = |http2| self.config(asks, http2).map(Arc::new);
        Ok(Arc::new(ByAlpn { http2: config(true)?, http1: config(false)? }))
    }

    fn config(
        &self,
        asks: Option<(&Hints, Option<&Arc<ChainVerifier>>)>,
        http2: bool,
    ) -> Result<ServerConfig, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(self.versions)?;
        let builder = match asks {
            None => builder.with_no_client_auth(),
            Some((hints, judge)) => {
                builder.with_client_cert_verifier(Arc::new(Asker::new(hints, judge.cloned())))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&self.resolver));
        config.alpn_protocols = alpn(http2);
        if !self.resumption {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

/// ALPN names in order of preference (RFC 7301).
#[must_use]
pub fn alpn(http2: bool) -> Vec<Vec<u8>> {
    let http1 = b"http/1.1".to_vec();
    if http2 { vec![b"h2".to_vec(), http1] } else { vec![http1] }
}

#[cfg(test)]
mod tests {
    use rustls::version::TLS13;

    use super::*;

    fn hints(subjects: &[u8]) -> Hints {
        Hints::new(subjects.iter().map(|subject| Arc::from([*subject]))).unwrap()
    }

    fn configs(asks: &Asks) -> ServerConfigs {
        ServerConfigs::new(&Presented::default(), asks, &[&TLS13]).unwrap()
    }

    fn named(names: &[(&str, &[u8])], rest: Option<&[u8]>) -> ServerConfigs {
        let mut by_name = ByName::default();
        for (name, subjects) in names {
            by_name.insert(name.parse().unwrap(), hints(subjects));
        }
        configs(&Asks::Named { names: by_name, rest: rest.map(hints) })
    }

    #[test]
    fn names_that_are_treated_alike_share_one_configuration() {
        let mut names = ByName::default();
        for index in 0..10_000_u16 {
            // Every third is told other names, in one order or the other.
            let told = if index % 3 == 0 { hints(&[1, 2]) } else { hints(&[2, 1, 2]) };
            let told = if index % 3 == 2 { hints(&[3]) } else { told };
            names.insert(format!("n{index}.example").parse().unwrap(), told);
        }
        let configs = configs(&Asks::Named { names, rest: None });
        let of = |name| configs.for_name(Some(name), true);
        assert!(Arc::ptr_eq(of("n0.example"), of("n9997.example")));
        assert!(Arc::ptr_eq(of("n2.example"), of("n9998.example")));
        assert!(!Arc::ptr_eq(of("n0.example"), of("n2.example")));
        assert!(!Arc::ptr_eq(of("n0.example"), of("other.example")));
        assert!(Arc::ptr_eq(of("other.example"), configs.for_name(None, true)));
        assert!(!Arc::ptr_eq(of("other.example"), configs.for_name(None, false)), "they differ by ALPN");
    }

    #[test]
    fn nobody_waits_for_a_name_that_makes_no_difference() {
        let check = |configs: &ServerConfigs, one_for_all: bool| {
            assert_eq!(configs.for_all(true).is_some(), one_for_all);
            assert_eq!(configs.for_all(false).is_some(), one_for_all);
        };
        check(&configs(&Asks::Nobody), true);
        check(&configs(&Asks::Everybody(hints(&[1]))), true);
        check(&named(&[], None), true);
        check(&named(&[], Some(&[1])), true);
        check(&named(&[("a.example", &[]), ("*.b.example", &[])], Some(&[])), true);
        check(&named(&[("a.example", &[])], None), false);
        check(&named(&[("a.example", &[1])], Some(&[])), false);
    }

    #[test]
    fn sessions_are_kept_only_where_nobody_is_asked() {
        let check = |configs: &ServerConfigs, name: Option<&str>, kept: bool| {
            let config = configs.for_name(name, true);
            assert_eq!(config.send_tls13_tickets > 0, kept);
            assert_eq!(config.session_storage.can_cache(), kept);
            assert!(!config.ticketer.enabled(), "sessions are never kept by the client");
        };
        check(&configs(&Asks::Nobody), None, true);
        check(&named(&[], None), Some("a.example"), true);
        check(&configs(&Asks::Everybody(Hints::default())), None, false);
        let some = named(&[("a.example", &[])], None);
        check(&some, Some("a.example"), false);
        check(&some, Some("other.example"), false);
        check(&some, None, false);
    }
}
