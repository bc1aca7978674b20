//! The rule about files of one package: no import cycles. No file imports another that imports it,
//! directly or through others.
//!
//! A file and its own children (`foo.rs` and `foo/…`) belong together and may import each other.
//! All other imports point one way, so that a file can be read, tested and moved without the rest
//! of the package. Only code that ships counts. An import through a re-export counts as an import
//! of the file that defines the item.

use super::{Finding, Source};
use std::collections::{BTreeMap, BTreeSet};

/// A module's path within its package; the root's is empty.
type Module = Vec<String>;

/// The files of one package.
struct Package<'a> {
    modules: BTreeMap<Module, &'a Source>,
    /// For each module its re-exports by name, with the path that each comes from.
    exports: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
}

/// The import cycles of all packages, one finding each.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut packages: BTreeMap<&str, BTreeMap<Module, &Source>> = BTreeMap::new();
    for source in sources {
        let Some((package, module)) = source.path.split_once("/src/") else { continue };
        packages.entry(package).or_default().insert(module_of(module), source);
    }
    packages.into_values().flat_map(|modules| Package::new(modules).circles()).collect()
}

fn module_of(path: &str) -> Module {
    match path.trim_end_matches(".rs") {
        "lib" | "main" => Module::new(),
        module => module.split('/').map(str::to_owned).collect(),
    }
}

impl<'a> Package<'a> {
    fn new(modules: BTreeMap<Module, &'a Source>) -> Package<'a> {
        let mut package = Package { modules, exports: BTreeMap::new() };
        let mut exports: BTreeMap<Module, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for (module, source) in &package.modules {
            let text = shipped(source);
            for path in exported(&text).into_iter().flat_map(|at| paths(&text[at..])) {
                if let (Some(name), Some(path)) =
                    (path.last().cloned(), package.absolute(module, &path))
                {
                    exports.entry(module.clone()).or_default().insert(name, path);
                }
            }
        }
        package.exports = exports;
        package
    }

    /// One finding for each set of files that import each other.
    fn circles(&self) -> Vec<Finding> {
        let edges: BTreeMap<&Module, BTreeSet<Module>> = self
            .modules
            .iter()
            .map(|(module, source)| (module, self.imports(module, source)))
            .collect();
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            edges.keys().map(|module| (*module, reach(module, &edges))).collect();
        let mut told = BTreeSet::new();
        let mut findings = Vec::new();
        for (module, reaches) in &reached {
            let circle: BTreeSet<&Module> =
                reaches.iter().copied().filter(|other| reached[other].contains(module)).collect();
            if circle.len() > 1 && told.insert(circle.clone()) {
                let files: Vec<&str> =
                    circle.iter().map(|module| self.modules[*module].path.as_str()).collect();
                findings.push(Finding {
                    file: self.modules[*module].path.clone(),
                    line: 1,
                    rule: "circle",
                    what: format!("{} import each other", files.join(", ")),
                    why: "a file makes sense without those that use it; only a file and its own children may know each other",
                });
            }
        }
        findings
    }

    /// The modules that a file names, without its ancestors and its descendants.
    fn imports(&self, module: &Module, source: &Source) -> BTreeSet<Module> {
        let text = shipped(source);
        let starts = named(&text);
        let found = starts.into_iter().flat_map(|at| paths(&text[at..]));
        found
            .filter_map(|path| self.absolute(module, &path))
            .map(|path| self.defining(&path, EXPORTS_MAX))
            .filter(|other| !other.starts_with(module) && !module.starts_with(other))
            .collect()
    }

    /// A path from the package's root; `None` for a path into another package.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut base = module.clone();
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => return Some([base, rest.to_vec()].concat()),
            "super" => {
                let ups = path.iter().take_while(|segment| *segment == "super").count();
                base.truncate(base.len().saturating_sub(ups));
                return Some([base, path[ups..].to_vec()].concat());
            }
            _ => base.push(first.clone()),
        }
        self.modules.contains_key(&base).then(|| [base, rest.to_vec()].concat())
    }

    /// The module that defines the item that a path from the root names.
    fn defining(&self, path: &[String], exports_left: usize) -> Module {
        let depth = (0..=path.len()).rev().find(|depth| self.modules.contains_key(&path[..*depth]));
        let (module, rest) = path.split_at(depth.unwrap_or(0));
        let export = rest.first().and_then(|name| self.exports.get(module)?.get(name));
        match export {
            Some(origin) if exports_left > 0 && origin != path => {
                self.defining(&[origin.as_slice(), &rest[1..]].concat(), exports_left - 1)
            }
            _ => module.to_vec(),
        }
    }
}

