//! One chain, judged: the same for clients and servers.
//!
//! webpki builds the path and checks signatures, dates, purposes, names and lengths. Before it, [`issuers`]
//! chooses what it gets; on each path that it finds, [`path`] looks at what it leaves out, and only a path
//! that keeps all of it counts.

use std::cell::RefCell;

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::anchors::{Anchors, Intermediates};
use super::issuers::{Found, issuers};
use super::limits::Work;
use super::path;
use super::reason::{Why, explain};
use crate::identity::{Certificate, Side};

/// What is judged, by whom, and when.
pub(super) struct Case<'a> {
    pub(super) anchors: &'a Anchors,
    pub(super) listed: &'a Intermediates,
    pub(super) leaf: &'a Certificate,
    /// What was sent after the leaf.
    pub(super) sent: &'a [CertificateDer<'a>],
    pub(super) side: Side,
    /// Intermediates that a path may have; `None`: as many as webpki follows.
    pub(super) depth: Option<u32>,
    pub(super) now: UnixTime,
}

/// What an accepted chain leads over.
#[derive(Debug)]
pub(super) struct Way {
    /// Positions among what was sent, then the listed intermediates, the issuer of the leaf first.
    pub(super) intermediates: Vec<usize>,
    /// Positions of the anchor's forms.
    pub(super) anchors: Vec<usize>,
    /// When the first certificate of it expires.
    pub(super) until: UnixTime,
}

/// Why there is none.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) why: Why,
    /// When one of its certificates begins to be valid: then the answer may be another.
    pub(super) begins: Option<UnixTime>,
}

impl<'a> Case<'a> {
    /// Finds the way from the leaf to an anchor.
    pub(super) fn judge(&self) -> Result<Way, Refused> {
        if self.leaf.is_self_issued()
            && let Some(at) = self.anchors.position(self.leaf.der())
        {
            let until = self.leaf.validity().not_after;
            let way = Way { intermediates: Vec::new(), anchors: vec![at], until };
            return path::itself(self).map(|()| way).map_err(|why| self.refused(why, &[], &[]));
        }
        let work = Work::new();
        let found =
            issuers(self, &work).map_err(|error| self.refused(explain(&error, self, &[], &[]), &[], &[]))?;
        self.build(&found, &work).map_err(|why| {
            let cas: Vec<_> = found.intermediates.iter().filter_map(|known| parse(known.der)).collect();
            let why = match why {
                Why::Webpki(error) => explain(&error, self, &cas, &found.unreadable),
                said => said,
            };
            self.refused(why, &cas, &found.anchors)
        })
    }

    /// The extended key usage of this side.
    pub(super) fn usage(&self) -> KeyUsage {
        match self.side {
            Side::Client => KeyUsage::client_auth(),
            Side::Server => KeyUsage::server_auth(),
        }
    }

    fn build(&self, found: &Found<'a>, work: &Work) -> Result<Way, Why> {
        let leaf = EndEntityCert::try_from(self.leaf.der())?;
        let anchors: Vec<_> = found.anchors.iter().filter_map(|at| self.anchors.get(*at)).collect();
        let anchors: Vec<TrustAnchor<'_>> = anchors.iter().map(|anchor| anchor.trust.clone()).collect();
        let intermediates: Vec<_> =
            found.intermediates.iter().map(|known| CertificateDer::from(known.der.as_ref())).collect();
        let algorithms = work.counted(crate::tls::provider().signature_verification_algorithms.all);
        let algorithms: Vec<_> = algorithms.iter().map(|algorithm| algorithm as _).collect();
        let (way, broken) = (RefCell::new(None), RefCell::new(None));
        let keeps_all = |path: &VerifiedPath<'_>| match self.way(path, found) {
            Ok(found) => {
                way.replace(Some(found));
                Ok(())
            }
            Err(why) => {
                broken.borrow_mut().get_or_insert(why);
                Err(webpki::Error::UnknownIssuer)
            }
        };
        let usage = work.stepping(self.usage());
        let built = leaf.verify_for_usage(
            &algorithms,
            &anchors,
            &intermediates,
            self.now,
            usage,
            None,
            Some(&keeps_all),
        );
        let Err(error) = built else {
            // webpki ends with the first path that was found to keep all.
            return way.into_inner().ok_or_else(|| webpki::Error::UnknownIssuer.into());
        };
        // A path that was complete tells more than one that was not.
        Err(match (broken.into_inner(), error) {
            (Some(why), _) => Why::Said(why),
            (None, webpki::Error::UnknownIssuer) if found.other_key => {
                webpki::Error::InvalidSignatureForPublicKey.into()
            }
            (None, error) => error.into(),
        })
    }

    /// The way that webpki found, if it keeps everything.
    fn way(&self, path: &VerifiedPath<'_>, found: &Found<'_>) -> Result<Way, String> {
        path::leaf(self.leaf)?;
        let (mut positions, mut cas) = (Vec::new(), Vec::new());
        for cert in path.intermediate_certificates() {
            let der = cert.der();
            // What webpki reads and we do not, we cannot judge.
            cas.push(parse(&der).ok_or_else(|| "a certificate in its chain cannot be read".to_owned())?);
            positions
                .extend(found.intermediates.iter().find(|known| *known.der == der).map(|known| known.at));
        }
        path::intermediates(self, &cas)?;
        let forms: Vec<_> = self.anchors.forms(path.anchor()).collect();
        let judged: Vec<_> =
            forms.iter().map(|(_, form)| path::anchor(self, &cas, &form.certificate)).collect();
        let good = forms.iter().zip(&judged).filter(|(_, judged)| judged.is_ok());
        let end = good.map(|((_, form), _)| form.certificate.validity().not_after).max();
        let Some(end) = end else {
            let why = judged.into_iter().find_map(Result::err);
            return Err(why.unwrap_or_else(|| "its CA is not listed".to_owned()));
        };
        let ends = cas.iter().chain([self.leaf]).map(|it| it.validity().not_after);
        let anchors = forms.iter().map(|(at, _)| *at).collect();
        Ok(Way { intermediates: positions, anchors, until: ends.fold(end, Ord::min) })
    }

    /// With the time at which it may be worth another look.
    fn refused(&self, why: Why, cas: &[Certificate], anchors: &[usize]) -> Refused {
        let anchors = anchors.iter().filter_map(|at| Some(&self.anchors.get(*at)?.certificate));
        let begins = anchors.chain(cas).chain([self.leaf]).map(|it| it.validity().not_before);
        Refused { why, begins: begins.filter(|begin| *begin > self.now).min() }
    }
}

fn parse(der: &CertificateDer<'_>) -> Option<Certificate> {
    Certificate::parse(der.clone().into_owned()).ok()
}
