//! Rules about the parameters of functions: a call must be clear without reading the callee.

use super::{Finding, Source};

/// The most parameters of a function, without `self`.
const PARAMETERS_MAX: usize = 5;

/// All rules of this file about one source.
pub fn check(source: &Source) -> Vec<Finding> {
    signatures(source).iter().flat_map(|signature| signature.findings(source)).collect()
}

/// The signature of a function.
struct Signature {
    line: usize,
    name: String,
    parameters: Vec<String>,
}

impl Signature {
    fn findings(&self, source: &Source) -> Vec<Finding> {
        let finding = |rule, what: String, why| Finding {
            file: source.path.clone(),
            line: self.line,
            rule,
            what,
            why,
        };
        let Signature { name, parameters, .. } = self;
        let mut findings = Vec::new();
        if let Some(flag) = parameters.iter().find(|parameter| parameter.ends_with(": bool")) {
            let what = format!("`{name}` takes `{flag}`");
            findings.push(finding(
                "bool-parameter",
                what,
                "`f(true)` says nothing; use an enum of two, or two functions",
            ));
        }
        let own = parameters.iter().filter(|parameter| !parameter.ends_with("self")).count();
        if own > PARAMETERS_MAX {
            let what = format!("`{name}` takes {own} parameters");
            findings.push(finding(
                "parameters",
                what,
                "nobody knows the sixth one by its place; some of them are one thing",
            ));
        }
        // `get_mut` is the standard library's own name for the mutable form of `get`.
        if name.starts_with("get_") && name != "get_mut" {
            let why = "the prefix says nothing; name what it returns";
            findings.push(finding("get", format!("`{name}`"), why));
        }
        findings
    }
}

/// The signatures of all functions that ship.
fn signatures(source: &Source) -> Vec<Signature> {
    let mut found = Vec::new();
    for (number, line) in source.shipped() {
        let Some(at) = line.find("fn ") else { continue };
        let word_before = line[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        let name: String =
            line[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if word_before || name.is_empty() {
            continue;
        }
        let rest = std::iter::once(&line[at + 3 + name.len()..])
            .chain(source.code[number..].iter().map(String::as_str));
        let parameters = parameters(&rest.collect::<Vec<_>>().join(" "));
        found.push(Signature { line: number, name, parameters });
    }
    found
}

/// The parameters in the text after a function's name, split at the commas of the outermost level.
fn parameters(text: &str) -> Vec<String> {
    let (mut parameters, mut current) = (Vec::new(), String::new());
    let (mut depth, mut generics, mut last) = (0, 0, ' ');
    for letter in text.chars() {
        match letter {
            '<' if depth == 0 => generics += 1,
            '>' if depth == 0 && last != '-' => generics -= 1,
            '(' | '[' | '{' | '<' if generics == 0 => depth += 1,
            '>' if last == '-' || generics > 0 => {}
            ')' | ']' | '}' | '>' if generics == 0 => depth -= 1,
            _ => {}
        }
        let opens = depth == 1 && letter == '(' && current.is_empty() && parameters.is_empty();
        let ends = depth == 0 && generics == 0 && letter == ')';
        if ends || (depth == 1 && letter == ',') {
            parameters.push(std::mem::take(&mut current).trim().to_owned());
        } else if depth > 0 && !opens {
            current.push(letter);
        }
        if ends {
            break;
        }
        last = letter;
    }
    parameters.retain(|parameter| !parameter.is_empty());
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        check(&Source::new("a/src/plan.rs", text)).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn parameters_are_split_at_their_own_level() {
        let split = |text| parameters(text);
        assert_eq!(split("(a: u8, b: Vec<(u8, u8)>) -> bool {"), ["a: u8", "b: Vec<(u8, u8)>"]);
        assert_eq!(split("<F: Fn(u8, u8) -> bool>(&self, f: F) {"), ["&self", "f: F"]);
        assert_eq!(split("(f: impl Fn(u8) -> bool, b: u8)"), ["f: impl Fn(u8) -> bool", "b: u8"]);
        assert!(split("() {").is_empty());
    }

    #[test]
    fn a_flag_among_the_parameters_is_found() {
        assert_eq!(rules("fn draw(\n    a: u8,\n    bold: bool,\n) {}"), ["bool-parameter"]);
        assert!(rules("fn draw(f: impl Fn(u8) -> bool) -> bool {}").is_empty());
    }

    #[test]
    fn a_sixth_parameter_is_found() {
        let five = "a: u8, b: u8, c: u8, d: u8, e: u8";
        assert!(rules(&format!("fn draw(&self, {five}) {{}}")).is_empty());
        assert_eq!(rules(&format!("fn draw({five}, f: u8) {{}}")), ["parameters"]);
    }

    #[test]
    fn a_getter_is_named_for_what_it_returns() {
        assert_eq!(rules("fn get_name(&self) -> &str {}"), ["get"]);
        assert!(rules("fn get(&self, key: u8) -> u8 {}").is_empty());
        assert!(rules("fn get_mut(&mut self, key: u8) -> &mut u8 {}").is_empty());
        assert!(rules("fn forget_all(&self) {}").is_empty());
    }
}
