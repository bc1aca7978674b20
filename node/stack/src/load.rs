//! From files to one tree: variables, `include`, `extends`, and one file on top of the other.
//!
//! Paths in a file are relative to its folder; what is loaded has them as whoever reads the files can
//! open them.

mod extends;

use std::path::{Path, PathBuf};

use node_values::{SeccompOption, SecurityOption, security_option};

use crate::context::Files;
use crate::env_file;
use crate::interpolate::{Findings, Variables, interpolate};
use crate::log::Log;
use crate::merge::{merge, without_reset};
use crate::parse::parse;
use crate::problem::Problem;
use crate::tree::{Map, Node, Value};

/// How deep files may be included in each other.
const DEPTH_MAX: usize = 16;

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path; paths in it are relative to its folder.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// What loading needs beside the files.
pub struct Loading<'a> {
    /// The variables of whoever deploys.
    pub variables: &'a Variables,
    /// The files beside them.
    pub files: &'a dyn Files,
    /// The findings.
    pub log: &'a Log,
}

impl Loading<'_> {
    /// All files as one tree; `None`: a fault that leaves nothing to read, which is in the log.
    pub fn all(&self, files: &[File]) -> Option<Node> {
        let mut all: Option<Node> = None;
        for file in files {
            let node = self.file(file, &mut Vec::new())?;
            all = Some(match all {
                None => node,
                Some(before) => self.kept(merge(before, node, &mut Vec::new()))?,
            });
        }
        let mut all = all?;
        without_reset(&mut all);
        Some(all)
    }

    /// One file with what it includes and extends; `above` are the files that include it.
    pub fn file(&self, file: &File, above: &mut Vec<PathBuf>) -> Option<Node> {
        let name = file.path.display().to_string();
        let mut node = self.kept(parse(&name, &file.text))?;
        if above.contains(&file.path) {
            self.log.refuse(&node.place, format!("{name} includes itself"));
            return None;
        }
        if above.len() >= DEPTH_MAX {
            self.log.refuse(&node.place, format!("more than {DEPTH_MAX} files include each other"));
            return None;
        }
        let mut findings = Findings::default();
        interpolate(&mut node, self.variables, &mut findings);
        findings.problems.into_iter().for_each(|problem| self.log.add(problem));
        findings.notes.into_iter().for_each(|note| self.log.note(&note.place, note.what));
        as_version_1(&mut node);
        let folder = file.path.parent().unwrap_or(Path::new("")).to_path_buf();
        resolve_paths(&mut node, &folder);
        above.push(file.path.clone());
        let included = self.included(&mut node, &folder, above);
        let node = included.and_then(|included| self.on_top(included, node));
        let node = node.and_then(|node| extends::resolve(self, node, above));
        above.pop();
        node
    }

    fn included(
        &self,
        node: &mut Node,
        folder: &Path,
        above: &mut Vec<PathBuf>,
    ) -> Option<Vec<Node>> {
        let Value::Map(map) = &mut node.value else {
            self.log
                .refuse(&node.place, format!("a Compose file is a map, not {}", node.value.kind()));
            return None;
        };
        let items = match map.remove("include") {
            None => return Some(Vec::new()),
            Some(Node { value: Value::List(items), .. }) => items,
            Some(other) => {
                self.log.refuse(&other.place, "`include` is a list of files");
                return None;
            }
        };
        items.into_iter().map(|item| self.include(item, folder, above)).collect()
    }

    /// `- other.yaml`, or `- {path: [a.yaml, b.yaml], env_file: x.env}`.
    fn include(&self, item: Node, folder: &Path, above: &mut Vec<PathBuf>) -> Option<Node> {
        let place = item.place.clone();
        let texts = |node: Option<&Node>| -> Vec<String> {
            let text = |node: &Node| match &node.value {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            };
            match node.map(|node| &node.value) {
                Some(Value::List(items)) => items.iter().filter_map(text).collect(),
                Some(_) => node.and_then(text).into_iter().collect(),
                None => Vec::new(),
            }
        };
        if let Value::Map(map) = &item.value {
            self.only(map, &["path", "env_file"], "include")?;
        }
        let (paths, variable_files) = match &item.value {
            Value::Text(path) => (vec![path.clone()], Vec::new()),
            Value::Map(map) => (texts(map.get("path")), texts(map.get("env_file"))),
            _ => (Vec::new(), Vec::new()),
        };
        if paths.is_empty() {
            self.log.refuse(&place, "`include` takes paths of files");
            return None;
        }
        let mut variables = Variables::new();
        for path in variable_files {
            let text = self.read(&folder.join(&path), &place)?;
            let read = env_file::parse(&text, env_file::Form::Quoted, self.variables);
            variables.extend(self.log.ok(&place, read.map_err(|bad| format!("{path}, {bad}")))?);
        }
        variables.extend(self.variables.clone());
        let inner = Loading { variables: &variables, ..*self };
        let mut all: Option<Node> = None;
        for path in paths {
            let path = folder.join(path);
            let text = self.read(&path, &place)?;
            let node = inner.file(&File { path, text }, above)?;
            all = Some(match all {
                None => node,
                Some(before) => self.kept(merge(before, node, &mut Vec::new()))?,
            });
        }
        all
    }

    /// A file on top of those that it includes. It must not change what they define: whoever wants
    /// that names the files with `-c`.
    fn on_top(&self, included: Vec<Node>, node: Node) -> Option<Node> {
        let mut all: Option<Node> = None;
        for next in included.into_iter().chain([node]) {
            if let Some(before) = &all {
                self.refuse_conflicts(before, &next);
            }
            all = Some(match all {
                None => next,
                Some(before) => self.kept(merge(before, next, &mut Vec::new()))?,
            });
        }
        all
    }

    fn refuse_conflicts(&self, before: &Node, next: &Node) {
        for kind in ["services", "networks", "volumes", "configs", "secrets"] {
            let (Some(before), Some(next)) = (inner(before, kind), inner(next, kind)) else {
                continue;
            };
            for entry in next.entries() {
                let other = before.entries().iter().find(|other| other.key == entry.key);
                if let Some(other) = other.filter(|other| other.node != entry.node) {
                    let what = format!(
                        "`{kind}.{}` is also defined at {}, which is included",
                        entry.key, other.place
                    );
                    self.log.refuse(&entry.place, what);
                }
            }
        }
    }

    /// Refuses every key but these: none is dropped in silence.
    pub fn only(&self, map: &Map, known: &[&str], of: &str) -> Option<()> {
        let unknown = map.entries().iter().find(|entry| !known.contains(&entry.key.as_str()));
        let Some(entry) = unknown else { return Some(()) };
        let what =
            format!("`{of}` has no key `{}` here: there are {}", entry.key, known.join(", "));
        self.log.refuse(&entry.place, what);
        None
    }

    /// Reads a file that another one names.
    pub fn read(&self, path: &Path, place: &crate::tree::Place) -> Option<String> {
        self.log.ok(place, self.files.read(path))
    }

    /// A result, or its fault in the log.
    pub fn kept(&self, result: Result<Node, Problem>) -> Option<Node> {
        result.map_err(|problem| self.log.add(problem)).ok()
    }
}

