//! What is read, whatever became of it on its way, and what is named instead.

use std::sync::LazyLock;

use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Two certificates and the key of the first, as PEM.
static MADE: LazyLock<[String; 3]> = LazyLock::new(|| {
    let make = || rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (first, second) = (make(), make());
    [first.cert.pem(), second.cert.pem(), first.signing_key.serialize_pem()]
});

fn pair() -> (&'static str, &'static str) {
    (&MADE[0], &MADE[2])
}

fn der_of(text: &str) -> Vec<u8> {
    let lines: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    BASE64.decode(lines).unwrap()
}

#[track_caller]
fn reads(text: impl AsRef<[u8]>, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|pem| CertificateDer::from(der_of(pem))).collect();
    let shown = String::from_utf8_lossy(text.as_ref());
    assert_eq!(certificates(text.as_ref()), Ok(expected), "{shown}");
}

#[track_caller]
fn refuses(text: impl AsRef<[u8]>, expected: &str) {
    let told = certificates(text.as_ref()).unwrap_err().to_string();
    assert_eq!(told, expected, "{}", String::from_utf8_lossy(text.as_ref()));
}

#[test]
fn certificates_come_in_order_and_keys_beside_them_are_passed_over() {
    let [first, second, key] = &*MADE;
    reads(format!("{first}{key}{second}"), &[first, second]);
    assert!(private_key(format!("{first}{key}").as_bytes()).is_ok());
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    assert!(private_key(format!("{parameters}{key}").as_bytes()).is_ok());
}

#[test]
fn text_without_what_is_wanted_says_what_it_holds() {
    let (cert, key) = pair();
    let check = |text: &str, certificate: PemError, private: PemError| {
        assert_eq!(certificates(text.as_bytes()), Err(certificate), "{text}");
        assert_eq!(private_key(text.as_bytes()).unwrap_err(), private, "{text}");
    };
    check("", PemError::Empty, PemError::Empty);
    check(" \n", PemError::Empty, PemError::Empty);
    check("garbage", PemError::NoBlock, PemError::NoBlock);
    check("0000000", PemError::NoBlock, PemError::NoBlock);
    assert_eq!(certificates(key.as_bytes()), Err(PemError::KeyInsteadOfCertificate));
    assert_eq!(private_key(cert.as_bytes()).unwrap_err(), PemError::CertificateInsteadOfKey);
    assert_eq!(private_key(format!("{key}{key}").as_bytes()).unwrap_err(), PemError::SeveralKeys);
    let headed = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0A\n\nAAAA\n-----END EC PRIVATE KEY-----\n";
    let encrypted = PemError::Foreign(Format::EncryptedKey);
    assert_eq!(private_key(headed.as_bytes()).unwrap_err(), encrypted);
    assert_eq!(private_key(headed.replace('\n', " ").as_bytes()).unwrap_err(), encrypted);
}

#[test]
fn lost_and_changed_line_breaks_do_not_matter() {
    let (cert, key) = pair();
    for instead in [
        "\\n",
        "\\r\\n",
        "\\\\n",
        " ",
        "\t",
        ",",
        "",
        "\r\n",
        "\r",
        "\n\n",
        " \n    ",
        "\u{a0}",
        ";",
        "\\\n",
        "\"\n\"",
        "|",
        "\\n\" +\n\"".trim_end_matches("+\n\""),
    ] {
        let changed = cert.replace('\n', instead);
        reads(&changed, &[cert]);
        reads(format!("{changed}{changed}"), &[cert, cert]);
        reads(format!("\"{changed}\""), &[cert]);
        let changed = key.replace('\n', instead);
        assert_eq!(private_key(changed.as_bytes()).unwrap().secret_der(), der_of(key), "{changed}");
    }
    // Without any space at all, the labels' included.
    let packed: String = key.split_whitespace().collect();
    assert_eq!(private_key(packed.as_bytes()).unwrap().secret_der(), der_of(key));
    // As JSON of PHP and of Gson, and as a form and a URL have it.
    let json = key.replace('/', "\\/").replace('=', "\\u003d").replace('\n', "\\n");
    assert_eq!(private_key(json.as_bytes()).unwrap().secret_der(), der_of(key));
    let url = key.replace('+', "%2B").replace('=', "%3D").replace('\n', "%0A");
    assert_eq!(private_key(url.replace(' ', "%20").as_bytes()).unwrap().secret_der(), der_of(key));
    assert_eq!(private_key(url.replace(' ', "+").as_bytes()).unwrap().secret_der(), der_of(key));
}

