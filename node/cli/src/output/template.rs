//! `--format` with a Go template. It is checked as a whole before anything is rendered: its blocks,
//! and the functions that it names, also where there are no rows to render.

mod functions;

use gotmpl::{MissingKey, TemplateError, ToSerdeValue};
use node_docker::template::{blocks, calls};
use serde::Serialize;

use super::nearest;
use crate::failure::Failure;

/// A parsed template.
pub struct Template {
    parsed: gotmpl::Template,
}

impl Template {
    /// Parses a template for rows of a table: a field that rows do not have is an error.
    pub fn strict(text: &str) -> Result<Template, Failure> {
        Template::parse(text, MissingKey::Error)
    }

    /// Parses a template for `inspect`: a field that the object does not have gives `<no value>`.
    pub fn lenient(text: &str) -> Result<Template, Failure> {
        Template::parse(text, MissingKey::default())
    }

    fn parse(text: &str, missing: MissingKey) -> Result<Template, Failure> {
        let source = unescape(text);
        blocks::check(&source).map_err(|why| bad_template(text, why.to_string()))?;
        check_calls(&source).map_err(|why| bad_template(text, why))?;
        let named = gotmpl::Template::new("format").missing_key(missing);
        let parsed = functions::OWN
            .iter()
            .fold(named, |template, (name, function)| template.func(name, *function))
            .parse(&source)
            .map_err(|error| bad_template(text, error.to_string()))?;
        Ok(Template { parsed })
    }

    /// Renders a value with the template.
    pub fn render<T: Serialize>(&self, value: &T) -> Result<String, Failure> {
        let value = value
            .to_serde_value()
            .and_then(|value| self.parsed.execute_to_string(&value))
            .map_err(|error| match error {
                TemplateError::MissingKey { key } => {
                    Failure::new(format!("--format: there is no field .{key} here"))
                        .hint("--format json shows the fields and their values")
                }
                other => Failure::new(format!("--format: {other}"))
                    .hint("--format json shows the fields and their values"),
            })?;
        Ok(value)
    }
}

