//! The files of the articles, as people have them.

use super::*;

const CONSUMER: &str = r#"
_format_version: "2.1"
ca_certificates:
- id: cce8c384-721f-4f58-85dd-50834e3e733a
  cert: <CA>
consumers:
- username: alice@example.com
  custom_id: alice
services:
- name: example
  host: httpbin.org
  port: 80
  protocol: http
  connect_timeout: 60000
  retries: 5
  routes:
  - name: mtls
    paths:
    - /mtls
    strip_path: true
    plugins:
    - name: mtls-auth
      config:
        ca_certificates:
        - cce8c384-721f-4f58-85dd-50834e3e733a
        consumer_by: [username, custom_id]
        revocation_check_mode: SKIP
"#;

const CALLISTA: &str = r#"
_format_version: "2.1"
services:
- name: mtls
  url: http://upstream:80
  plugins:
  - name: mtls-auth
    config:
      upstream_cert_s_dn_header: X-Client-Cert-Dn
      upstream_cert_cn_header: X-Client-Cert-San
      upstream_cert_org_header: X-Client-Cert-Organization
  - name: mtls-acl
    config:
      certificate_header_name: X-Client-Cert-Organization
      allow: [Callista Enterprise AB]
  routes:
  - name: mtls-route
    strip_path: true
    paths: [/mtls/]
"#;

const NODE_1: &str = r#"
_format_version: "3.0"
services:
- name: gateway
  url: https://gateway.internal:8443
  tls_verify: true
  ca_certificates: [4e3ad2e4-0bc4-4638-8e34-c84a417ba39b]
  routes:
  - name: everything
    paths: ["/"]
    strip_path: false
    preserve_host: false
ca_certificates:
- id: 4e3ad2e4-0bc4-4638-8e34-c84a417ba39b
  cert: <CA>
"#;

const NODE_2: &str = r#"
_format_version: "3.0"
ca_certificates:
- id: cce8c384-721f-4f58-85dd-50834e3e733a
  cert: <CA>
plugins:
- name: mtls-auth
  config:
    ca_certificates: [cce8c384-721f-4f58-85dd-50834e3e733a]
    skip_consumer_lookup: true
    revocation_check_mode: SKIP
- name: acl
  config: {allow: [reverse-proxy-cn]}
services:
- name: orders
  url: http://orders.internal:8080
  routes:
  - {name: orders, paths: ["/orders"]}
"#;

#[test]
fn article_a_without_a_database() {
    let model = model(CONSUMER);
    assert_eq!(model.consumers[0].username.as_deref(), Some("alice@example.com"));
    let service = &model.services[0];
    assert_eq!((service.retries, service.connect_timeout), (Some(5), Some(Duration::from_secs(60))));
    assert_eq!(model.plugins[0].scope, Scope::Route(0));
    let PluginConfig::MtlsAuth(plugin) = &model.plugins[0].config else { panic!() };
    assert!(plugin.revocation_check_mode == Revocation::Skip && !plugin.skip_consumer_lookup);
}

#[test]
fn article_b_has_callistas_plugins() {
    let model = model(CALLISTA);
    let PluginConfig::CallistaMtlsAuth(auth) = &model.plugins[0].config else { panic!() };
    assert_eq!((auth.error_response_code, auth.upstream_cert_header.as_deref()), (401, None));
    assert_eq!(auth.upstream_cert_org_header.as_deref(), Some("x-client-cert-organization"));
    let PluginConfig::CallistaMtlsAcl(acl) = &model.plugins[1].config else { panic!() };
    assert_eq!(acl.listed, Listed::Allow(vec!["Callista Enterprise AB".into()]));
    assert_eq!(
        (&*acl.certificate_header_name, acl.hide_certificate_header),
        ("x-client-cert-organization", false)
    );
    assert_eq!(model.routes[0].rule.paths[0].to_string(), "/mtls/");
}

#[test]
fn the_two_nodes_of_a_chain() {
    let near = model(NODE_1);
    let service = &near.services[0];
    assert_eq!((service.ca_certificates.as_deref(), service.tls_verify), (Some(&[0][..]), Some(true)));
    assert!(!near.routes[0].strip_path && near.plugins.is_empty());
    let far = model(NODE_2);
    assert!(far.plugins.iter().all(|plugin| plugin.scope == Scope::Global));
    let PluginConfig::Acl(acl) = &far.plugins[1].config else { panic!() };
    assert_eq!(acl.listed, Listed::Allow(vec!["reverse-proxy-cn".into()]));
}
