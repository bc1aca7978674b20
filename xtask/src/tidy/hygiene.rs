//! Rules about the content of a line: no unfinished work, no hidden panic, no test switched off, no
//! word that belongs to the authors' workplace instead of to the product.
//!
//! The product's terms are those of the README; this file lists texts that must never appear.

use super::{Finding, Source};

/// A text that must not appear, and why.
struct Banned {
    text: &'static str,
    rule: &'static str,
    why: &'static str,
}

/// Forbidden in all code, tests included.
const IN_CODE: [Banned; 5] = [
    Banned { text: "todo!(", rule: "unfinished", why: UNFINISHED },
    Banned { text: "unimplemented!(", rule: "unfinished", why: UNFINISHED },
    Banned {
        text: "dbg!(",
        rule: "unfinished",
        why: "it prints to an operator what a person was looking for",
    },
    Banned {
        text: "#[ignore",
        rule: "ignored-test",
        why: "a test that nobody runs says nothing; fix it or delete it",
    },
    Banned {
        text: "#[should_panic]",
        rule: "vague-panic",
        why: "any panic would pass; say which one with `expected`",
    },
];

const UNFINISHED: &str =
    "an operator would be the one to find out; what is not built is not offered";

/// Forbidden in code that ships.
const IN_SHIPPED: [Banned; 2] = [
    Banned {
        text: ".unwrap()",
        rule: "unwrap",
        why: "`expect(\"…\")` states the invariant; anything else is an error to handle",
    },
    Banned {
        text: ".get_unchecked(",
        rule: "unchecked",
        why: "a wrong index must stop the agent, not corrupt it",
    },
];

/// Forbidden in comments.
const IN_COMMENTS: [Banned; 3] = [
    Banned { text: "FIXME", rule: "unfinished", why: UNFINISHED },
    Banned { text: "XXX", rule: "unfinished", why: UNFINISHED },
    Banned {
        text: "TODO",
        rule: "unfinished",
        why: "open work has an owner and a place in docs/, not in a comment",
    },
];

/// Forbidden everywhere: paths and names of a workplace. Split into pieces, so that this file
/// passes its own rule.
const FOREIGN: [&str; 7] = [
    concat!("/wo", "rk/"),
    concat!("/tmp/", "wt"),
    concat!("/tmp/", "edge/"),
    concat!("PLAN", ".md"),
    concat!("design", ".md"),
    concat!("style", ".md"),
    concat!("crates", ".md"),
];

/// All rules of this file about one source.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in source.code.iter().enumerate() {
        findings.extend(banned(source, at + 1, line, &IN_CODE));
    }
    for (number, line) in source.shipped() {
        findings.extend(banned(source, number, line, &IN_SHIPPED));
    }
    for (at, line) in source.comments.iter().enumerate() {
        findings.extend(banned(source, at + 1, line, &IN_COMMENTS));
    }
    for (at, line) in source.lines.iter().enumerate() {
        findings.extend(foreign(source, at + 1, line));
    }
    findings
}

fn banned(source: &Source, number: usize, line: &str, words: &[Banned]) -> Vec<Finding> {
    let found = words.iter().filter(|banned| line.contains(banned.text));
    found
        .map(|banned| Finding {
            file: source.path.clone(),
            line: number,
            rule: banned.rule,
            what: format!("`{}`", banned.text.trim_end_matches('(')),
            why: banned.why,
        })
        .collect()
}

fn foreign(source: &Source, number: usize, line: &str) -> Option<Finding> {
    FOREIGN.iter().find(|word| line.contains(**word)).map(|word| Finding {
        file: source.path.clone(),
        line: number,
        rule: "foreign-word",
        what: format!("`{word}`"),
        why: "the product does not speak of the place where it was written",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        check(&Source::new("a/src/plan.rs", text)).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_comments() {
        for text in ["todo!()", "unimplemented!()", "dbg!(a)", "// FIXME: a", "/* TODO */"] {
            assert_eq!(rules(text), ["unfinished"], "{text}");
        }
        assert!(rules("let a = \"todo!()\"; // nothing todo here").is_empty());
    }

    #[test]
    fn a_test_that_is_switched_off_is_found() {
        assert_eq!(rules("#[test]\n#[ignore = \"slow\"]\nfn a() {}"), ["ignored-test"]);
    }

    #[test]
    fn a_test_that_takes_any_panic_is_found() {
        assert_eq!(rules("#[test]\n#[should_panic]\nfn a() {}"), ["vague-panic"]);
    }

    #[test]
    fn unwrap_is_found_where_it_ships_and_not_in_tests() {
        assert_eq!(rules("fn a() { b.unwrap() }"), ["unwrap"]);
        assert_eq!(rules("fn a() { b.get_unchecked(1) }"), ["unchecked"]);
        assert!(rules("#[cfg(test)]\nmod t {\n fn a() { b.unwrap() }\n}").is_empty());
    }

    #[test]
    fn a_word_of_the_workplace_is_found_in_text_too() {
        assert_eq!(rules(concat!("let a = \"/wo", "rk/a\";")), ["foreign-word"]);
        assert_eq!(rules(concat!("// see design", ".md")), ["foreign-word"]);
    }
}
