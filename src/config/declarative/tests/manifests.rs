//! Manifests of Kubernetes: what would be passed over for how it is written is told instead.

use super::*;

/// An Ingress with its Service; `metadata` and `path` are on lines 3 and 5.
fn ingress(metadata: &str, path: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: i{metadata}}}
spec: {{rules: [{{http: {{paths: [
  {{{path}, backend: {{service: {{name: s, port: {{number: 80}}}}}}}}
]}}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: s}}
spec: {{ports: [{{port: 80}}]}}
"
    )
}

fn paths(path: &str) -> Vec<Box<str>> {
    model(&ingress("", path)).routes[0].rule.paths.iter().map(|path| path.to_string().into()).collect()
}

fn check(text: &str, expected: &str) {
    assert_eq!(problems(text), expected, "{text}");
}

#[test]
fn labels_and_annotations_are_texts() {
    let quotes = "put it in quotes; Kubernetes refuses it too";
    let of = |metadata: &str, line: &str| {
        let line = format!("Ingress default/i.metadata.{line}");
        check(&ingress(&format!(", {metadata}"), "path: /, pathType: Prefix"), &line);
    };
    of(
        "annotations: {konghq.com/plugins: [mtls]}",
        &format!("annotations.konghq.com/plugins (line 3): a list where a text is wanted; {quotes}"),
    );
    of(
        "annotations: {konghq.com/strip-path: true}",
        &format!("annotations.konghq.com/strip-path (line 3): a boolean where a text is wanted; {quotes}"),
    );
    of("labels: {a: 1}", &format!("labels.a (line 3): a number where a text is wanted; {quotes}"));
    let map = "a list where a map is wanted; write `key: \"value\"` lines; Kubernetes refuses it too";
    of("annotations: [konghq.com/plugins]", &format!("annotations (line 3): {map}"));
    of("labels: [a]", &format!("labels (line 3): {map}"));
    let old = "not supported by this version; write konghq.com/…, as in konghq.com/plugins";
    for key in ["plugins.konghq.com", "configuration.konghq.com", "configuration.konghq.com/x"] {
        of(&format!("annotations: {{{key}: mtls}}"), &format!("annotations.{key} (line 3): {old}"));
    }
}

#[test]
fn an_annotation_of_ours_that_is_not_known_is_refused_on_every_kind() {
    let object = |kind: &str, key: &str| {
        let version = if kind == "Secret" { "v1" } else { "configuration.konghq.com/v1" };
        let plugin = if kind.ends_with("Plugin") { "plugin: request-termination" } else { "username: o" };
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: o, annotations: {{{key}: x}}}}\n{plugin}\n"
        )
    };
    for kind in ["KongPlugin", "KongClusterPlugin", "KongConsumer", "Secret"] {
        let line = "annotations.konghq.com/plugin (line 3): not supported; remove it";
        check(&object(kind, "konghq.com/plugin"), &format!("{kind} default/o.metadata.{line}"));
        model(&object(kind, "cert-manager.io/x"));
        model(&object(kind, "konghq.com/tags"));
    }
}

#[test]
fn a_path_of_no_type_that_kubernetes_knows_is_refused() {
    let advice = "write Exact, Prefix or ImplementationSpecific; Kubernetes refuses it too";
    for written in ["prefix", "Regex", "7"] {
        let refused = problems(&ingress("", &format!("path: /, pathType: {written}")));
        assert!(refused.contains(&format!("a pathType that is not known; {advice}")), "{written}: {refused}");
    }
}

#[test]
fn a_plugin_is_global_or_is_not() {
    let plugin = |global: &str| {
        format!(
            "apiVersion: configuration.konghq.com/v1\nkind: KongClusterPlugin\nmetadata:\n  name: p\n  labels: {{global: {global}}}\nplugin: request-termination\n"
        )
    };
    assert_eq!(model(&plugin("'true'")).plugins.len(), 1);
    assert_eq!(model(&plugin("'false'")).plugins.len(), 0);
    let of = |global: &str, line: &str| {
        check(
            &plugin(global),
            &format!("KongClusterPlugin default/p.metadata.labels.global (line 5): {line}"),
        );
    };
    of("true", "a boolean where a text is wanted; put it in quotes; Kubernetes refuses it too");
    of("'True'", "neither \"true\" nor \"false\"; write global: \"true\", or remove it");
}

#[test]
fn mappings_are_kept_whole() {
    let consumer = |data: &str| {
        format!(
            "apiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nmetadata: {{name: c}}\nusername: c\ncredentials: [x]\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: x, labels: {{konghq.com/credential: mtls-auth}}}}\n{data}\n"
        )
    };
    let quotes = "put it in quotes; Kubernetes refuses it too";
    assert_eq!(model(&consumer("stringData: {subject_name: s}")).consumers[0].credentials.len(), 1);
    check(
        &consumer("stringData: {subject_name: s, ca_certificate: 7}"),
        &format!(
            "Secret default/x.stringData.ca_certificate (line 10): a number where a text is wanted; {quotes}"
        ),
    );
    check(
        &consumer("data: {subject_name: cw==, ca_certificate: [a]}"),
        &format!("Secret default/x.data.ca_certificate (line 10): a list where a text is wanted; {quotes}"),
    );
    check(
        &consumer("stringData: {subject_name: s}").replace("[x]", "[x, 7]"),
        "KongConsumer default/c (line 5): a number among `credentials`; write the name of a Secret, in quotes",
    );
}

#[test]
fn paths_are_in_the_form_requests_are_compared_in() {
    assert_eq!(*paths("path: /a.b%2fc%7e, pathType: Exact")[0], *r"~/a\.b%2Fc\~$");
    assert_eq!(paths("path: /a//b/../c/, pathType: Prefix"), ["/a/c/".into(), "~/a/c$".into()]);
    assert_eq!(paths("path: /, pathType: Prefix"), ["/".into()]);
    let refused = problems(&ingress("", "path: 7, pathType: Prefix"));
    assert!(refused.contains("(line 5): a number where a text is wanted"), "{refused}");
}

#[test]
fn what_would_route_in_a_cluster_and_does_not_here_is_refused() {
    check(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\n",
        "HTTPRoute default/r.kind (line 1): the Gateway API is not supported; write an Ingress",
    );
    check(
        "apiVersion: configuration.konghq.com/v1\nkind: KongIngress\nmetadata: {name: k}\n",
        "KongIngress default/k.kind (line 1): a kind of Kong's that this version does not read; remove it",
    );
}
