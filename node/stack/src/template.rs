//! Templates of Compose files: one folder for many sites, with the values of each.
//!
//! ```text
//! {% for name in cameras %}
//!   camera-{{ name }}: {image: "{{ registry }}/camera:{{ release }}", hostname: "{{.Node.Hostname}}"}
//! {% endfor %}
//! ```
//! The language is Jinja's (minijinja). What is not defined is an error; text is put in as it is,
//! whatever the file is called; a list or a map only through a filter (`tojson`, `join`). Docker's
//! placeholders (`{{.Task.Slot}}`, `{{index .Service.Labels "a"}}`) pass through: no expression of Jinja
//! begins with a full stop, or with `index` and a blank.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value as Given};

use crate::tree::{Node, Value};

/// How deep templates may include each other and call themselves.
const DEPTH_MAX: usize = 32;

/// What the templates of a folder are given, and how they find each other.
pub struct Templates {
    environment: Environment<'static>,
    sources: BTreeMap<String, String>,
}

impl Templates {
    /// Reads templates by their names; an error says which one is wrong, and where.
    pub fn new(sources: BTreeMap<String, String>) -> Result<Templates, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        // A line with only a tag on it leaves no line behind.
        let syntax = SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        environment.set_recursion_limit(DEPTH_MAX);
        environment.set_formatter(|out, _, value| {
            let text = match value.kind() {
                ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
                ValueKind::None => return Err(no_text("nothing")),
                ValueKind::Seq | ValueKind::Iterable => return Err(no_text("a list")),
                ValueKind::Map => return Err(no_text("a map")),
                // Jinja would write `True`.
                ValueKind::Bool => value.is_true().to_string(),
                _ => value.to_string(),
            };
            out.write_str(&text).map_err(|_| ErrorKind::WriteFailure.into())
        });
        let mut templates = Templates { environment, sources };
        for (name, source) in templates.sources.clone() {
            let added = templates.environment.add_template_owned(name.clone(), with_raw(&source));
            added.map_err(|error| templates.told(&name, &error))?;
        }
        Ok(templates)
    }

    /// Renders one of them; an error says where it fails. It never shows a value.
    pub fn render(&self, name: &str, values: &Node) -> Result<String, String> {
        let template = self.environment.get_template(name);
        let rendered = template.and_then(|template| template.render(given(&values.value)));
        rendered.map_err(|error| self.told(name, &error))
    }

    fn told(&self, name: &str, error: &minijinja::Error) -> String {
        let name = error.name().unwrap_or(name);
        let line = error.line().unwrap_or(1);
        let source = self.sources.get(name).and_then(|source| source.lines().nth(line - 1));
        let what = match (error.kind(), error.detail()) {
            (ErrorKind::UndefinedError, _) => "a value is not defined".to_owned(),
            (_, Some(detail)) => detail.to_owned(),
            (kind, None) => kind.to_string(),
        };
        match source.map(str::trim) {
            Some(source) if !source.is_empty() => format!("{name}:{line}: {what}: {source}"),
            _ => format!("{name}:{line}: {what}"),
        }
    }
}

fn no_text(what: &str) -> minijinja::Error {
    let detail = format!("{what} is no text; write it through a filter, like `| tojson`");
    minijinja::Error::new(ErrorKind::InvalidOperation, detail)
}

/// The values as templates see them: `true`, `false` and whole numbers as what they are, so that they
/// can be compared; everything else is text as it is written.
fn given(value: &Value) -> Given {
    match value {
        Value::Null => Given::from(()),
        Value::Text(text) => match text.as_str() {
            "true" => Given::from(true),
            "false" => Given::from(false),
            text => match text.parse::<i64>() {
                Ok(number) if number.to_string() == text => Given::from(number),
                _ => Given::from(text),
            },
        },
        Value::List(items) => items.iter().map(|item| given(&item.value)).collect(),
        Value::Map(map) => {
            let entries = map.entries().iter();
            let entries = entries.map(|entry| (entry.key.clone(), given(&entry.node.value)));
            Given::from(entries.collect::<BTreeMap<String, Given>>())
        }
    }
}

