//! Network namespaces of a bench beside the fleet.

use crate::step::succeed;
use anyhow::Result;
use std::process::Command;

/// Network namespaces with names, which are removed when this value is dropped.
#[derive(Default)]
pub struct Namespaces(Vec<String>);

impl Namespaces {
    /// Makes one.
    pub fn add(&mut self, name: String) -> Result<String> {
        ip(&format!("netns add {name}"))?;
        self.0.push(name.clone());
        Ok(name)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

/// `ip` with these words.
pub fn ip(words: &str) -> Result<()> {
    succeed(Command::new("ip").args(words.split_whitespace()))
}
