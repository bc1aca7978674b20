//! Templates of files: what they know, what they refuse, and that no fault says what is in a secret.

use super::super::facts::KnownFile;
use super::*;

/// Nothing like it is in a template.
const VALUE: &str = "hunter2";

fn facts() -> Arc<Facts> {
    let file = |class, target: &str, path: &str, data: &str| KnownFile {
        class,
        target: target.to_owned(),
        path: path.to_owned(),
        data: Plaintext(data.into()),
    };
    let mut binary = file(FileClass::Secret, "binary", "/run/secrets/binary", "");
    binary.data = Plaintext(vec![0xff, 0xfe]);
    Arc::new(Facts {
        fields: [
            ("Service.ID", "s1"),
            ("Service.Name", "web"),
            ("Node.ID", "n1"),
            ("Node.Hostname", "pi-1"),
            ("Node.Platform.Architecture", "aarch64"),
            ("Node.Platform.OS", "linux"),
            ("Task.ID", "t1"),
            ("Task.Name", "web.4.t1"),
            ("Task.Slot", "4"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into(),
        labels: [("tier", "edge"), ("tricky", "{{.Node.ID}}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        env: vec!["LEVEL=7=8".to_owned(), "EMPTY".to_owned()],
        files: vec![
            file(FileClass::Secret, "key", "/run/secrets/key", VALUE),
            file(FileClass::Config, "/etc/app", "/etc/app", "a={{.Task.Slot}}"),
            binary,
        ],
    })
}

fn filled(text: &str) -> Result<String, BadTemplate> {
    let filled = fill(text.as_bytes(), &facts())?;
    Ok(String::from_utf8(filled.0.clone()).expect("text"))
}

#[test]
fn a_template_knows_what_swarm_s_know() {
    for (text, expected) in [
        ("", ""),
        ("level=1 } {", "level=1 } {"),
        ("{{.Service.ID}} {{.Service.Name}} {{.Node.ID}} {{.Node.Hostname}}", "s1 web n1 pi-1"),
        ("{{.Node.Platform.Architecture}}/{{.Node.Platform.OS}}", "aarch64/linux"),
        ("{{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}", "t1 web.4.t1 4"),
        ("{{.Service.Labels.tier}} {{index .Service.Labels \"tier\"}}", "edge edge"),
        ("<{{index .Service.Labels \"none\"}}>", "<>"),
        ("{{env \"LEVEL\"}}<{{env \"EMPTY\"}}{{env \"NONE\"}}>", "7=8<>"),
        ("{{secret \"key\"}} {{ secret \"/run/secrets/key\" }}", "hunter2 hunter2"),
        ("{{join \",\" .Task.Slot \"b\"}}", "4,b"),
        ("a\n{{- if eq .Task.Slot \"4\" }}\nfirst\n{{- else }}other{{ end }}", "a\nfirst"),
        ("{{with .Node}}{{.Hostname}}{{end}}{{/* not shown */}}", "pi-1"),
        ("{{range $name, $value := .Service.Labels}}{{$name}} {{end}}", "tier tricky "),
        ("{{define \"x\"}}<{{.}}>{{end}}{{template \"x\" .Task.Slot}}", "<4>"),
        ("{{printf \"%3s|%q\" .Task.Slot .Node.ID}}", "  4|\"n1\""),
        ("{{\"{{\"}} .Name }}", "{{ .Name }}"),
    ] {
        assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_a_template_reads_is_not_filled_in_again() {
    assert_eq!(filled("{{config \"/etc/app\"}}").as_deref(), Ok("a={{.Task.Slot}}"));
    assert_eq!(filled("{{.Service.Labels.tricky}}").as_deref(), Ok("{{.Node.ID}}"));
}

#[test]
fn a_fault_that_needs_no_task_is_found_before_there_is_one() {
    for (text, line, words) in [
        ("a\n{{if .Task.Slot}}", 2, "{{if}} at line 2, character 1 is never closed"),
        ("{{.Task.Slot", 1, "unclosed action"),
        ("a\n\n{{uper .Task.Slot}}", 3, "there is no function uper; there are and, "),
        ("{{_line 1}}", 1, "there is no function _line"),
        ("\n{{if true}}{{.Node.Labels.zone}}{{end}}", 2, "there is no field .Node.Labels.zone;"),
        ("{{.Nmae}}", 1, "there are .Service.ID, .Service.Name"),
        ("{{define \"a\"}}x{{end}}{{define \"a\"}}y{{end}}", 1, "multiple definition"),
    ] {
        let bad = check(text.as_bytes()).expect_err(text);
        let told = bad.told(FileClass::Config);
        assert!(bad.line == line && told.contains(words), "{text}: {told}");
        assert!(told.starts_with(&format!("line {line}: ")), "{told}");
    }
    let bytes = check(b"a\n\xff").expect_err("no text");
    assert_eq!(bytes.to_string(), "line 2: it is no text (UTF-8)");
}

#[test]
fn a_fault_in_a_task_names_its_line() {
    for (text, line, words) in [
        ("a\n{{env 1}}", 2, "takes a text in quotes"),
        ("a\n\n{{.Service.Labels.none}}", 3, "index .Service.Labels \"none\""),
        ("{{env \"A\"}}\n{{secret \"nokey\"}}", 2, "its secrets are key, binary"),
        ("{{config \"none\"}}", 1, "no config with the target \"none\""),
        ("{{if eq .Task.Slot \"4\"}}\n{{len 3}}\n{{end}}", 2, ""),
        ("{{define \"x\"}}\n{{.Nothing}}{{end}}{{template \"x\" .Task}}", 2, ".Nothing"),
        ("a\n{{template \"none\"}}", 2, "none"),
        ("\n{{secret \"binary\"}}", 2, "no text (UTF-8)"),
    ] {
        let bad = filled(text).expect_err(text);
        let told = bad.told(FileClass::Config);
        assert!(bad.line == line && told.contains(words), "{text}: {told}");
    }
}

#[test]
fn no_fault_says_what_is_in_a_secret() {
    for text in [
        "{{len (index (secret \"key\") 99)}}",
        "{{secret (secret \"key\")}}",
        "{{config (secret \"key\")}}",
        "{{$s := secret \"key\"}}{{range $s}}{{end}}",
        "{{$s := secret \"key\"}}{{$s.Field}}",
        "{{index .Service.Labels (secret \"key\") (secret \"key\")}}",
        "{{printf (secret \"key\") | len | env}}",
        "{{lt (secret \"key\") 3}}",
        "{{slice (secret \"key\") 1 99}}",
        "{{template \"none\" (secret \"key\")}}",
    ] {
        let bad = filled(text).expect_err(text);
        let told = format!("{bad} {bad:?} {}", bad.told(FileClass::Config));
        assert!(!told.contains(VALUE) && bad.detail.is_none(), "{text}: {told}");
    }
    // The template is the secret itself.
    for text in ["{{hunter2}}", "{{if hunter2}}", "{{.hunter2}}", "{{secret \"hunter2\"}}"] {
        let told = filled(text).expect_err(text).told(FileClass::Secret);
        assert!(!told.contains(VALUE) && told.starts_with("line 1: it "), "{told}");
    }
}

#[test]
fn a_template_that_grows_without_end_is_given_up() {
    let doubled = "{{$a = print $a $a}}".repeat(60);
    let joined = "{{$a = join $a $a $a $a}}".repeat(60);
    let called = (0..40).map(|n| {
        let next = n + 1;
        format!("{{{{define \"{n}\"}}}}{{{{template \"{next}\"}}}}{{{{template \"{next}\"}}}}{{{{end}}}}")
    });
    let called: String = called.collect();
    for text in [
        format!("{{{{$a := \"xy\"}}}}{doubled}"),
        format!("{{{{$a := \"xy\"}}}}{joined}"),
        format!("{called}{{{{define \"40\"}}}}xxxxxxxxxxxxxxxx{{{{end}}}}{{{{template \"0\"}}}}"),
        format!("{{{{printf \"{}\"}}}}", "%65000d".repeat(10_000)),
        "{{range 1000000000}}{{env \"A\"}}{{end}}".to_owned(),
    ] {
        let told = filled(&text).expect_err("too large").to_string();
        assert!(told.contains("larger than a config may be"), "{told}");
    }
    let forever = "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}";
    assert!(filled(forever).is_err());
}
