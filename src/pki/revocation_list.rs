//! Certificates that are taken back.

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Authority, Error, Issued, Validity};

impl Authority {
    /// A certificate revocation list (RFC 5280 section 5) of these leaves, whoever issued them, as PEM with
    /// the label `X509 CRL`. `validity` gives `thisUpdate` and `nextUpdate`: with [`Validity::expired`] the
    /// list is out of date.
    ///
    /// # Errors
    /// When the list cannot be signed.
    pub fn revocation_list(&self, leaves: &[&Issued], validity: Validity) -> Result<String, Error> {
        let list = CertificateRevocationListParams {
            this_update: validity.not_before,
            next_update: validity.not_after,
            crl_number: SerialNumber::from_slice(&validity.not_before.unix_timestamp().to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: leaves
                .iter()
                .map(|leaf| entry(leaf.leaf(), validity))
                .collect::<Result<_, _>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(self.issuer())?.pem()?)
    }
}

fn entry(leaf: &CertificateDer<'_>, validity: Validity) -> Result<RevokedCertParams, Error> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| Error::CaCertificate)?;
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(parsed.raw_serial()),
        revocation_time: validity.not_before.min(OffsetDateTime::now_utc()),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    })
}
