//! Which hosts may be asked: a certificate names them, so what it names is judged.
//!
//! A CA is trusted to say who a client is, not to make this host call its own network. The address
//! that is dialled is judged, not the name, so a name that points inside does not help.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The hosts of `mtls_auth_revocation_hosts`.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Vec<Box<str>>);

impl Hosts {
    /// Names or addresses as in URLs. Empty: every host whose address is public.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase().into()).collect())
    }

    /// Whether this host may be asked, before its addresses are known.
    pub(super) fn judge(&self, host: &str) -> Result<Permission, String> {
        let listed = self.0.iter().any(|name| name.eq_ignore_ascii_case(host));
        match (listed, self.0.is_empty()) {
            (true, _) => Ok(Permission::Any),
            (false, true) => Ok(Permission::Public),
            (false, false) => Err(format!("{host} is not in mtls_auth_revocation_hosts")),
        }
    }
}

/// Which addresses of a host may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    Any,
    Public,
}

impl Permission {
    pub(super) fn admits(self, address: IpAddr) -> bool {
        self == Self::Any || is_public(address)
    }
}

/// Whether an address belongs to the Internet, by IANA's special-purpose registries; every form
/// in which IPv6 carries an IPv4 address counts as that.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127, ..] | [192, 168, ..] | [169, 254, ..] => true,
        [100, second, ..] => (64..128).contains(&second),
        [172, second, ..] => (16..32).contains(&second),
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18 | 19, ..] => true,
        [first, ..] => first >= 224,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let within = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        // ::ffff:0:0/96 (mapped) and 64:ff9b::/96 (NAT64).
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => within(g, h),
        // 6to4.
        [0x2002, high, low, ..] => within(high, low),
        // Teredo and other protocols, documentation.
        [0x2001, 0..0x200 | 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // Everything that is given out is in 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_within_is_not_public_however_it_is_written() {
        for (address, public) in [
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("172.15.0.1", true),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.63.0.1", true),
            ("100.64.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("8.8.8.8", true),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("::127.0.0.1", false),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b::8.8.8.8", true),
            ("2002:7f00:1::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2a00:1450::1", true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Permission::Public.admits(address), public, "{address}");
            assert!(Permission::Any.admits(address));
        }
    }

    #[test]
    fn a_list_admits_its_hosts_wherever_they_are_and_no_others() {
        let listed = Hosts::new(["OCSP.internal".to_owned(), "10.0.0.1".to_owned()]);
        assert_eq!(listed.judge("ocsp.Internal"), Ok(Permission::Any));
        assert_eq!(listed.judge("10.0.0.1"), Ok(Permission::Any));
        assert!(listed.judge("ocsp.example").unwrap_err().contains("mtls_auth_revocation_hosts"));
        assert_eq!(Hosts::default().judge("ocsp.example"), Ok(Permission::Public));
    }
}
