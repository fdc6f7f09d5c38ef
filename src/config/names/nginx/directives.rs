//! The directives by name: what is understood, what is harmless, what decides.

use super::Block;
use super::value::Write;

/// A directive that a setting here means the same as.
#[derive(Debug)]
pub(in crate::config) struct Understood {
    /// nginx's name.
    pub(in crate::config) directive: &'static str,
    /// The settings it says; the first is the one that means the same.
    pub(in crate::config) targets: &'static [&'static str],
    /// How its value is written there.
    pub(super) write: Write,
    /// The blocks it counts in.
    place: Place,
}

/// Where a directive counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Main,
    Upstream,
    /// `http`, `server`, `location`.
    Servers,
    /// The same, and streams: what is said of upstreams there is meant for all.
    Anywhere,
}

impl Understood {
    /// The beginnings of its keys, for the reference page.
    pub(in crate::config) fn blocks(&self) -> &'static str {
        match self.place {
            Place::Main => "`nginx_main_`",
            Place::Upstream => "`nginx_upstream_`",
            Place::Servers => "`nginx_http_`, `nginx_proxy_`, `nginx_location_`",
            Place::Anywhere => {
                "`nginx_http_`, `nginx_proxy_`, `nginx_location_`, `nginx_stream_`, `nginx_sproxy_`"
            }
        }
    }

    pub(super) fn counts_in(&self, block: Block) -> bool {
        let servers = block >= Block::Http;
        match self.place {
            Place::Main => block == Block::Main,
            Place::Upstream => block == Block::Upstream,
            Place::Servers => servers,
            Place::Anywhere => servers || block == Block::Stream,
        }
    }
}

const fn understood(
    directive: &'static str,
    targets: &'static [&'static str],
    write: Write,
    place: Place,
) -> Understood {
    Understood { directive, targets, write, place }
}

const CLIENT_CERT: &[&str] = &["client_ssl_cert", "client_ssl"];

