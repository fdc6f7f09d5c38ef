//! The settings of Kong that are none of ours: understood, harmless, or deciding.
//!
//! Used by `names` and `source`. The keys are those of Kong 3.9's kong.conf (kong/templates/kong_defaults.lua
//! and the Enterprise edition's reference); directives for nginx are in `nginx`.

use std::borrow::Cow;

use super::OWN;
use super::nginx::{self, NGINX};

/// What a setting of Kong's comes to here, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Meaning {
    /// These settings, with these values.
    Says(Vec<(&'static str, String)>),
    /// Nothing here depends on it.
    Harmless,
    /// It may decide who passes, whom we trust or how large something may be, and nothing here does that.
    Deciding { what: Cow<'static, str>, advice: &'static str },
}

impl Meaning {
    pub(super) fn deciding(what: impl Into<Cow<'static, str>>, advice: &'static str) -> Self {
        Self::Deciding { what: what.into(), advice }
    }
}

/// Whether it is a key of Kong's that is listed here.
pub(super) fn knows(key: &str) -> bool {
    key.starts_with(NGINX) && nginx::knows(key)
        || UNDERSTOOD.iter().any(|(known, ..)| *known == key)
        || DECIDING.iter().any(|deciding| deciding.key == key)
        || HARMLESS.contains(&key)
        || HARMLESS_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Whether the key is Kong's even without `KONG_` before it: nobody else has such names.
pub(super) fn is_unmistakable(key: &str) -> bool {
    key.starts_with(NGINX) && nginx::knows(key) || UNDERSTOOD.iter().any(|(known, ..)| *known == key)
}

/// What a key that is Kong's comes to.
pub(in crate::config) fn meaning(key: &str, value: &str) -> Meaning {
    if let Some((.., write)) = UNDERSTOOD.iter().find(|(known, ..)| *known == key) {
        return write(value);
    }
    if key.starts_with(NGINX) {
        return nginx::meaning(key, value);
    }
    let is_off = |deciding: &Deciding| {
        value.is_empty() || deciding.harmless.iter().any(|word| word.eq_ignore_ascii_case(value))
    };
    let asks = |deciding: &&Deciding| deciding.key == key && !is_off(deciding);
    match DECIDING.iter().find(asks) {
        Some(deciding) => Meaning::deciding(deciding.what, deciding.advice),
        None => Meaning::Harmless,
    }
}

/// See [`Name::rank`](super::Name::rank). In Kong a suite of ciphers goes before `ssl_protocols`.
pub(super) fn rank(key: &str) -> usize {
    if key == "ssl_cipher_suite" { OWN + 1 } else { nginx::rank(key) }
}

/// How the value is written here.
type Write = fn(&str) -> Meaning;

/// Kong's key, the setting that means the same, and the value there. In Kong, `lua_ssl_trusted_certificate`
/// is not about upstreams, but it is widely set as if it were.
pub(in crate::config) const UNDERSTOOD: &[(&str, &str, Write)] = &[
    ("lua_ssl_trusted_certificate", "upstream_ca_certificates", |value| {
        Meaning::Says(vec![("upstream_ca_certificates", value.to_owned())])
    }),
    ("lua_max_req_headers", "max_header_count", |value| {
        Meaning::Says(vec![("max_header_count", value.to_owned())])
    }),
    ("ssl_cipher_suite", "ssl_protocols", cipher_suite),
    ("proxy_access_log", "access_log", access_log),
    ("nginx_worker_processes", "workers", |value| Meaning::Says(vec![("workers", value.to_owned())])),
];

/// Only ciphers with forward secrecy are spoken here, so that of the suites two say more than that.
fn cipher_suite(value: &str) -> Meaning {
    match value {
        "modern" => Meaning::Says(vec![("ssl_protocols", "TLSv1.3".to_owned())]),
        "fips" => Meaning::deciding(
            "the ciphers that FIPS 140 allows cannot be chosen here",
            "set SSL_PROTOCOLS, and remove it",
        ),
        _ => Meaning::Harmless,
    }
}

/// A path is Kong's own place for the log; ours goes to standard output.
fn access_log(value: &str) -> Meaning {
    match value {
        "off" => Meaning::Says(vec![("access_log", "off".to_owned())]),
        _ => Meaning::Harmless,
    }
}

/// A key that may decide something.
struct Deciding {
    key: &'static str,
    /// Values that ask for nothing.
    harmless: &'static [&'static str],
    what: &'static str,
    advice: &'static str,
}

const ELSEWHERE: &str =
    "write the entities into a kong.yml (`deck gateway dump`), and name it in DECLARATIVE_CONFIG";

const DECIDING: &[Deciding] = &[
    Deciding {
        key: "database",
        harmless: &["off"],
        what: "routes and access rules in a database are not read",
        advice: ELSEWHERE,
    },
    Deciding {
        key: "role",
        harmless: &["traditional"],
        what: "routes and access rules of a control plane are not read",
        advice: ELSEWHERE,
    },
    Deciding {
        key: "konnect_mode",
        harmless: &["off", "false"],
        what: "routes and access rules of Konnect are not read",
        advice: ELSEWHERE,
    },
    Deciding {
        key: "stream_listen",
        harmless: &["off"],
        what: "streams are not supported by this version",
        advice: "write off, or remove it",
    },
    Deciding {
        key: "fips",
        harmless: &["off", "false"],
        what: "the ciphers that FIPS 140 allows cannot be chosen here",
        advice: "write off, or remove it",
    },
    Deciding {
        key: "tls_certificate_verify",
        harmless: &["off", "false"],
        what: "it forbids services that are not verified, which is another setting here",
        advice: "set INSECURE=refuse; what is not said is verified anyway",
    },
    Deciding {
        key: "declarative_config_encryption_mode",
        harmless: &["off"],
        what: "an encrypted declarative file cannot be read",
        advice: "write off, and give the file as it is",
    },
];

/// Keys that nothing here depends on.
const HARMLESS: &[&str] = &[
    "active_tracing",
    "allow_debug_header",
    "allow_inconsistent_data_plane_plugins",
    "anonymous_reports",
    "client_body_buffer_size",
    "concurrency_timeout",
    "custom_plugins",
    "dedicated_config_processing",
    "enforce_rbac",
    "enforce_route_path_pattern",
    "error_default_type",
    "event_hooks_enabled",
    "feature_conf_path",
    "generate_trace_details",
    "host_ports",
    "kic",
    "legacy_dns_client",
    "legacy_worker_events",
    "license_data",
    "license_path",
    "lua_max_post_args",
    "lua_max_resp_headers",
    "lua_max_uri_args",
    "lua_package_cpath",
    "lua_package_path",
    "lua_socket_pool_size",
    "lua_ssl_protocols",
    "lua_ssl_verify_depth",
    "mem_cache_size",
    "new_dns_client",
    "node_id",
    "openresty_path",
    "password",
    "plugins",
    "pluginserver_names",
    "port_maps",
    "prefix",
    "privileged_worker",
    "proxy_error_log",
    "proxy_server",
    "proxy_server_ssl_verify",
    "proxy_stream_access_log",
    "proxy_stream_error_log",
    "proxy_url",
    "route_validation_strategy",
    "router_consistency",
    "router_flavor",
    "ssl_ciphers",
    "ssl_dhparam",
    "ssl_prefer_server_ciphers",
    "status_access_log",
    "status_error_log",
    "status_ssl_cert",
    "status_ssl_cert_key",
    "vaults",
    "version",
    "worker_consistency",
    "worker_events_max_payload",
    "worker_state_update_frequency",
];

/// Families of the same kind: the Admin API and its pages, logs and figures, the database, name resolution,
/// other nodes, other languages.
const HARMLESS_PREFIXES: &[&str] = &[
    "_debug_",
    "admin_access_",
    "admin_api_",
    "admin_approved_",
    "admin_emails_",
    "admin_error_",
    "admin_gui_",
    "admin_invitation_",
    "admin_ssl_",
    "ai_mcp_",
    "analytics_",
    "audit_log",
    "cassandra_",
    "cluster_",
    "db_",
    "debug_",
    "dns_",
    "error_template_",
    "keyring_",
    "lmdb_",
    "opentelemetry_",
    "pg_",
    "pluginserver_",
    "portal",
    "rbac_",
    "request_debug",
    "resolver_",
    "smtp_",
    "ssl_session_",
    "tracing",
    "untrusted_lua",
    "upstream_keepalive_events",
    "vault_",
    "vitals",
    "wasm",
];

#[cfg(test)]
mod tests;
