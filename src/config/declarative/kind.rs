//! The kinds of entities a file may hold, and what each is known by.
//!
//! Used by `gather`. Source: kong/db/schema/others/declarative_config.lua and kong/db/schema/entities.

use super::id::Id;
use super::node::Node;

/// One list of entities; parents come before what is written in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Services,
    Routes,
    Consumers,
    CaCertificates,
    Certificates,
    Snis,
    Upstreams,
    Targets,
    Acls,
    MtlsAuthCredentials,
    HeaderCertAuthCredentials,
    Plugins,
}

impl Kind {
    pub(super) const ALL: [Self; 12] = [
        Self::Services,
        Self::Routes,
        Self::Consumers,
        Self::CaCertificates,
        Self::Certificates,
        Self::Snis,
        Self::Upstreams,
        Self::Targets,
        Self::Acls,
        Self::MtlsAuthCredentials,
        Self::HeaderCertAuthCredentials,
        Self::Plugins,
    ];

    /// The key of its list.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Routes => "routes",
            Self::Consumers => "consumers",
            Self::CaCertificates => "ca_certificates",
            Self::Certificates => "certificates",
            Self::Snis => "snis",
            Self::Upstreams => "upstreams",
            Self::Targets => "targets",
            Self::Acls => "acls",
            Self::MtlsAuthCredentials => "mtls_auth_credentials",
            Self::HeaderCertAuthCredentials => "header_cert_auth_credentials",
            Self::Plugins => "plugins",
        }
    }

    /// What may be written inside of one.
    pub(super) fn nested(self) -> &'static [Self] {
        match self {
            Self::Services => &[Self::Routes, Self::Plugins],
            Self::Routes => &[Self::Plugins],
            Self::Consumers => {
                &[Self::Acls, Self::MtlsAuthCredentials, Self::HeaderCertAuthCredentials, Self::Plugins]
            }
            Self::Certificates => &[Self::Snis],
            Self::Upstreams => &[Self::Targets],
            _ => &[],
        }
    }

    /// The field that others may refer to it by (Kong's `endpoint_key`).
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Services | Self::Routes | Self::Snis | Self::Upstreams => Some("name"),
            Self::Consumers => Some("username"),
            Self::Targets => Some("target"),
            Self::Acls => Some("group"),
            Self::MtlsAuthCredentials | Self::HeaderCertAuthCredentials => Some("subject_name"),
            Self::Plugins => Some("instance_name"),
            Self::CaCertificates | Self::Certificates => None,
        }
    }

    /// Whether that is unique among all of the kind, and not only among those of one parent.
    pub(super) fn is_unique(self) -> bool {
        let of_a_parent =
            [Self::Targets, Self::Acls, Self::MtlsAuthCredentials, Self::HeaderCertAuthCredentials];
        !of_a_parent.contains(&self)
    }

    /// What a derived id is made of; `None` where the entity is known by nothing.
    pub(super) fn key(self, node: &Node, parent: Option<(Self, Id)>) -> Option<String> {
        let text = |key: &str| node.at(key).and_then(Node::text);
        let name = self.name().and_then(text);
        let owner = || match (parent, self) {
            (Some((_, id)), _) => Some(id.to_string()),
            (None, Self::Targets) => text("upstream").map(str::to_owned),
            (None, _) => text("consumer").map(str::to_owned),
        };
        match (self, name) {
            (_, Some(name)) if self.is_unique() => Some(name.to_owned()),
            (_, Some(name)) => Some(format!("{name}:{}", owner()?)),
            (Self::Consumers, None) => Some(format!("custom_id:{}", text("custom_id")?)),
            (Self::CaCertificates | Self::Certificates, _) => text("cert").map(str::to_owned),
            (Self::Plugins, None) => plugin(node, parent),
            _ => None,
        }
    }
}

/// Kong's cache key: name, route, service and consumer, where nothing of them is left empty.
fn plugin(node: &Node, parent: Option<(Kind, Id)>) -> Option<String> {
    let text = |key: &str| node.at(key).and_then(Node::text);
    let owner = |kind: Kind, key: &str| {
        let within = parent.filter(|(of, _)| *of == kind).map(|(_, id)| id.to_string());
        within.or_else(|| text(key).map(str::to_owned)).unwrap_or_default()
    };
    let owners = [(Kind::Routes, "route"), (Kind::Services, "service"), (Kind::Consumers, "consumer")];
    let [route, service, consumer] = owners.map(|(kind, key)| owner(kind, key));
    Some(format!("plugins:{}:{route}:{service}:{consumer}", text("name")?))
}
