//! The distinguished name of a certificate's subject or issuer, as one line of text.
//!
//! Rendered once, when the certificate is parsed, the way OpenSSL's RFC 2253 mode does and so
//! Kong's `X-Client-Cert-Dn`: most specific part first, `,` without a space, short names.
//! Promise: printable ASCII, whatever the certificate says.

use std::borrow::Cow;
use std::fmt;

use http::HeaderValue;
use x509_parser::asn1_rs::{Any, Class, Tag, ToDer};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::certificate::Malformed;
use super::escape::{printable, push_escaped, push_hex};

/// A distinguished name in the order and escaping of RFC 4514, for example
/// `emailAddress=kong@konghq.com,CN=KongSDET,OU=Gateway,O=Kong,L=Toronto,ST=ON,C=CA`.
///
/// Two differences to OpenSSL, both for the sake of HTTP: a space at the end of a value is
/// written `\20` (receivers would trim `\ `), and the whole is at most 4096 bytes long.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DistinguishedName(String);

impl DistinguishedName {
    pub(super) fn parse(name: &X509Name<'_>) -> Result<Self, Malformed> {
        let mut text = String::new();
        let rdns: Vec<_> = name.iter_rdn().collect();
        for rdn in rdns.into_iter().rev() {
            // A set of several attributes is printed in reverse too, as OpenSSL does.
            let attributes: Vec<_> = rdn.iter().collect();
            for (at, attribute) in attributes.into_iter().rev().enumerate() {
                if !text.is_empty() {
                    text.push(if at == 0 { ',' } else { '+' });
                }
                push_attribute(&mut text, attribute)?;
                if text.len() > MAX_LEN {
                    return Err(Malformed("a distinguished name is longer than 4096 bytes"));
                }
            }
        }
        Ok(Self(text))
    }

    /// The name as text; empty for a certificate without a subject.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the value of a header.
    pub fn header_value(&self) -> HeaderValue {
        printable(self.0.clone())
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last, that is most specific, value of the attribute with this OID.
///
/// OpenSSL's `X509_NAME_get_text_by_NID` takes the first, Go and most others the last. RFC 5280
/// orders a name from the root of the tree to the leaf, so the last names the subject itself, and
/// it is the one that [`DistinguishedName`] begins with: what the log shows is what was compared.
pub(super) fn last_value(name: &X509Name<'_>, oid: &[u8]) -> Result<Option<String>, Malformed> {
    let Some(attribute) = name.iter_attributes().filter(|it| it.attr_type().as_bytes() == oid).last() else {
        return Ok(None);
    };
    let text = string_value(attribute.attr_value())?;
    Ok(text.map(Cow::into_owned))
}

fn push_attribute(out: &mut String, attribute: &AttributeTypeAndValue<'_>) -> Result<(), Malformed> {
    let oid = attribute.attr_type().as_bytes();
    let value = attribute.attr_value();
    let short_name = SHORT_NAMES.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name);
    match (short_name, string_value(value)?) {
        (Some(name), Some(text)) => {
            out.push_str(name);
            out.push('=');
            if text.starts_with('#') {
                out.push('\\');
            }
            push_escaped(out, &text, r#",+"<>;"#);
        }
        // RFC 4514 section 2.4: without a short name or a string, the DER in hexadecimal.
        (name, _) => {
            match name {
                Some(name) => out.push_str(name),
                None => out.push_str(&dotted(oid)?),
            }
            out.push_str("=#");
            push_hex(out, &value.to_der_vec().map_err(|_| Malformed("a name holds an unreadable value"))?);
        }
    }
    Ok(())
}

/// The text of an ASN.1 string, or `None` for another kind of value.
fn string_value<'a>(value: &'a Any<'_>) -> Result<Option<Cow<'a, str>>, Malformed> {
    const UNREADABLE: Malformed = Malformed("a name holds text in a broken encoding");
    if value.class() != Class::Universal {
        return Ok(None);
    }
    let bytes = value.as_bytes();
    let text = match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| UNREADABLE)?)
        }
        // Nobody writes real T.61; it is Latin-1 in practice, and OpenSSL reads it so.
        Tag::T61String => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (units, rest) = bytes.as_chunks::<2>();
            let text = String::from_utf16(&units.iter().copied().map(u16::from_be_bytes).collect::<Vec<_>>());
            Cow::Owned(text.ok().filter(|_| rest.is_empty()).ok_or(UNREADABLE)?)
        }
        Tag::UniversalString => {
            let (units, rest) = bytes.as_chunks::<4>();
            let text =
                units.iter().copied().map(u32::from_be_bytes).map(char::from_u32).collect::<Option<_>>();
            Cow::Owned(text.filter(|_| rest.is_empty()).ok_or(UNREADABLE)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(text))
}