/// In the order of the reference page.
pub(in crate::config) const UNDERSTOOD: &[Understood] = {
    use Place::{Anywhere, Main, Servers, Upstream};
    use Write::{Buffers, ClientCertificate, Lists, Same, Seconds, UpstreamVerify, VerifyClient};
    &[
        understood("ssl_client_certificate", &["mtls_auth_ca_certificates"], Same, Servers),
        understood("ssl_verify_client", &["mtls_auth_handshake"], VerifyClient, Servers),
        understood("ssl_verify_depth", &["mtls_auth_verify_depth"], Same, Servers),
        understood("ssl_crl", &["mtls_auth_crl_files", "mtls_auth_revocation_check_mode"], Lists, Servers),
        understood("ssl_certificate", &["ssl_cert"], Same, Servers),
        understood("ssl_certificate_key", &["ssl_cert_key"], Same, Servers),
        understood("ssl_protocols", &["ssl_protocols"], Same, Servers),
        understood("set_real_ip_from", &["trusted_ips"], Same, Servers),
        understood("real_ip_header", &["real_ip_header"], Same, Servers),
        understood("real_ip_recursive", &["real_ip_recursive"], Same, Servers),
        understood("client_max_body_size", &["client_max_body_size"], Same, Servers),
        understood("large_client_header_buffers", &["max_header_bytes"], Buffers, Servers),
        understood("http2_max_header_size", &["max_header_bytes"], Same, Servers),
        understood("http2_max_concurrent_streams", &["http2_max_concurrent_streams"], Same, Servers),
        understood("max_headers", &["max_header_count"], Same, Servers),
        understood("client_header_timeout", &["client_header_timeout"], Seconds, Servers),
        understood("client_body_timeout", &["client_body_timeout"], Seconds, Servers),
        understood("keepalive_timeout", &["keepalive_timeout"], Seconds, Servers),
        understood("send_timeout", &["write_timeout"], Seconds, Servers),
        understood("proxy_connect_timeout", &["connect_timeout"], Seconds, Servers),
        understood("proxy_read_timeout", &["read_timeout"], Seconds, Servers),
        understood("proxy_send_timeout", &["write_timeout"], Seconds, Servers),
        understood("grpc_connect_timeout", &["connect_timeout"], Seconds, Servers),
        understood("grpc_read_timeout", &["read_timeout"], Seconds, Servers),
        understood("grpc_send_timeout", &["write_timeout"], Seconds, Servers),
        understood("proxy_ssl_verify", &["upstream_tls_verify"], UpstreamVerify, Anywhere),
        understood("proxy_ssl_trusted_certificate", &["upstream_ca_certificates"], Same, Anywhere),
        understood("proxy_ssl_verify_depth", &["upstream_tls_verify_depth"], Same, Anywhere),
        understood("proxy_ssl_name", &["upstream_tls_server_name"], Same, Servers),
        understood("proxy_ssl_certificate", CLIENT_CERT, ClientCertificate, Servers),
        understood("proxy_ssl_certificate_key", &["client_ssl_cert_key"], Same, Servers),
        understood("grpc_ssl_verify", &["upstream_tls_verify"], UpstreamVerify, Servers),
        understood("grpc_ssl_trusted_certificate", &["upstream_ca_certificates"], Same, Servers),
        understood("grpc_ssl_verify_depth", &["upstream_tls_verify_depth"], Same, Servers),
        understood("grpc_ssl_name", &["upstream_tls_server_name"], Same, Servers),
        understood("grpc_ssl_certificate", CLIENT_CERT, ClientCertificate, Servers),
        understood("grpc_ssl_certificate_key", &["client_ssl_cert_key"], Same, Servers),
        understood("lua_ssl_trusted_certificate", &["upstream_ca_certificates"], Same, Servers),
        understood("upstream_keepalive", &["upstream_keepalive_pool_size"], Same, Servers),
        understood("upstream_keepalive_requests", &["upstream_keepalive_max_requests"], Same, Servers),
        understood("upstream_keepalive_timeout", &["upstream_keepalive_idle_timeout"], Seconds, Servers),
        understood("keepalive", &["upstream_keepalive_pool_size"], Same, Upstream),
        understood("keepalive_requests", &["upstream_keepalive_max_requests"], Same, Upstream),
        understood("keepalive_timeout", &["upstream_keepalive_idle_timeout"], Seconds, Upstream),
        understood("worker_processes", &["workers"], Same, Main),
        understood("worker_shutdown_timeout", &["drain_timeout"], Seconds, Main),
    ]
};

/// A directive that may decide who passes, whom we trust, or how large something may be.
#[derive(Debug)]
pub(super) struct Deciding {
    /// Its name, or how several begin (`auth_*`).
    name: &'static str,
    /// Values that switch it off, or say what is so anyway.
    pub(super) harmless: &'static [&'static str],
    /// What means the same here.
    pub(super) advice: &'static str,
}

impl Deciding {
    pub(super) fn matches(&self, directive: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(start) => directive.starts_with(start),
            None => directive == self.name,
        }
    }
}

