//! What a certificate for a client or a server shall say.

use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa};
use rcgen::{KeyUsagePurpose, SerialNumber};

use super::key::random;
use super::{Error, Issued, KeyKind, San, Validity};

/// A request for a certificate that is not a CA. Start from [`Leaf::client`] or [`Leaf::server`] and change
/// what differs:
///
/// ```
/// # use mtls_bridge::pki::{Authority, Leaf, Validity};
/// # fn main() -> Result<(), mtls_bridge::pki::Error> {
/// let ca = Authority::new("Example CA")?;
/// let late = ca.issue(&Leaf { validity: Validity::expired(), ..Leaf::client("billing") })?;
/// # assert!(late.certificate_pem.starts_with("-----BEGIN CERTIFICATE-----"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The subject's CN; `None` writes none, and with the other parts unset an empty subject.
    pub common_name: Option<String>,
    /// The subject's O.
    pub organization: Option<String>,
    /// The subject's OU.
    pub organizational_unit: Option<String>,
    /// The subject's emailAddress (PKCS #9), ASCII.
    pub email_address: Option<String>,
    /// The subject alternative names, in this order.
    pub sans: Vec<San>,
    /// What the extended key usage allows.
    pub usage: Usage,
    /// From when until when.
    pub validity: Validity,
    /// The kind of key that is made for it.
    pub key_kind: KeyKind,
}

/// The extended key usage of a leaf (RFC 5280 section 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Usage {
    /// `clientAuth` alone.
    Client,
    /// `serverAuth` alone.
    Server,
    /// Both.
    Both,
    /// No such extension: by the standard, good for anything.
    Unstated,
}

impl Leaf {
    /// A client of that CN, valid for 90 days, without alternative names.
    pub fn client(common_name: &str) -> Self {
        Self {
            common_name: Some(common_name.to_owned()),
            organization: None,
            organizational_unit: None,
            email_address: None,
            sans: Vec::new(),
            usage: Usage::Client,
            validity: Validity::days(Self::DAYS),
            key_kind: KeyKind::default(),
        }
    }

    /// A server of these names, each as [`San`] reads it, valid for 90 days. The first is the CN too.
    ///
    /// # Errors
    /// [`Error::San`] for a name that cannot be one.
    pub fn server(names: &[&str]) -> Result<Self, Error> {
        let sans = names.iter().map(|name| name.parse()).collect::<Result<Vec<San>, _>>()?;
        let common_name = sans.first().map(ToString::to_string);
        Ok(Self { common_name, sans, usage: Usage::Server, ..Self::client("") })
    }

    /// Makes a key and lets it sign its own certificate, which no CA vouches for.
    ///
    /// # Errors
    /// When a name cannot be written, or no key can be made.
    pub fn self_signed(&self) -> Result<Issued, Error> {
        let key = self.key_kind.generate()?;
        let certificate = self.parameters()?.self_signed(&key)?;
        Ok(Issued::new(certificate.into(), &[], &key))
    }

    /// How many days a leaf is good for unless something else is said.
    pub const DAYS: u16 = 90;

    pub(super) fn parameters(&self) -> Result<CertificateParams, Error> {
        let mut parameters = CertificateParams::default();
        parameters.not_before = self.validity.not_before;
        parameters.not_after = self.validity.not_after;
        parameters.serial_number = Some(serial_number()?);
        parameters.distinguished_name = self.subject()?;
        parameters.subject_alt_names = self.sans.iter().map(San::to_rcgen).collect::<Result<_, _>>()?;
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = match self.usage {
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Unstated => Vec::new(),
        };
        parameters.use_authority_key_identifier_extension = true;
        Ok(parameters)
    }

    /// Least specific first, as certificates are written.
    fn subject(&self) -> Result<DistinguishedName, Error> {
        let mut subject = DistinguishedName::new();
        let text = [
            (DnType::OrganizationName, &self.organization),
            (DnType::OrganizationalUnitName, &self.organizational_unit),
            (DnType::CommonName, &self.common_name),
        ];
        for (attribute, value) in text {
            if let Some(value) = value {
                subject.push(attribute, value.as_str());
            }
        }
        if let Some(address) = &self.email_address {
            let address = DnValue::Ia5String(address.as_str().try_into()?);
            subject.push(DnType::CustomDnType(EMAIL_ADDRESS.to_vec()), address);
        }
        Ok(subject)
    }
}

/// 128 bits, of which 126 are random: the two highest are fixed so that the number is positive and always
/// 16 bytes long (RFC 5280 section 4.1.2.2 allows 20).
pub(super) fn serial_number() -> Result<SerialNumber, Error> {
    let mut bytes = random::<16>()?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// `emailAddress`, PKCS #9 (RFC 2985).
const EMAIL_ADDRESS: [u64; 7] = [1, 2, 840, 113549, 1, 9, 1];