/// An object identifier in numbers and dots, from the content of its DER.
///
/// Not the parser's own: that one goes through big integers, whose cost grows with the square of
/// what a stranger sends.
pub(super) fn dotted(oid: &[u8]) -> Result<String, Malformed> {
    const UNREADABLE: Malformed = Malformed("an object identifier is unreadable");
    let mut text = String::new();
    let mut arc: u64 = 0;
    for byte in oid {
        arc = arc.checked_mul(128).ok_or(UNREADABLE)? + u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        // The first number holds the first two arcs (X.690, 8.19.4).
        if text.is_empty() {
            let root = (arc / 40).min(2);
            text = format!("{root}.{}", arc - root * 40);
        } else {
            text.push('.');
            text.push_str(&arc.to_string());
        }
        arc = 0;
    }
    let complete = oid.last().is_some_and(|byte| byte & 0x80 == 0);
    if complete { Ok(text) } else { Err(UNREADABLE) }
}

pub(super) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
pub(super) const ORGANIZATION: &[u8] = &[0x55, 4, 10];

/// More is not a name but an attack on whoever logs or forwards it.
const MAX_LEN: usize = 4096;

/// OpenSSL's short names, by the content of the OID's DER.
const SHORT_NAMES: &[(&[u8], &str)] = &[
    (COMMON_NAME, "CN"),
    (&[0x55, 4, 11], "OU"),
    (ORGANIZATION, "O"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 6], "C"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 3], "mail"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 13], "description"),
    (&[0x55, 4, 15], "businessCategory"),
    (&[0x55, 4, 17], "postalCode"),
    (&[0x55, 4, 18], "postOfficeBox"),
    (&[0x55, 4, 20], "telephoneNumber"),
    (&[0x55, 4, 41], "name"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 43], "initials"),
    (&[0x55, 4, 44], "generationQualifier"),
    (&[0x55, 4, 45], "x500UniqueIdentifier"),
    (&[0x55, 4, 46], "dnQualifier"),
    (&[0x55, 4, 65], "pseudonym"),
    (&[0x55, 4, 72], "role"),
    (&[0x55, 4, 97], "organizationIdentifier"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2], "unstructuredName"),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 1], "jurisdictionL"),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 2], "jurisdictionST"),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 3], "jurisdictionC"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use x509_parser::prelude::FromDer;

    use super::*;

    #[test]
    fn a_name_is_shown_as_kong_shows_it() {
        let mail = SHORT_NAMES[6].0;
        let kong: &[(&[u8], u8, &[u8])] = &[
            (&[0x55, 4, 6], PRINTABLE, b"CA"),
            (&[0x55, 4, 8], UTF8, b"ON"),
            (&[0x55, 4, 7], UTF8, b"Toronto"),
            (ORGANIZATION, UTF8, b"Kong"),
            (&[0x55, 4, 11], UTF8, b"Gateway"),
            (COMMON_NAME, UTF8, b"KongSDET"),
            (mail, IA5, b"kong@konghq.com"),
        ];
        let expected = "emailAddress=kong@konghq.com,CN=KongSDET,OU=Gateway,O=Kong,L=Toronto,ST=ON,C=CA";
        assert_eq!(parse(&sequence(kong)).unwrap(), expected);
        assert_eq!(parse(&sequence(&[])).unwrap(), "");
    }

    #[test]
    fn values_are_escaped() {
        check(UTF8, b"a,b+c\"d\\e<f>g;h", r#"CN=a\,b\+c\"d\\e\<f\>g\;h"#);
        check(UTF8, b"a=b c#d", "CN=a=b c#d");
        check(UTF8, b" a ", r"CN=\ a\20");
        check(UTF8, b"  a", r"CN=\  a");
        check(UTF8, b"#a", r"CN=\#a");
        check(UTF8, b"", "CN=");
        check(UTF8, b"a\r\nb\0\x7f", r"CN=a\0D\0Ab\00\7F");
        check(UTF8, "Åå".as_bytes(), r"CN=\C3\85\C3\A5");
    }

    #[test]
    fn every_kind_of_string_is_read() {
        check(PRINTABLE, b"a", "CN=a");
        check(T61, b"\xe5", r"CN=\C3\A5");
        check(BMP, b"\x00a\x01\x00", r"CN=a\C4\80");
        check(UNIVERSAL, b"\x00\x00\x00a\x00\x01\xf6\x00", r"CN=a\F0\9F\98\80");
        // An INTEGER is no text: its DER is shown.
        check(0x02, b"\x05", "CN=#020105");
    }

    fn check(tag: u8, value: &[u8], expected: &str) {
        assert_eq!(parse(&sequence(&[(COMMON_NAME, tag, value)])).unwrap(), expected);
    }

    #[test]
    fn broken_text_is_refused() {
        for (tag, value) in
            [(UTF8, &b"\xff"[..]), (BMP, b"a"), (BMP, b"\xd8\x00"), (UNIVERSAL, b"\xff\xff\xff\xff")]
        {
            assert!(parse(&sequence(&[(COMMON_NAME, tag, value)])).is_err(), "{tag} {value:?}");
        }
        assert!(parse(&sequence(&[(COMMON_NAME, UTF8, &[b'a'; 5000])])).is_err());
    }

    #[test]
    fn an_unknown_attribute_is_a_number_and_hexadecimal() {
        let name = sequence(&[(&[0x2a, 0x83, 0x48], UTF8, b"abc")]);
        assert_eq!(parse(&name).unwrap(), "1.2.456=#0C03616263");
        for oid in [&[0xff; 12][..], &[0x2a, 0x83]] {
            assert!(parse(&sequence(&[(oid, UTF8, b"abc")])).is_err());
        }
        assert_eq!(dotted(&[0x88, 0x37, 3]).unwrap(), "2.999.3");
    }

    #[test]
    fn a_set_of_several_attributes_is_joined_with_plus() {
        let both = [attribute(COMMON_NAME, UTF8, b"a"), attribute(&[0x55, 4, 11], UTF8, b"b")].concat();
        let country = tlv(0x31, &attribute(&[0x55, 4, 6], PRINTABLE, b"SE"));
        let name = tlv(0x30, &[country, tlv(0x31, &both)].concat());
        assert_eq!(parse(&name).unwrap(), "OU=b+CN=a,C=SE");
    }

    #[test]
    fn the_most_specific_of_several_common_names_counts() {
        let name = sequence(&[(COMMON_NAME, UTF8, b"first"), (COMMON_NAME, UTF8, b"last")]);
        let (_, name) = X509Name::from_der(&name).unwrap();
        assert_eq!(last_value(&name, COMMON_NAME).unwrap().as_deref(), Some("last"));
        assert_eq!(last_value(&name, ORGANIZATION).unwrap(), None);
    }

    proptest! {
        #[test]
        fn a_name_is_always_a_legal_header_value(
            parts in proptest::collection::vec((".*", any::<bool>()), 0..5),
        ) {
            let parts: Vec<(&[u8], u8, &[u8])> = parts
                .iter()
                .map(|(text, is_cn)| (if *is_cn { COMMON_NAME } else { &[0x55, 4, 99][..] }, UTF8, text.as_bytes()))
                .collect();
            let text = parse(&sequence(&parts)).unwrap();
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(text.trim(), &text);
        }

        #[test]
        fn hostile_bytes_are_refused_without_a_panic(tag in any::<u8>(), value in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(text) = parse(&sequence(&[(&value, tag, &value)])) {
                prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }
    }

    fn parse(der: &[u8]) -> Result<String, Malformed> {
        let (_, name) = X509Name::from_der(der).map_err(|_| Malformed("broken"))?;
        DistinguishedName::parse(&name).map(|name| name.to_string())
    }

    /// A name of one attribute per part.
    fn sequence(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let parts = attributes.iter().map(|(oid, tag, value)| tlv(0x31, &attribute(oid, *tag, value)));
        tlv(0x30, &parts.collect::<Vec<_>>().concat())
    }

    fn attribute(oid: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        tlv(0x30, &[tlv(0x06, oid), tlv(tag, value)].concat())
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut der = vec![tag];
        match content.len() {
            short @ 0..128 => der.push(short as u8),
            long => der.extend([0x82, (long >> 8) as u8, long as u8]),
        }
        der.extend_from_slice(content);
        der
    }

    const UTF8: u8 = 0x0c;
    const PRINTABLE: u8 = 0x13;
    const T61: u8 = 0x14;
    const IA5: u8 = 0x16;
    const UNIVERSAL: u8 = 0x1c;
    const BMP: u8 = 0x1e;
}