/// The template with Docker's placeholders as raw text.
fn with_raw(source: &str) -> String {
    let mut text = String::new();
    let mut rest = source;
    while let Some(at) = rest.find("{") {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match &rest[..rest.len().min(2)] {
            "{#" => upto(rest, "#}"),
            "{%" if is_raw(rest) => upto(rest, "endraw").map(|end| end + "endraw".len()),
            "{{" if is_placeholder(rest) => {
                let end = upto(rest, "}}").map_or(rest.len(), |end| end + 2);
                text.push_str("{% raw %}");
                text.push_str(&rest[..end]);
                text.push_str("{% endraw %}");
                rest = &rest[end..];
                continue;
            }
            _ => None,
        };
        let taken = taken.unwrap_or(1).max(1);
        text.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    text.push_str(rest);
    text
}

fn upto(text: &str, end: &str) -> Option<usize> {
    text[2..].find(end).map(|at| at + 2)
}

fn is_raw(block: &str) -> bool {
    let inner = block[2..].trim_start_matches(['-', '+']).trim_start();
    inner.starts_with("raw") && !inner[3..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn is_placeholder(expression: &str) -> bool {
    let inner = expression[2..].trim_start_matches('-').trim_start();
    inner.starts_with('.') || inner.starts_with("index ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn render(template: &str, values: &str) -> Result<String, String> {
        let sources = [
            ("site.yaml".to_owned(), template.to_owned()),
            ("_part.yaml".to_owned(), "part of {{ site }}".to_owned()),
        ];
        let values = parse("values.yaml", values).expect("YAML");
        Templates::new(sources.into())?.render("site.yaml", &values)
    }

    #[test]
    fn values_are_put_in_as_they_are_written() {
        let values = "site: north\nport: 8080\nmode: 0440\nrelease: 1.10\non: true\nnames: [a, b]\nq: 'x \"y\" <z>'";
        for (template, text) in [
            ("a: {{ site }}\n", "a: north\n"),
            ("{{ mode }} {{ release }} {{ on }} {{ port + 1 }}", "0440 1.10 true 8081"),
            ("{{ q }}", "x \"y\" <z>"),
            ("{% if port > 80 and on %}yes{% endif %}", "yes"),
            ("{% for n in names %}\n- {{ n }}\n{% endfor %}\n", "- a\n- b\n"),
            ("{{ names | join(', ') }} {{ names | length }}", "a, b 2"),
            ("{{ missing | default('none') }}", "none"),
            ("{% include '_part.yaml' %}", "part of north"),
            (
                "{{.Task.Slot}} {{ .Node.ID }} {{index .Service.Labels \"a\"}}",
                "{{.Task.Slot}} {{ .Node.ID }} {{index .Service.Labels \"a\"}}",
            ),
            ("x-{{.Task.Slot}}-{{ site }}", "x-{{.Task.Slot}}-north"),
            (
                "{% raw %}{{.Task.Slot}} {{ site }}{% endraw %} {{ site }}",
                "{{.Task.Slot}} {{ site }} north",
            ),
            ("{# {{.Task}} #}a { b }", "a { b }"),
            ("${A:-b} $$", "${A:-b} $$"),
        ] {
            assert_eq!(render(template, values).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_rendered_names_its_line_and_no_value() {
        let values = "site: north\nsecret: hunter2\nnames: [a]\nnothing:\n";
        for (template, fault) in [
            ("a: b\nc: {{ missing }}\n", "site.yaml:2: a value is not defined: c: {{ missing }}"),
            ("{{ site.deep.er }}", "site.yaml:1: a value is not defined: {{ site.deep.er }}"),
            (
                "{{ names }}",
                "site.yaml:1: a list is no text; write it through a filter, like `| tojson`: {{ names }}",
            ),
            (
                "{{ nothing }}",
                "site.yaml:1: nothing is no text; write it through a filter, like `| tojson`: {{ nothing }}",
            ),
            ("{% if site %}a", "site.yaml:1: "),
            ("{{ secret | nofilter }}", "site.yaml:1: "),
            ("{{ secret + missing.x }}", "site.yaml:1: a value is not defined"),
            ("{% include 'gone.yaml' %}", "site.yaml:1: "),
            ("{% include 'site.yaml' %}", "site.yaml:1: "),
        ] {
            let told = render(template, values).expect_err(template);
            assert!(told.starts_with(fault), "{template}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