/// A map below a key of a map.
pub fn inner<'a>(node: &'a Node, key: &str) -> Option<&'a Map> {
    let Value::Map(map) = &node.value else { return None };
    match map.get(key).map(|node| &node.value) {
        Some(Value::Map(map)) => Some(map),
        _ => None,
    }
}

/// A file of version 1 has its services at the top: they are put where later versions have them.
fn as_version_1(node: &mut Node) {
    let Value::Map(map) = &mut node.value else { return };
    let is_service = |node: &Node| match &node.value {
        Value::Map(map) => map.get("image").or(map.get("build")).is_some(),
        _ => false,
    };
    let known = ["services", "version", "name", "include", "networks", "volumes"];
    let is_old = !map.entries().is_empty()
        && map
            .entries()
            .iter()
            .all(|entry| !known.contains(&entry.key.as_str()) && is_service(&entry.node));
    if !is_old {
        return;
    }
    let services = Node { value: Value::Map(std::mem::take(map)), ..Node::null(&node.place) };
    let (place, key) = (node.place.clone(), "services".to_owned());
    map.put(crate::tree::Entry { place, key, node: services });
}

/// Makes the paths of a file such that they can be opened from where the reading happens.
fn resolve_paths(node: &mut Node, folder: &Path) {
    let Value::Map(map) = &mut node.value else { return };
    if let Some(Node { value: Value::Map(services), .. }) = map.get_mut("services") {
        for entry in services.entries_mut() {
            let Value::Map(service) = &mut entry.node.value else { continue };
            if let Some(node) = service.get_mut("env_file") {
                resolve(node, folder);
            }
            if let Some(Node { value: Value::List(options), .. }) = service.get_mut("security_opt")
            {
                options.iter_mut().for_each(|option| resolve_profile(option, folder));
            }
            if let Some(Node { value: Value::Map(extends), .. }) = service.get_mut("extends") {
                extends.get_mut("file").into_iter().for_each(|node| resolve(node, folder));
            }
        }
    }
    for kind in ["configs", "secrets"] {
        if let Some(Node { value: Value::Map(all), .. }) = map.get_mut(kind) {
            for entry in all.entries_mut() {
                if let Value::Map(one) = &mut entry.node.value {
                    one.get_mut("file").into_iter().for_each(|node| resolve(node, folder));
                }
            }
        }
    }
}

/// `seccomp:./profile.json`
fn resolve_profile(option: &mut Node, folder: &Path) {
    let Value::Text(text) = &mut option.value else { return };
    if let Ok(SecurityOption::Seccomp(SeccompOption::File(path))) = security_option(text) {
        *text = format!("seccomp:{}", folder.join(path).display());
    }
}

fn resolve(node: &mut Node, folder: &Path) {
    match &mut node.value {
        Value::Text(text) => *text = folder.join(&*text).display().to_string(),
        Value::List(items) => items.iter_mut().for_each(|item| resolve(item, folder)),
        Value::Map(map) => map.get_mut("path").into_iter().for_each(|node| resolve(node, folder)),
        Value::Null => {}
    }
}
