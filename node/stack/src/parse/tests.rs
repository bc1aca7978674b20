//! Scalars, anchors, merge keys, tags, limits and faults.

use super::*;

fn read(text: &str) -> Node {
    parse("compose.yaml", text).expect("it is YAML")
}

fn refused(text: &str) -> String {
    parse("compose.yaml", text).expect_err("it is refused").to_string()
}

/// The text at keys below each other.
fn at<'a>(node: &'a Node, keys: &[&str]) -> &'a Value {
    keys.iter().fold(&node.value, |value, key| match value {
        Value::Map(map) => &map.get(key).unwrap_or_else(|| panic!("no {key}")).value,
        Value::List(items) => &items[key.parse::<usize>().expect("an index")].value,
        other => panic!("{key} below {other:?}"),
    })
}

fn text(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}

#[test]
fn every_scalar_is_the_text_that_is_written() {
    let tree = read(
        "a: 0440\nb: 1.10\nc: NO\nd: 22:22\ne: 2026-01-02\nf: 1_000\ng: 0x1F\nh: 'null'\n\
         i: true\nj: \"a\\tb\"\nk: 100000000.0\nl: !!str 12\nm: |\n  x\n  y\n",
    );
    let wanted = [
        ("a", "0440"),
        ("b", "1.10"),
        ("c", "NO"),
        ("d", "22:22"),
        ("e", "2026-01-02"),
        ("f", "1_000"),
        ("g", "0x1F"),
        ("h", "null"),
        ("i", "true"),
        ("j", "a\tb"),
        ("k", "100000000.0"),
        ("l", "12"),
        ("m", "x\ny\n"),
    ];
    for (key, value) in wanted {
        assert_eq!(text(at(&tree, &[key])), value, "{key}");
    }
    let nothing = read("a:\nb: ~\nc: null\nd: ''\n");
    assert_eq!([at(&nothing, &["a"]), at(&nothing, &["b"])], [&Value::Null; 2]);
    assert_eq!(at(&nothing, &["c"]), &Value::Null);
    assert_eq!(text(at(&nothing, &["d"])), "");
}

#[test]
fn merge_keys_fill_in_what_a_map_does_not_say() {
    let tree = read(
        "x: &x {image: a, user: '1'}\ny: &y\n  image: b\n  init: 'true'\nweb:\n  <<: [*x, *y]\n  \
         user: '2'\n  list: [*x]\n",
    );
    assert_eq!(text(at(&tree, &["web", "image"])), "a", "the first of a list counts");
    assert_eq!(text(at(&tree, &["web", "user"])), "2", "its own keys count more");
    assert_eq!(text(at(&tree, &["web", "init"])), "true");
    assert_eq!(text(at(&tree, &["web", "list", "0", "image"])), "a");
    assert_eq!(
        refused("a: {<<: 1}"),
        "compose.yaml:1:9: `<<` takes a map or a list of maps, not a single value"
    );
}

#[test]
fn a_hundred_services_may_share_an_anchor() {
    let shared = "x: &x\n  image: busybox\n  environment: {A: b}\nservices:\n";
    let services: String =
        (0..1_000).map(|n| format!("  web-{n}:\n    <<: *x\n    hostname: n{n}\n")).collect();
    let tree = read(&format!("{shared}{services}"));
    assert_eq!(text(at(&tree, &["services", "web-999", "environment", "A"])), "b");
}

#[test]
fn what_stands_for_too_much_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(refused(&bomb).ends_with("the file means more than 250000 values"));
    let deep = "[".repeat(100);
    assert!(refused(&deep).ends_with("more than 64 levels deep"), "{}", refused(&deep));
    let long = format!("a: {}", "x".repeat(FILE_BYTES_MAX));
    assert!(refused(&long).contains("bytes are too many"));
}

#[test]
fn faults_are_told_with_their_place() {
    assert_eq!(refused("a: 1\nb: 2\na: 3\n"), "compose.yaml:3:1: `a` is there twice");
    assert!(refused("a: [1\nb: 2").starts_with("compose.yaml:"), "{}", refused("a: [1\nb: 2"));
    assert_eq!(refused("a: 1\n---\nb: 2\n"), "compose.yaml:2:1: a second document: a file has one");
    assert!(refused("a: *nobody\n").starts_with("compose.yaml:1:"));
    assert!(refused("a: &a [*a]\n").contains("an alias inside of what it stands for"));
    assert!(refused("? [a]\n: b\n").ends_with("a key is a list, no text"));
    assert!(refused("a: !merge b\n").contains("the tag `!merge` means nothing here"));
    assert_eq!(read("").value, Value::Map(Map::default()));
    assert_eq!(read("# nothing\n").value, Value::Map(Map::default()));
}

#[test]
fn tags_say_what_becomes_of_an_earlier_file() {
    let tree = read("a: !reset []\nb: !override {c: d}\ne: f\n");
    let Value::Map(map) = &tree.value else { panic!("no map") };
    let joinings: Vec<Joining> = map.entries().iter().map(|entry| entry.node.joining).collect();
    assert_eq!(joinings, [Joining::Reset, Joining::Override, Joining::Merge]);
}
