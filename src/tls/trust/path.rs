//! What webpki does not look at on a path that it found: the rest of RFC 5280 section 6.1, and RFC 8446
//! section 4.4.2.2.
//!
//! webpki takes its anchors without dates, extensions and lengths, and passes over the key usage everywhere.

use rustls::pki_types::UnixTime;

use super::chain::Case;
use super::reason::{Why, called};
use crate::identity::{Certificate, Side, Validity};
use crate::tls::credentials::in_words;

/// What of the leaf alone is to be kept: its key signs the handshake.
pub(super) fn leaf(leaf: &Certificate) -> Result<(), String> {
    if leaf.may_sign() {
        return Ok(());
    }
    // Every cipher suite that is left is signed, so keyEncipherment and keyAgreement are of no use.
    Err(format!(
        "the certificate of {} may not sign a TLS handshake: its key usage lacks digitalSignature",
        called(leaf)
    ))
}

/// What of the CAs between the leaf and the anchor is to be kept, the issuer of the leaf first.
pub(super) fn intermediates(case: &Case<'_>, path: &[Certificate]) -> Result<(), String> {
    if let Some(depth) = case.depth
        && path.len() as u64 > u64::from(depth)
    {
        let setting = match case.side {
            Side::Client => "mtls_auth_verify_depth",
            Side::Server => "tls_verify_depth",
        };
        return Err(format!("its chain has more than {depth} intermediates ({setting})"));
    }
    path.iter().try_for_each(|ca| may_certify(case, ca))
}

/// What of the anchor is to be kept, at the end of this path.
pub(super) fn anchor(case: &Case<'_>, path: &[Certificate], anchor: &Certificate) -> Result<(), String> {
    let (who, leaf) = (|| called(anchor), || called(case.leaf));
    is_current(case, anchor)?;
    // One of version 1 cannot say that it is a CA, and was listed as one.
    if !anchor.is_ca() && anchor.version() == 3 {
        return Err(format!(
            "the certificate of {} was issued by {}, which is listed and is no CA (basic constraints): it stands for itself alone",
            leaf(),
            who()
        ));
    }
    may_certify(case, anchor)?;
    if let Some(oid) = anchor.unknown_critical() {
        return Err(format!(
            "the CA {} of the certificate of {} has the critical extension {oid}, which is not known here",
            who(),
            leaf()
        ));
    }
    if !anchor.is_meant_for(case.side) {
        return Err(format!(
            "the CA {} of the certificate of {} issues none for this use: its extended key usage lacks {}",
            who(),
            leaf(),
            case.side.usage()
        ));
    }
    // Those that a CA issued to itself, for a new key, do not count (RFC 5280 section 6.1.4).
    let below = path.iter().filter(|ca| !ca.is_self_issued()).count();
    match anchor.path_length() {
        Some(length) if below as u64 > u64::from(length) => Err(format!(
            "the CA {} allows {length} CAs below it (pathlen), and the chain of {} has {below}",
            who(),
            leaf()
        )),
        _ => Ok(()),
    }
}

fn may_certify(case: &Case<'_>, ca: &Certificate) -> Result<(), String> {
    if ca.may_certify() {
        return Ok(());
    }
    Err(format!(
        "the CA {} in the chain of {} may not issue certificates: its key usage lacks keyCertSign",
        called(ca),
        called(case.leaf)
    ))
}

/// An anchor may have expired since it was loaded; OpenSSL, and so Kong, does look.
fn is_current(case: &Case<'_>, anchor: &Certificate) -> Result<(), String> {
    let seconds = |from: UnixTime, to: UnixTime| in_words(to.as_secs().saturating_sub(from.as_secs()));
    let (validity, who) = (anchor.validity(), || (called(anchor), called(case.leaf)));
    if case.now > validity.not_after {
        let ((ca, leaf), ago) = (who(), seconds(validity.not_after, case.now));
        return Err(format!("the CA {ca} of the certificate of {leaf} expired {ago} ago"));
    }
    if case.now < validity.not_before {
        let ((ca, leaf), ahead) = (who(), seconds(case.now, validity.not_before));
        return Err(format!("the CA {ca} of the certificate of {leaf} is not valid before {ahead} from now"));
    }
    Ok(())
}

/// What is asked of a certificate that is itself listed, to the byte. No path leads to it, so this includes
/// what is otherwise webpki's business; the handshake has proven its key.
pub(super) fn itself(case: &Case<'_>) -> Result<(), Why> {
    let (certificate, now) = (case.leaf, case.now);
    let Validity { not_before, not_after } = certificate.validity();
    if now > not_after {
        return Err(webpki::Error::CertExpired { time: now, not_after }.into());
    }
    if now < not_before {
        return Err(webpki::Error::CertNotValidYet { time: now, not_before }.into());
    }
    if !certificate.is_meant_for(case.side) {
        let (required, present) = (case.usage(), Vec::new());
        let missing = webpki::RequiredEkuNotFoundContext { required, present };
        return Err(webpki::Error::RequiredEkuNotFoundContext(missing).into());
    }
    if let Some(oid) = certificate.unknown_critical() {
        let who = called(certificate);
        let text =
            format!("the certificate of {who} has the critical extension {oid}, which is not known here");
        return Err(Why::Said(text));
    }
    leaf(certificate).map_err(Why::Said)
}