const fn deciding(name: &'static str, harmless: &'static [&'static str], advice: &'static str) -> Deciding {
    Deciding { name, harmless, advice }
}

const ADDRESSES: &str = "write an ip-restriction plugin in a kong.yml, and name that in DECLARATIVE_CONFIG";
const CALLERS: &str = "set MTLS_AUTH_CA_CERTIFICATES and ACL_ALLOW, or write plugins in a kong.yml";
const INCLUDED: &str = "the file is not read: say what it says by MTLS_AUTH_CA_CERTIFICATES, ACL_ALLOW and \
                        the like, or by plugins in a kong.yml";
const REVOCATION: &str = "set MTLS_AUTH_REVOCATION_CHECK_MODE to STRICT or IGNORE_CA_ERROR";
const RATES: &str =
    "limit rates in front of this program, and connections by MAX_CONNECTIONS; then remove it";
const ROUTES: &str = "write routes with plugins (acl, ip-restriction, request-termination) in a kong.yml";
const UPSTREAM_CRL: &str = "remove it: the revocation of an upstream's certificate is not checked here, so name \
                            a CA in UPSTREAM_CA_CERTIFICATES that issues for your upstreams alone";
const UPSTREAM_VERSIONS: &str = "remove it: TLS 1.2 and 1.3 are offered, and the upstream chooses";
const CALLERS_CAS: &str = "name the CAs of your clients in MTLS_AUTH_CA_CERTIFICATES, and remove it";
const HEADERS: &str = "write what the service is told by IDENTITY_HEADERS, PRESERVE_HOST and TRUSTED_PEERS";

/// The first that matches counts.
pub(super) const DECIDING: &[Deciding] = &[
    deciding("allow", &["all"], ADDRESSES),
    deciding("deny", &[], ADDRESSES),
    deciding("satisfy", &["all"], CALLERS),
    deciding("auth_*", &["off"], CALLERS),
    deciding("include", &[], INCLUDED),
    deciding("ssl_ocsp*", &["off"], REVOCATION),
    deciding("ssl_trusted_certificate", &[], CALLERS_CAS),
    deciding("ssl_reject_handshake", &["off"], "write routes by `snis` in a kong.yml"),
    deciding("limit_rate*", &["0"], RATES),
    deciding("limit_except", &[], ROUTES),
    deciding("limit_*", &["off"], RATES),
    deciding("proxy_ssl_crl", &[], UPSTREAM_CRL),
    deciding("grpc_ssl_crl", &[], UPSTREAM_CRL),
    deciding("lua_ssl_crl", &[], UPSTREAM_CRL),
    deciding("proxy_ssl_protocols", BOTH_VERSIONS, UPSTREAM_VERSIONS),
    deciding("grpc_ssl_protocols", BOTH_VERSIONS, UPSTREAM_VERSIONS),
    deciding("http2_max_field_size", &[], "set MAX_HEADER_BYTES"),
    deciding("return", &[], ROUTES),
    deciding("rewrite", &[], ROUTES),
    deciding("if", &[], ROUTES),
    deciding("internal", &[], ROUTES),
    deciding("error_page", &[], ROUTES),
    deciding("valid_referers", &[], ROUTES),
    deciding("secure_link*", &[], CALLERS),
    deciding("modsecurity*", &["off"], "put the firewall in front of this program, and remove it"),
    deciding("load_module", &[], "no module is loaded here: say what it does by settings or plugins"),
    deciding("access_by_lua*", &[], ROUTES),
    deciding("rewrite_by_lua*", &[], ROUTES),
    deciding("server_rewrite_by_lua*", &[], ROUTES),
    deciding("ssl_certificate_by_lua*", &[], CALLERS),
    deciding("ssl_client_hello_by_lua*", &[], CALLERS),
    deciding("proxy_set_header", &[], HEADERS),
    deciding("grpc_set_header", &[], HEADERS),
];

const BOTH_VERSIONS: &[&str] = &[
    "TLSv1.2 TLSv1.3",
    "TLSv1.3 TLSv1.2",
    "TLSv1.1 TLSv1.2 TLSv1.3",
    "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3",
    "SSLv3 TLSv1 TLSv1.1 TLSv1.2 TLSv1.3",
];

/// Directives of `http`, `server` and `location` that nothing here depends on: buffers, logs, sockets, and
/// ciphers (of TLS 1.2 and 1.3 only those with forward secrecy are spoken).
pub(super) const HARMLESS: &[&str] = &[
    "absolute_redirect",
    "access_log",
    "aio",
    "charset",
    "charset_types",
    "chunked_transfer_encoding",
    "client_body_buffer_size",
    "client_body_in_file_only",
    "client_body_in_single_buffer",
    "client_body_temp_path",
    "client_header_buffer_size",
    "connection_pool_size",
    "default_type",
    "directio",
    "error_log",
    "etag",
    "expires",
    "grpc_buffer_size",
    "grpc_socket_keepalive",
    "http2",
    "http2_body_preread_size",
    "http2_idle_timeout",
    "http2_max_requests",
    "http2_push",
    "ignore_invalid_headers",
    "keepalive_disable",
    "keepalive_min_timeout",
    "keepalive_requests",
    "keepalive_time",
    "map_hash_bucket_size",
    "map_hash_max_size",
    "merge_slashes",
    "msie_padding",
    "output_buffers",
    "port_in_redirect",
    "postpone_output",
    "proxy_buffering",
    "proxy_force_ranges",
    "proxy_headers_hash_bucket_size",
    "proxy_headers_hash_max_size",
    "proxy_http_version",
    "proxy_ignore_client_abort",
    "proxy_intercept_errors",
    "proxy_max_temp_file_size",
    "proxy_redirect",
    "proxy_request_buffering",
    "proxy_socket_keepalive",
    "proxy_ssl_ciphers",
    "proxy_ssl_conf_command",
    "proxy_ssl_server_name",
    "proxy_ssl_session_reuse",
    "grpc_ssl_ciphers",
    "grpc_ssl_conf_command",
    "grpc_ssl_server_name",
    "grpc_ssl_session_reuse",
    "read_ahead",
    "recursive_error_pages",
    "request_pool_size",
    "reset_timedout_connection",
    "send_lowat",
    "sendfile",
    "sendfile_max_chunk",
    "server_name_in_redirect",
    "server_names_hash_bucket_size",
    "server_names_hash_max_size",
    "server_tokens",
    "ssl_buffer_size",
    "ssl_ciphers",
    "ssl_conf_command",
    "ssl_dhparam",
    "ssl_early_data",
    "ssl_ecdh_curve",
    "ssl_prefer_server_ciphers",
    "tcp_nodelay",
    "tcp_nopush",
    "types_hash_bucket_size",
    "types_hash_max_size",
    "underscores_in_headers",
    "variables_hash_bucket_size",
    "variables_hash_max_size",
];

/// Families of the same kind.
pub(super) const HARMLESS_PREFIXES: &[&str] = &[
    "brotli",
    "client_body_temp",
    "gunzip",
    "gzip",
    "http2_chunk_",
    "http2_recv_",
    "lingering_",
    "log_",
    "lua_capture_",
    "lua_check_client_abort",
    "lua_code_cache",
    "lua_http10_buffering",
    "lua_kong_",
    "lua_load_resty_core",
    "lua_malloc_trim",
    "lua_max_",
    "lua_need_request_body",
    "lua_package_",
    "lua_regex_",
    "lua_sa_restart",
    "lua_shared_dict",
    "lua_socket_",
    "lua_ssl_ciphers",
    "lua_ssl_conf_command",
    "lua_ssl_protocols",
    "lua_ssl_verify_depth",
    "lua_transform_underscores",
    "lua_use_default_type",
    "lua_worker_thread_vm_pool_size",
    "open_file_cache",
    "open_log_file_cache",
    "proxy_buffer_size",
    "proxy_buffers",
    "proxy_busy_buffers_size",
    "proxy_next_upstream",
    "grpc_next_upstream",
    "proxy_temp_",
    "resolver",
    "ssl_session_",
    "ssl_stapling",
];

/// Directives of the main block.
pub(super) const MAIN: &[&str] = &[
    "daemon",
    "debug_points",
    "env",
    "error_log",
    "lock_file",
    "lua_shared_dict",
    "master_process",
    "pcre_jit",
    "pid",
    "ssl_engine",
    "thread_pool",
    "timer_resolution",
    "user",
    "worker_cpu_affinity",
    "worker_priority",
    "worker_rlimit_core",
    "worker_rlimit_nofile",
    "working_directory",
];

/// Directives of the events block.
pub(super) const EVENTS: &[&str] = &[
    "accept_mutex",
    "accept_mutex_delay",
    "debug_connection",
    "multi_accept",
    "use",
    "worker_aio_requests",
    "worker_connections",
];

/// Directives of the upstream block: who is next is Kong's and our own balancer's word.
pub(super) const UPSTREAM: &[&str] =
    &["hash", "ip_hash", "keepalive_time", "least_conn", "least_time", "queue", "random", "zone"];
