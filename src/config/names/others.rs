//! Variables that others put into an environment, and that only look like ours.
//!
//! Used by `near`. Kubernetes sets some for every service of the namespace, and docker for every link, under
//! the service's name: a service may be called `acl`, `upstream` or `mtls-auth`.
//! Sources: kubernetes.io, "Discovering services"; docs.docker.com, "Legacy container links".

/// Of programs that run nearly everywhere.
const PROGRAMS: [&str; 3] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"];

/// Whether it is certainly another's.
pub(super) fn is_anothers(variable: &str, value: &str) -> bool {
    PROGRAMS.contains(&variable) || is_link(variable) || is_link_by_value(variable, value)
}

/// Whether it may be a link, if it is near no name of ours: a port by itself is no rule.
pub(super) fn may_be_a_port(variable: &str, value: &str) -> bool {
    variable.ends_with("_PORT") && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// By its name alone: `X_SERVICE_HOST`, `X_SERVICE_PORT`, `X_SERVICE_PORT_HTTPS`, `X_PORT_8080_TCP` with
/// `_ADDR`, `_PORT`, `_PROTO`, `_START` and `_END`, `X_ENV_…`.
fn is_link(variable: &str) -> bool {
    let after = |part: &str| variable.find(part).filter(|at| *at > 0).map(|at| &variable[at + part.len()..]);
    let of_service = after("_SERVICE_").is_some_and(|rest| {
        rest == "HOST" || rest == "PORT" || rest.starts_with("PORT_") && rest.len() > "PORT_".len()
    });
    let of_environment = after("_ENV_").is_some_and(|rest| !rest.is_empty());
    of_service || of_environment || after("_PORT_").is_some_and(is_port_of_a_link)
}

/// `8080_TCP`, `8080_UDP_ADDR`.
fn is_port_of_a_link(rest: &str) -> bool {
    let mut words = rest.split('_');
    let number =
        words.next().is_some_and(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()));
    let protocol = words.next().is_some_and(|word| ["TCP", "UDP", "SCTP"].contains(&word));
    let part = words.next().is_none_or(|word| ["ADDR", "PORT", "PROTO", "START", "END"].contains(&word));
    number && protocol && part && words.next().is_none()
}

/// `X_PORT=tcp://10.0.0.1:8080`, and docker's `X_NAME=/container/x`.
fn is_link_by_value(variable: &str, value: &str) -> bool {
    let protocols = ["tcp://", "udp://", "sctp://"];
    let port = variable.ends_with("_PORT") && protocols.iter().any(|protocol| value.starts_with(protocol));
    let name = variable.strip_suffix("_NAME").is_some_and(|alias| {
        let alias = alias.to_ascii_lowercase();
        let last = value.strip_prefix('/').and_then(|path| path.rsplit('/').next());
        last.is_some_and(|last| last.to_ascii_lowercase().replace(['-', '.'], "_") == alias)
    });
    port || name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_and_docker_set_is_anothers() {
        for name in ["ACL", "UPSTREAM", "SSL", "MTLS_AUTH", "KONG", "KONG_PROXY", "CLIENT_SSL", "PROXY"] {
            for end in [
                "SERVICE_HOST",
                "SERVICE_PORT",
                "SERVICE_PORT_HTTPS",
                "PORT_8080_TCP",
                "PORT_8080_TCP_ADDR",
                "PORT_53_UDP_PORT",
                "PORT_53_UDP_PROTO",
                "ENV_PATH",
            ] {
                let variable = format!("{name}_{end}");
                assert!(is_anothers(&variable, "x"), "{variable}");
            }
            assert!(is_anothers(&format!("{name}_PORT"), "tcp://10.0.0.1:8080"), "{name}");
            let container = format!("/web/{}", name.to_lowercase().replace('_', "-"));
            assert!(is_anothers(&format!("{name}_NAME"), &container), "{name}");
        }
        for variable in
            ["ACL_ALLOWED", "ACL_SERVICE", "ACL_PORT_X_TCP", "ACL_PORT_80", "_SERVICE_HOST", "ACL_ENV_"]
        {
            assert!(!is_anothers(variable, "x"), "{variable}");
        }
        assert!(!is_anothers("UPSTREAM_TLS_SERVER_NAME", "gateway"));
    }
}
