//! Kong's `ip-restriction`: which addresses may ask at all.
//!
//! Used by `policy::Policy`, per request: behind a trusted proxy each request has an address of its
//! own. Source: kong/plugins/ip-restriction/handler.lua at 3.9.

use std::net::IpAddr;

use http::StatusCode;
use ipnet::IpNet;

use super::Denial;
use crate::message::reply::Reply;

/// The plugin. Kong demands that one of the lists is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpRestriction {
    /// If there are any, only these may.
    pub allow: Vec<IpNet>,
    /// These may not, allowed or not.
    pub deny: Vec<IpNet>,
    /// Of the refusal; Kong's default is 403.
    pub status: StatusCode,
    /// Of the refusal, instead of Kong's text with the address.
    pub message: Option<String>,
}

impl IpRestriction {
    pub(super) fn judge(&self, client: IpAddr) -> Result<(), Denial> {
        let client = client.to_canonical();
        let listed = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&client));
        let list = if listed(&self.deny) {
            "on the deny list"
        } else if !self.allow.is_empty() && !listed(&self.allow) {
            "not on the allow list"
        } else {
            return Ok(());
        };
        let message = self.message.clone().unwrap_or_else(|| format!("IP address not allowed: {client}"));
        let reason = format!("the address {client} is {list} of ip-restriction");
        Err(Denial::new(Reply::saying(self.status, message), reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_judged_by_both_lists_and_deny_wins() {
        check(&["10.0.0.0/8"], &[], "10.1.2.3", true);
        check(&["10.0.0.0/8"], &[], "11.1.2.3", false);
        check(&["10.0.0.0/8"], &[], "::ffff:10.1.2.3", true);
        check(&[], &["10.0.0.0/8"], "10.1.2.3", false);
        check(&[], &["10.0.0.0/8"], "::ffff:10.1.2.3", false);
        check(&[], &["10.0.0.0/8"], "11.1.2.3", true);
        check(&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3", false);
        check(&["10.0.0.0/8"], &["10.1.0.0/16"], "10.2.2.3", true);
        check(&["2001:db8::/32"], &[], "2001:db8::1", true);
        check(&["2001:db8::/32"], &[], "10.0.0.1", false);
    }

    fn check(allow: &[&str], deny: &[&str], client: &str, passes: bool) {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let (allow, deny) = (networks(allow), networks(deny));
        let plugin = IpRestriction { allow, deny, status: StatusCode::FORBIDDEN, message: None };
        let judged = plugin.judge(client.parse().unwrap());
        assert_eq!(judged.is_ok(), passes, "{plugin:?} {client}");
    }

    #[test]
    fn the_refused_address_is_told() {
        let deny = vec!["10.0.0.0/8".parse().unwrap()];
        let plugin = IpRestriction { allow: Vec::new(), deny, status: StatusCode::FORBIDDEN, message: None };
        let judge = |plugin: &IpRestriction| plugin.judge([10, 0, 0, 1].into()).unwrap_err().reply;
        let expected = Reply::new(StatusCode::FORBIDDEN, "IP address not allowed: 10.0.0.1");
        assert_eq!(judge(&plugin), expected);
        let own = IpRestriction { status: StatusCode::NOT_FOUND, message: Some("go".into()), ..plugin };
        assert_eq!(judge(&own), Reply::new(StatusCode::NOT_FOUND, "go"));
    }
}
