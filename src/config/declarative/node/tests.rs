//! What becomes of texts: trees with lines, and quick refusals.

use std::time::{Duration, Instant};

use super::*;

/// One line for a tree: `{key@line: value@line}`.
fn shown(node: &Node) -> String {
    let value = match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(text) => format!("#{text}"),
        Value::Text(text) => format!("{text:?}"),
        Value::List(nodes) => format!("[{}]", nodes.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entry = |entry: &Entry| format!("{}@{}: {}", entry.key, entry.line, shown(&entry.node));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    };
    format!("{value}@{}", node.line)
}

fn check(text: &str, expected: &str) {
    let documents = documents(text).map(|all| all.iter().map(shown).collect::<Vec<_>>().join(" --- "));
    assert_eq!(documents, Ok(expected.to_owned()), "{text}");
}

fn refused(text: &str, line: u32, what: &str) {
    let start = Instant::now();
    let fault = documents(text).err().unwrap_or_else(|| panic!("{text:.50} was taken"));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!((fault.line, fault.what.as_str()), (line, what), "{text:.50}");
}

#[test]
fn values_have_lines() {
    check("a: 1\nb:\n- x\n- {c: y}\n", r#"{a@1: #1@1, b@2: ["x"@3, {c@4: "y"@4}@4]@3}@1"#);
    check("a:\nb: ~\n", "{a@1: null@1, b@2: null@2}@1");
    check("a: |\n  x\n  y\nb: c", r#"{a@1: "x\ny\n"@2, b@4: "c"@4}@1"#);
}

#[test]
fn json_is_yaml() {
    let json = "{\"a\":\t\"x\\/\\u00e9\\ud83d\\ude00\",\n\t\"b\": [1,\n2,\t3.5], \"c\":null, \"d\":true}";
    check(json, r##"{a@1: "x/é😀"@1, b@2: [#1@2, #2@3, #3.5@3]@2, c@3: null@3, d@3: true@3}@1"##);
    let long = format!("{{\"cert\":\"{}\",\"key\":1}}", "x".repeat(5000));
    check(&long, &format!("{{cert@1: {:?}@1, key@1: #1@1}}@1", "x".repeat(5000)));
}

#[test]
fn scalars_are_what_they_look_like_unless_quoted() {
    let of = |text: &str| shown(&documents(&format!("[{text}]")).unwrap()[0]);
    for (text, value) in [
        ("3.0", "#3.0"),
        ("-1", "#-1"),
        ("0x1F", "#0x1F"),
        ("'3.0'", "\"3.0\""),
        ("!!str 3", "\"3\""),
        ("yes", "true"),
        ("NO", "false"),
        ("'no'", "\"no\""),
        ("null", "null"),
        ("1.2.3", "\"1.2.3\""),
        ("2020-01-01", "\"2020-01-01\""),
        ("inf", "\"inf\""),
    ] {
        assert_eq!(of(text), format!("[{value}@1]@1"), "{text}");
    }
}

#[test]
fn aliases_and_merges_of_ordinary_use_work() {
    check("x: &a {b: 1}\nz: *a", "{x@1: {b@1: #1@1}@1, z@2: {b@1: #1@1}@1}@1");
    let merged = "x: &a {b: 1, c: 2}\ny:\n  <<: *a\n  c: 3\n";
    check(merged, "{x@1: {b@1: #1@1, c@1: #2@1}@1, y@2: {c@4: #3@4, b@1: #1@1}@3}@1");
    check(
        "- &a {b: 1}\n- &c {b: 2, d: 3}\n- <<: [*a, *c]\n",
        "[{b@1: #1@1}@1, {b@2: #2@2, d@2: #3@2}@2, {b@1: #1@1, d@2: #3@2}@3]@1",
    );
}

#[test]
fn several_documents_are_told_apart_and_empty_ones_dropped() {
    check("---\na: 1\n---\n---\nb: 2\n", "{a@2: #1@2}@2 --- {b@5: #2@5}@5");
    check("", "");
    check("# nothing\n", "");
}

#[test]
fn what_is_not_yaml_is_refused_with_its_line() {
    refused("a: 1\nb: 2\na: 3\n", 3, "the key `a` comes twice in one map");
    let many: String = (0..100).chain([7]).map(|n| format!("k{n}: x\n")).collect();
    refused(&many, 101, "the key `k7` comes twice in one map");
    refused("a: [\n1", 1, "not YAML: unclosed bracket '['");
    refused("a: &x [*x]", 1, "an alias inside of what it stands for");
    refused("a: *x", 1, "not YAML: while parsing node, found unknown anchor");
    refused("a: !env b", 1, "the tag !env");
    refused("? [a]\n: b", 1, "a key that is no text");
    refused("a:\n  <<: b\n", 2, "`<<` with something that is no map");
}

#[test]
fn bombs_are_refused_soon() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(",");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    refused(&bomb, 7, "more than 4000000 values, counting what each alias stands for");
    let deep = "nested deeper than 64 levels";
    refused(&"[".repeat(100_000), 1, deep);
    refused(&"{a: ".repeat(100_000), 1, deep);
    refused(&"- ".repeat(100_000), 1, deep);
    let stairs: String = (0..3000).map(|level| " ".repeat(level) + "a:\n").collect();
    refused(&stairs, 65, deep);
}

#[test]
fn aliases_do_not_get_around_the_depth() {
    let mut tower = String::from("- &a0 x\n");
    for level in 1..250 {
        let (open, close) = ("[".repeat(55), "]".repeat(55));
        tower += &format!("- &a{level} {open}*a{}{close}\n", level - 1);
    }
    let deep = "nested deeper than 64 levels";
    refused(&tower, 3, deep);
    let maps =
        format!("- &a {}x{}\n- {}*a{}\n", "{k: ".repeat(40), "}".repeat(40), "[".repeat(24), "]".repeat(24));
    refused(&maps, 2, deep);
    let fits =
        format!("- &a {}x{}\n- {}*a{}\n", "[".repeat(40), "]".repeat(40), "[".repeat(23), "]".repeat(23));
    assert!(documents(&fits).is_ok());
}

#[test]
fn texts_count_each_time_they_are_used() {
    let mut bomb = format!("- &a {}\n", "x".repeat(8 << 20));
    (0..3000).for_each(|_| bomb += "- *a\n");
    refused(&bomb, 32, "more than 256 MB of texts, counting what each alias stands for");
    let mut keys = format!("- &a {{? {} : x}}\n", "k".repeat(8 << 20));
    (0..3000).for_each(|_| keys += "- *a\n");
    refused(&keys, 31, "more than 256 MB of texts, counting what each alias stands for");
}

#[test]
fn messages_show_little_and_nothing_of_a_key() {
    let check = |text: &str, shown: &str| assert_eq!(shortened(text), shown);
    check("short", "short");
    check(&"é".repeat(40), &"é".repeat(40));
    check(&"é".repeat(41), &format!("{}…", "é".repeat(40)));
    check("one\ntwo", "one…");
    check("one\r\ntwo", "one…");
    check("-----BEGIN PRIVATE KEY-----\nMIIE", "PEM text");
    check("x -----BEGIN PRIVATE KEY----- MIIE", "PEM text");
}
