//! What is neither PEM nor DER of a certificate or key, recognised, with the command that converts it.
//!
//! Used by `pem`, which refuses these by name instead of by a fault in their bytes.

use std::fmt;

/// A format that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `.p12`, `.pfx` (RFC 7292).
    Pkcs12,
    /// Java's keystore, or that of its cryptography extension.
    Jks,
    /// `.p7b`, `.p7c` in DER (RFC 2315, RFC 5652).
    Pkcs7Der,
    /// The same between `-----BEGIN PKCS7-----` and its end.
    Pkcs7Pem,
    /// Text in UTF-16 or UTF-32, as Windows' editors and PowerShell write it.
    Utf16,
    /// PKCS#10 (RFC 2986).
    Request,
    /// SubjectPublicKeyInfo, or PKCS#1's public half.
    PublicKey,
    /// `ssh-keygen`'s own.
    OpenSshKey,
    /// One line of an `authorized_keys`, or the SSH2 form of it.
    SshPublicKey,
    /// PuTTY's own.
    PuttyKey,
    /// A key with a passphrase: PKCS#8's, or OpenSSL's older form.
    EncryptedKey,
    /// A kind of key that TLS no longer has.
    DsaKey,
    /// A list of revoked certificates.
    Crl,
    /// A key as JSON (RFC 7517).
    Jwk,
    /// zip, gzip and their like.
    Archive,
    /// HTML or XML: often the page that says why there is no download.
    Page,
    /// Base64 of PEM, with other text around it, as in a manifest of Kubernetes.
    Packed,
    /// Kong's reference to a vault.
    Vault,
}

impl Format {
    /// What the first bytes of something binary say.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        if starts(&[0xfe, 0xed, 0xfe, 0xed]) || starts(&[0xce, 0xce, 0xce, 0xce]) {
            return Some(Self::Jks);
        }
        if starts(&[0xff, 0xfe]) || starts(&[0xfe, 0xff]) || starts(&[0, 0, 0xfe, 0xff]) || is_wide(bytes) {
            return Some(Self::Utf16);
        }
        // BER without lengths, as Windows and Java write both.
        if starts(&[0x30, 0x80, 0x02, 0x01, 0x03]) {
            return Some(Self::Pkcs12);
        }
        if starts(&[0x30, 0x80, 0x06]) {
            return Some(Self::Pkcs7Der);
        }
        let archives: [&[u8]; 5] = [b"PK\x03\x04", &[0x1f, 0x8b, 8], b"BZh", b"7z\xbc\xaf", b"\xfd7zXZ"];
        archives.into_iter().any(starts).then_some(Self::Archive)
    }

    /// What a text without any boundary is.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let starts = |word: &&str| text.starts_with(word);
        if ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(starts) {
            return Some(Self::SshPublicKey);
        }
        if text.starts_with("PuTTY-User-Key-File") {
            return Some(Self::PuttyKey);
        }
        if text.trim_start_matches(['"', '\'']).starts_with("{vault://") {
            return Some(Self::Vault);
        }
        if text.starts_with('{') && text.contains("\"kty\"") {
            return Some(Self::Jwk);
        }
        if text.contains(PACKED_BEGIN) {
            return Some(Self::Packed);
        }
        text.starts_with('<').then_some(Self::Page)
    }

    /// The command that makes of it what is read here, or what else helps.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Pkcs12 => {
                "convert it: openssl pkcs12 -in FILE -nodes -out both.pem, which holds certificate and key"
            }
            Self::Jks => {
                "convert it: keytool -importkeystore -srckeystore FILE -destkeystore new.p12 -deststoretype pkcs12, \
                 then openssl pkcs12 -in new.p12 -nodes -out both.pem"
            }
            Self::Pkcs7Der => "convert it: openssl pkcs7 -inform DER -in FILE -print_certs -out chain.pem",
            Self::Pkcs7Pem => "convert it: openssl pkcs7 -in FILE -print_certs -out chain.pem",
            Self::Utf16 => "convert it: iconv -f UTF-16 -t UTF-8 FILE > new.pem",
            Self::Request => {
                "give what the CA made of it; your own CA does so with: openssl x509 -req -in FILE -CA ca.crt -CAkey \
                 ca.key -copy_extensions copy -out new.crt"
            }
            Self::PublicKey => {
                "give the private key, of which it was made with openssl pkey -pubout; nothing leads back"
            }
            Self::OpenSshKey => {
                "convert a copy of it: ssh-keygen -p -N \"\" -m PEM -f COPY; an Ed25519 key must be made anew: \
                 openssl genpkey -algorithm ed25519 -out new.key"
            }
            Self::SshPublicKey => {
                "SSH keys have no certificates here: make a key with openssl genpkey -algorithm EC -pkeyopt \
                 ec_paramgen_curve:P-256 -out new.key"
            }
            Self::PuttyKey => {
                "convert it: puttygen FILE -O private-openssh -o new.key, then ssh-keygen -p -N \"\" -m PEM -f new.key"
            }
            Self::EncryptedKey => "take the passphrase off: openssl pkey -in FILE -out new.key",
            Self::DsaKey => {
                "make another: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out new.key, \
                 and have a certificate issued for it"
            }
            Self::Crl => "name it in mtls_auth_crl_files, and give certificates or a key here",
            Self::Jwk => "convert it to PEM with the tool that made it",
            Self::Archive => "unpack it, and name the file inside",
            Self::Page => "open it in a browser to see what it says, and fetch the file again",
            Self::Packed => {
                "take the value out and decode it: base64 -d, as in kubectl get secret NAME -o jsonpath='{.data.tls\\.crt}' | base64 -d"
            }
            Self::Vault => "mount the secret as a file and give its path, or set the variable to its text",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pkcs12 => "it is PKCS#12 (.p12, .pfx), which is not read",
            Self::Jks => "it is a Java keystore (JKS), which is not read",
            Self::Pkcs7Der | Self::Pkcs7Pem => "it is PKCS#7 (.p7b), which is not read",
            Self::Utf16 => "it is text in UTF-16, which is not read",
            Self::Request => "it holds a certificate request (CSR) instead of what was issued for it",
            Self::PublicKey => "it holds a public key only",
            Self::OpenSshKey => "it holds a private key in OpenSSH's format, which TLS does not use",
            Self::SshPublicKey => "it holds a public key of SSH",
            Self::PuttyKey => "it is a key in PuTTY's format (.ppk), which is not read",
            Self::EncryptedKey => "its private key is encrypted with a passphrase, which is not supported",
            Self::DsaKey => "it holds a DSA key, which TLS does not use",
            Self::Crl => "it holds a certificate revocation list (CRL) instead",
            Self::Jwk => "it is a JSON Web Key (JWK), which is not read",
            Self::Archive => "it is a compressed archive, which is not read",
            Self::Page => "it is HTML or XML",
            Self::Packed => "it is text with PEM packed in base64 somewhere inside",
            Self::Vault => "it is a reference to a vault ({vault://…}), and vaults are not asked",
        })
    }
}

/// ASCII in two or four bytes each, of either order, without a mark in front.
fn is_wide(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(16)];
    let zeros = |odd: usize| start.iter().skip(odd).step_by(2).all(|byte| *byte == 0);
    start.len() >= 8 && (zeros(0) || zeros(1)) && start.contains(&b'-')
}

/// Base64 of `-----BEGIN`, as far as it does not depend on what follows.
const PACKED_BEGIN: &str = "LS0tLS1CRUdJTi";