/// A re-export chain is followed through fewer modules than this.
const EXPORTS_MAX: usize = 8;

fn reach<'a>(
    start: &'a Module,
    edges: &'a BTreeMap<&'a Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(module) = open.pop() {
        for next in edges.get(module).into_iter().flatten() {
            if reached.insert(next) {
                open.push(next);
            }
        }
    }
    reached
}

/// The code that ships, as one text.
fn shipped(source: &Source) -> String {
    source.shipped().flat_map(|(_, line)| [line, "\n"]).collect()
}

/// The positions where the paths of `pub use` begin.
fn exported(text: &str) -> Vec<usize> {
    let uses = text.match_indices("use ").filter(|(at, _)| {
        let before = text[..*at].trim_end();
        before.ends_with("pub") || before.ends_with(')') && before.contains("pub(")
    });
    uses.map(|(at, found)| at + found.len()).collect()
}

/// The positions where paths begin: words before `::` that do not follow another `::`.
fn named(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    for (at, _) in text.match_indices("::") {
        let start = text[..at].rfind(|letter| !is_word(letter)).map_or(0, |before| before + 1);
        if start < at && !text[..start].ends_with("::") {
            starts.push(start);
        }
    }
    starts
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// All paths of a tree like `a::{b, c::{d, e}}` at the beginning of a text.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    tree(text, &Vec::new(), &mut found);
    found
}

/// Reads one tree below `prefix`; returns the text after it.
fn tree<'t>(text: &'t str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches([' ', '\n', ',']);
            match rest.strip_prefix('}') {
                Some(after) => return after,
                None if rest.is_empty() => return rest,
                None => rest = tree(rest, prefix, found),
            }
        }
    }
    let end = text.find(|letter| !is_word(letter)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if word.is_empty() {
        found.push(prefix.to_vec());
        return rest.get(1..).unwrap_or_default();
    }
    let path = [prefix, &[word.to_owned()]].concat();
    match rest.strip_prefix("::") {
        Some(below)
            if below.starts_with(|letter| is_word(letter) || letter == '{' || letter == '*') =>
        {
            tree(below, &path, found)
        }
        _ => {
            found.push(path);
            let renamed = rest.trim_start().strip_prefix("as ");
            renamed.map_or(rest, |name| name.trim_start_matches(is_word))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(&format!("p/src/{path}"), text)).collect();
        check(&sources).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn two_files_that_import_each_other_are_found() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "use crate::b::B;\n"),
            ("b.rs", "fn f() -> super::a::A {}\n"),
        ];
        assert_eq!(found(&files), ["p/src/a.rs, p/src/b.rs import each other"]);
    }

    #[test]
    fn a_circle_may_be_long_and_go_through_a_re_export() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\n"),
            ("a.rs", "use crate::{b::{self, B}, c};\n"),
            ("b.rs", "use super::c::C as Other;\n"),
            ("c.rs", "use crate::A;\n"),
        ];
        assert_eq!(found(&files).len(), 1);
        assert!(found(&files[..3]).is_empty(), "{:?}", found(&files[..3]));
    }

    #[test]
    fn a_file_and_its_children_may_know_each_other() {
        let files = [
            ("lib.rs", "mod a;\nuse a::A;\npub struct Root;\n"),
            ("a.rs", "mod b;\nuse b::B;\nuse crate::Root;\n"),
            ("a/b.rs", "use super::A;\nuse crate::Root;\n"),
        ];
        assert!(found(&files).is_empty());
    }

    #[test]
    fn tests_comments_and_other_packages_do_not_count() {
        let files = [
            (
                "a.rs",
                "//! See crate::b.\nuse serde::b::B;\n#[cfg(test)]\nmod tests {\nuse crate::b::B;\n}\n",
            ),
            ("b.rs", "use crate::a::A;\n"),
        ];
        assert!(found(&files).is_empty());
    }
}