#[test]
fn what_stands_around_blocks_does_not_matter() {
    let (cert, _) = pair();
    let glued = cert.trim_end().to_owned() + cert;
    reads(&glued, &[cert, cert]);
    reads(glued.replace("----------", "-----"), &[cert, cert]);
    reads(format!("\u{feff}{cert}"), &[cert]);
    reads(format!("{cert}\u{feff}{cert}"), &[cert, cert]);
    reads(format!("    {}", cert.replace('\n', "\n    ")), &[cert]);
    reads(
        format!("# Root\nsubject=CN = a\n{cert}Bag Attributes\n    friendlyName: M\u{fc}ller\n{cert}"),
        &[cert, cert],
    );
    reads([b"M\xfcller\n", cert.as_bytes()].concat(), &[cert]);
    reads(format!(" 0 s:CN = a\n   i:CN = b\n{cert}---\nServer certificate, the end of it\n"), &[cert]);
    reads(format!("text{cert}"), &[cert]);
    reads(format!("key: |\n  {}", cert.replace('\n', "\n  ")), &[cert]);
    reads(cert.replace("BEGIN CERTIFICATE-----\n", "BEGIN CERTIFICATE-----\nComment: mine\n\n"), &[cert]);
    for label in ["X509 CERTIFICATE", "X.509 CERTIFICATE", "TRUSTED CERTIFICATE"] {
        reads(cert.replace("CERTIFICATE", label), &[cert]);
    }
}

#[test]
fn every_begin_is_read_or_named() {
    let (cert, key) = pair();
    let at = |damaged: &str, what: &str| {
        refuses(
            format!("{cert}{damaged}"),
            &format!("its PEM is damaged: block 2 (line {}) {what}", cert.lines().count() + 1),
        );
    };
    at(&cert[..cert.len() / 2], "has no END line");
    at(
        &cert.replace("-----END", "----END"),
        "has a damaged boundary: it is five dashes, BEGIN or END, the label, and five dashes",
    );
    for (from, to) in [
        ("-----BEGIN", "----BEGIN"),
        ("-----BEGIN", "--BEGIN"),
        ("-----BEGIN", "\u{2014}BEGIN"),
        ("-----BEGIN", "-----begin"),
        ("-----BEGIN", "----- BEGIN"),
        ("-----BEGIN", "BEGIN"),
        ("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE"),
        ("BEGIN CERTIFICATE-----", "BEGIN CERT(1)-----"),
    ] {
        at(
            &cert.replace(from, to),
            "has a damaged boundary: it is five dashes, BEGIN or END, the label, and five dashes",
        );
    }
    at(
        &cert.replace("CERTIFICATE", "CERTIFCATE"),
        "has a label that is not known; did you mean CERTIFICATE?",
    );
    at(&cert.replace("CERTIFICATE", "SOMETHING"), "has a label that is not known");
    at(&cert.replace("END CERTIFICATE", "END PRIVATE KEY"), "begins with one label and ends with another");
    at(&format!("#{}", cert.replace('\n', "\n#")), "is commented out");
    at("-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----", "is not base64 inside");
    at("-----END CERTIFICATE-----\n", "ends without a BEGIN line");
    let lines: Vec<_> = cert.lines().collect();
    at(
        &[&lines[..lines.len() / 2], &lines[lines.len() - 1..]].concat().join("\n"),
        "is cut off: its DER ends too early",
    );
    // A block in a block, and one that is there twice.
    at(&format!("-----BEGIN CERTIFICATE-----\n{cert}"), "has no END line");
    reads(format!("{cert}{cert}"), &[cert, cert]);
    // A damaged key beside a certificate is named too: the file is not what somebody thinks it is.
    at(
        &key.replace("-----END", "---END"),
        "has a damaged boundary: it is five dashes, BEGIN or END, the label, and five dashes",
    );
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    let (cert, _) = pair();
    let line = cert.lines().count() + 3;
    for end in ["\n", "\r\n", "\r", "\\n"] {
        let text = format!("# a\n\n{cert}-----BEGIN CERTIFICATE-----\nAAAA\n").replace('\n', end);
        refuses(text, &format!("its PEM is damaged: block 2 (line {line}) has no END line"));
    }
}

