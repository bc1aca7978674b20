//! Files and variables in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use node_stack::interpolate::Variables;
use node_stack::{File, Files, Input, Stack, read};

/// What a test gives to a reading.
pub struct Given {
    pub name: Option<String>,
    pub profiles: Vec<String>,
    files: Vec<String>,
    beside: BTreeMap<PathBuf, String>,
    variables: Variables,
}

impl Given {
    pub fn file(text: &str) -> Given {
        let files = [("web.env", "A=file\nB=file\n"), ("raw.env", "A='x' # y\n")];
        Given {
            name: Some("st".to_owned()),
            profiles: Vec::new(),
            files: vec![text.to_owned()],
            beside: files.map(|(path, text)| (PathBuf::from(path), text.to_owned())).into(),
            variables: [("FROM_OUTSIDE".to_owned(), "here".to_owned())].into(),
        }
    }

    pub fn and(mut self, text: &str) -> Given {
        self.files.push(text.to_owned());
        self
    }

    pub fn beside(mut self, path: &str, text: &str) -> Given {
        self.beside.insert(PathBuf::from(path), text.to_owned());
        self
    }

    pub fn try_read(&self) -> Result<Stack, Vec<String>> {
        let file = |text: &String| File { path: PathBuf::from("c.yaml"), text: text.clone() };
        let input = Input {
            name: self.name.clone(),
            files: self.files.iter().map(file).collect(),
            variables: &self.variables,
            profiles: self.profiles.clone(),
            beside: self,
        };
        read(&input).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    pub fn read(&self) -> Stack {
        self.try_read().unwrap_or_else(|problems| panic!("{problems:#?}"))
    }
}

impl Files for Given {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.beside.get(path).cloned().ok_or_else(|| format!("{}: no such file", path.display()))
    }

    fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, String> {
        Files::read(self, path).map(String::into_bytes)
    }
}

/// Why a reading fails.
pub fn refused(given: &Given) -> Vec<String> {
    given.try_read().expect_err("it is refused")
}