/// Says in a sentence which function there is not.
fn check_calls(source: &str) -> Result<(), String> {
    let known = functions::names();
    let Some(unknown) = calls::unknown_function(source, &known) else { return Ok(()) };
    let near = nearest(&unknown.name, known.iter().copied());
    let ends = near.map_or_else(
        || format!("there are {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    Err(format!("there is no function {}; {ends}", unknown.name))
}

fn bad_template(text: &str, why: String) -> Failure {
    Failure::new(format!("--format: {text:?} is no Go template"))
        .why(why)
        .hint("--format '{{.ID}}\\t{{.Name}}', --format 'table {{.Name}}' or --format json")
}

/// A shell passes `\t` as two characters; as in Docker they mean a tab, and `\n` a new line.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str, value: &serde_json::Value) -> String {
        Template::lenient(template).and_then(|t| t.render(value)).expect("a valid template")
    }

    #[test]
    fn fields_and_functions_are_docker_s() {
        let value =
            json!({"ID": "x1", "Name": "web", "Spec": {"Labels": {"a": "b"}, "Args": ["1", "2"]}});
        for (template, expected) in [
            (r"{{.ID}}\t{{.Name}}", "x1\tweb"),
            ("{{upper .Name}} {{.Name | title}}", "WEB Web"),
            ("{{json .Spec}}", r#"{"Args":["1","2"],"Labels":{"a":"b"}}"#),
            (r#"{{join .Spec.Args ","}}"#, "1,2"),
            ("{{range .Spec.Args}}<{{.}}>{{end}}", "<1><2>"),
            ("{{if .Missing}}yes{{else}}no{{end}}", "no"),
            ("{{pad .ID 1 1}}|{{truncate .Name 2}}", " x1 |we"),
            (r#"{{printf "%s:%d" .Name 3}}"#, "web:3"),
            (r#"{{index (split "a.b" ".") 1}}"#, "b"),
            ("{{.Nope}}", "<no value>"),
        ] {
            assert_eq!(render(template, &value), expected, "{template}");
        }
    }

    /// What Go's own `printf` prints of the same values.
    #[test]
    fn printf_of_a_list_or_a_map_formats_each_value() {
        let value = json!({
            "Tags": ["t1", "a\"b"], "Numbers": [1, 20], "Labels": {"a": "b", "c": "d%s"},
            "Deep": [["x"], {"k": "v"}, null], "Empty": [], "Name": "web", "Width": 4
        });
        for (template, expected) in [
            (r#"{{printf "%q" .Tags}}"#, r#"["t1" "a\"b"]"#),
            (r#"{{printf "%s" .Tags}}"#, r#"[t1 a"b]"#),
            (r#"{{printf "%v" .Tags}}"#, r#"[t1 a"b]"#),
            (r#"{{printf "%d" .Numbers}}"#, "[1 20]"),
            (r#"{{printf "%04d|%x" .Numbers .Numbers}}"#, "[0001 0020]|[1 14]"),
            (r#"{{printf "%d" .Tags}}"#, r#"[%!d(string=t1) %!d(string=a"b)]"#),
            (r#"{{printf "%v" .Labels}}"#, "map[a:b c:d%s]"),
            (r#"{{printf "%s" .Labels}}"#, "map[a:b c:d%s]"),
            (r#"{{printf "%q" .Labels}}"#, r#"map["a":"b" "c":"d%s"]"#),
            (r#"{{printf "%s" .Deep}}"#, "[[x] map[k:v] <nil>]"),
            (r#"{{printf "%q %s" .Empty .Empty}}"#, "[] []"),
            (r#"{{printf "%4s|%-4s|%.1s" .Tags .Tags .Tags}}"#, r#"[  t1  a"b]|[t1   a"b ]|[t a]"#),
            (r#"{{printf "%*d" .Width .Numbers}}"#, "[   1   20]"),
            (r#"{{printf "%[2]s %[1]q" .Name .Tags}}"#, r#"[t1 a"b] "web""#),
            (r#"{{printf "%s is %q, 100%%" .Name .Tags}}"#, r#"web is ["t1" "a\"b"], 100%"#),
            (r#"{{printf "%s %s" .Tags}}"#, r#"[t1 a"b] %!s(MISSING)"#),
            (r#"{{.Tags | printf "%q"}}"#, r#"["t1" "a\"b"]"#),
        ] {
            assert_eq!(render(template, &value), expected, "{template}");
        }
    }

    #[test]
    fn a_function_that_there_is_not_is_named_with_the_nearest() {
        for name in functions::names() {
            assert_eq!(check_calls(&format!("{{{{{name} .A .B}}}}")), Ok(()), "{name}");
        }
        let said = "there is no function uper; did you mean upper?";
        assert_eq!(check_calls("{{if .A}}{{else}}{{uper .B}}{{end}}"), Err(said.to_owned()));
        let said = check_calls("{{frobnicate .A}}").expect_err("no function");
        assert!(said.contains("there are and, call, eq,") && said.contains("urlquery"), "{said}");
    }

    #[test]
    fn a_field_that_rows_do_not_have_is_an_error() {
        let template = Template::strict("{{.Nmae}}").expect("parses");
        let failure = template.render(&json!({"Name": "web"})).expect_err("no such field");
        assert!(failure.to_string().starts_with("--format: there is no field .Nmae here"));
    }

    #[test]
    fn what_is_no_template_is_refused_with_an_example() {
        for text in [
            "{{uper .ID}}",
            "{{.ID",
            "{{ ( }}",
            "{{.ID}",
            "{{.ID}}{{end}}",
            "{{if .ID}}",
            "{{else}}",
        ] {
            let failure = Template::strict(text).err().unwrap_or_else(|| panic!("{text} is none"));
            assert!(failure.to_string().contains("is no Go template"), "{failure}");
        }
    }
}