#[test]
fn der_and_base64_of_it_are_read() {
    let [first, second, key] = &*MADE;
    let (one, two, secret) = (der_of(first), der_of(second), der_of(key));
    reads(&one, &[first]);
    reads([&one[..], b"\n"].concat(), &[first]);
    reads([&one[..], &two[..]].concat(), &[first, second]);
    reads(BASE64.encode(&one), &[first]);
    reads(BASE64.encode(BASE64.encode(&one)), &[first]);
    reads(BASE64.encode(first), &[first]);
    reads(BASE64.encode(first).trim_end_matches('='), &[first]);
    assert_eq!(private_key(&secret).unwrap().secret_der(), secret);
    assert_eq!(private_key(BASE64.encode(&secret).as_bytes()).unwrap().secret_der(), secret);
    assert_eq!(certificates(&secret), Err(PemError::KeyInsteadOfCertificate));
    assert_eq!(private_key(&one).unwrap_err(), PemError::CertificateInsteadOfKey);
    refuses(&one[..one.len() - 1], "its DER is cut off: it ends too early");
    refuses(BASE64.encode(&one[..one.len() / 2]), "its DER is cut off: it ends too early");
}

#[test]
fn other_formats_are_named() {
    let check = |bytes: &[u8], format: Format| {
        assert_eq!(certificates(bytes), Err(PemError::Foreign(format)));
        assert_eq!(private_key(bytes).unwrap_err(), PemError::Foreign(format));
        assert!(!format.to_string().is_empty() && !format.advice().is_empty());
    };
    let (cert, _) = pair();
    let wide = |order: fn(u16) -> [u8; 2]| cert.encode_utf16().flat_map(order).collect::<Vec<_>>();
    check(&[&[0xff, 0xfe], &wide(u16::to_le_bytes)[..]].concat(), Format::Utf16);
    check(&[&[0xfe, 0xff], &wide(u16::to_be_bytes)[..]].concat(), Format::Utf16);
    check(&wide(u16::to_le_bytes), Format::Utf16);
    check(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2], Format::Jks);
    check(b"PK\x03\x04....", Format::Archive);
    check(b"<!DOCTYPE html><html>", Format::Page);
    check(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@here", Format::SshPublicKey);
    check(b"PuTTY-User-Key-File-3: ssh-ed25519", Format::PuttyKey);
    check(b"{vault://env/key}", Format::Vault);
    check(br#"{"kty":"EC","d":"x"}"#, Format::Jwk);
    check(format!("data:\n  tls.crt: {}\n", BASE64.encode(cert)).as_bytes(), Format::Packed);
    for (label, format) in [
        ("CERTIFICATE REQUEST", Format::Request),
        ("PUBLIC KEY", Format::PublicKey),
        ("PKCS7", Format::Pkcs7Pem),
        ("DSA PRIVATE KEY", Format::DsaKey),
    ] {
        let text = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        check(text.as_bytes(), format);
    }
    let hidden = format!("{cert}-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n");
    assert_eq!(certificates(hidden.as_bytes()), Err(PemError::Foreign(Format::Pkcs7Pem)));
    for (label, format) in
        [("OPENSSH PRIVATE KEY", Format::OpenSshKey), ("ENCRYPTED PRIVATE KEY", Format::EncryptedKey)]
    {
        let text = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        assert_eq!(private_key(text.as_bytes()).unwrap_err(), PemError::Foreign(format));
        assert_eq!(certificates(text.as_bytes()), Err(PemError::KeyInsteadOfCertificate));
    }
}

#[test]
fn the_trust_settings_of_a_trusted_certificate_count_where_it_is_to_judge() {
    let (cert, _) = pair();
    // X509_CERT_AUX: trusted for clientAuth; rejected for it; for anything; nothing said.
    let client: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
    let any: &[u8] = &[0x06, 0x04, 0x55, 0x1d, 0x25, 0x00];
    let list =
        |tag: u8, usage: &[u8]| [&[0x30, usage.len() as u8 + 2, tag, usage.len() as u8], usage].concat();
    let with = |settings: &[u8]| {
        let base64 = BASE64.encode([&der_of(cert)[..], settings].concat());
        format!("-----BEGIN TRUSTED CERTIFICATE-----\n{base64}\n-----END TRUSTED CERTIFICATE-----\n")
    };
    let check = |settings: &[u8], clients: bool, servers: bool| {
        let text = with(settings);
        reads(&text, &[cert]);
        let judged = |side| authorities(text.as_bytes(), &[side]).is_ok();
        assert_eq!((judged(Side::Client), judged(Side::Server)), (clients, servers), "{settings:x?}");
    };
    check(&[], true, true);
    check(&[0x30, 0x00], true, true);
    check(&list(0x30, client), true, false);
    check(&list(0xa0, client), false, true);
    check(&list(0x30, any), true, true);
    check(&list(0xa0, any), false, false);
    check(&[0x30, 0x05, 0x01], false, false);
    let told = authorities(with(&list(0xa0, client)).as_bytes(), &[Side::Client]).unwrap_err().to_string();
    assert_eq!(
        told,
        "block 1 (line 1) is a TRUSTED CERTIFICATE whose own settings do not trust it for TLS clients"
    );
}

proptest! {
    #[test]
    fn nothing_panics_and_no_error_holds_a_piece_of_the_text(
        at in 0..400_usize, cut in 0..400_usize, insert in select(&["\n", " ", "-----", ":", "\\", "BEGIN", "END ", "%20", "é", "\u{feff}", "#"][..]),
        times in 1..4_usize, packed: bool, key: bool
    ) {
        let text = if key { &MADE[2] } else { &MADE[0] };
        let mut changed = text.repeat(times);
        let place = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        changed.replace_range(place(at.min(cut))..place(at.max(cut).min(at + 40)).max(place(at.min(cut))), insert);
        if packed {
            changed = BASE64.encode(&changed);
        }
        let body = text.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        for told in [certificates(changed.as_bytes()).map(drop), private_key(changed.as_bytes()).map(drop)] {
            let told = told.map_or_else(|error| format!("{error} {error:?} {}", error.advice("")), |()| String::new());
            prop_assert!(!body.as_bytes().windows(12).any(|piece| told.contains(std::str::from_utf8(piece).unwrap())), "{}", told);
        }
        let _ = unpacked(&changed);
        let _ = is_pem(&changed);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = certificates(&bytes);
        let _ = private_key(&bytes);
        let _ = revocation_lists(&bytes);
    }
}

#[test]
fn what_is_beside_blocks_is_read_or_named() {
    let [first, second, _] = &*MADE;
    let wide: Vec<u8> = second.encode_utf16().flat_map(u16::to_le_bytes).collect();
    reads([first.as_bytes(), &[0xff, 0xfe], &wide].concat(), &[first, second]);
    let body: String = second.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\n");
    let bare = |line: usize| {
        format!(
            "its PEM is damaged: block 2 (line {line}) has neither BEGIN nor END, and what is there looks like base64 of a certificate or key"
        )
    };
    let line = first.lines().count() + 1;
    refuses(format!("{first}{body}\n"), &bare(line));
    refuses(format!("{first}<X509Certificate>{}</X509Certificate>", body.replace('\n', "")), &bare(line));
    refuses(format!("{first}# the other\n{}\n", BASE64.encode(second)), &bare(line + 1));
    refuses(format!("{first}{body}\n{first}"), &bare(line));
    for mixed in [[first.as_bytes(), &der_of(second)].concat(), [&der_of(second), first.as_bytes()].concat()]
    {
        refuses(mixed, "it holds DER beside its PEM");
    }
    // Of what stands beside them rightly, nothing is meant.
    let text = "Bag Attributes\n    localKeyID: 54 69 6D 65\nsubject=CN = MII\n  30:82:01:0a:02:82:01:01:00\n# Zertifikat für Köln\n";
    reads(format!("{text}{first}{text}{second}{text}"), &[first, second]);
}
