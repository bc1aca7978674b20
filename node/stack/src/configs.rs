//! `configs` and `secrets` of a file: what they hold, and what they are called in the fleet.
//!
//! The data of a config never changes. So a config without a `name` of its own is called after what it
//! holds (`shop_app.conf-1f0a93b2`): other data make another config, and the services that use it take
//! that one, by their own rules of updates. A secret is called `shop_key`: a name made of what is in it
//! would let everybody try what that is. Other data is a rotation of it.

use std::collections::BTreeMap;
use std::path::Path;

use node_docker::config::{ConfigSpec, Data, Driver};

use crate::context::{Declared, Files};
use crate::fields::Fields;
use crate::interpolate::Variables;
use crate::log::Log;
use crate::service::{STACK_LABEL, labels};
use crate::tree::Entry;

/// The key of secrets, in a file and in a service.
pub const SECRETS: &str = "secrets";

/// The key of configs.
pub const CONFIGS: &str = "configs";

/// The one template driver.
const GOLANG: &str = "golang";

/// How many digits of the digest are in a name.
const DIGITS: usize = 8;

/// What configs or secrets are read with.
pub struct Reading<'a> {
    /// Which of both: `configs` or `secrets`.
    pub kind: &'static str,
    /// The stack's name.
    pub stack: &'a str,
    /// The variables of whoever deploys.
    pub variables: &'a Variables,
    /// The files beside.
    pub files: &'a dyn Files,
    /// The findings.
    pub log: &'a Log,
}

impl Reading<'_> {
    /// Those of the file by their names in it, and those that are to be made.
    pub fn read(
        &self,
        entries: Vec<Entry>,
    ) -> (BTreeMap<String, Declared>, Vec<(String, ConfigSpec)>) {
        let (mut all, mut made) = (BTreeMap::new(), Vec::new());
        for entry in entries {
            let path = format!("{}.{}", self.kind, entry.key);
            let Some(fields) = Fields::of(entry.node, path, self.log) else { continue };
            // One with a fault is there: who uses it has none.
            let found = self.one(fields, &entry.key);
            let (declared, data) = found.unwrap_or_default();
            if let Some(mut spec) = data {
                spec.name.clone_from(&declared.name);
                spec.labels.insert(STACK_LABEL.to_owned(), self.stack.to_owned());
                made.push((entry.key.clone(), spec));
            }
            all.insert(entry.key, declared);
        }
        (all, made)
    }

    /// One, and what is made of it, still without its name and the stack's label.
    fn one(&self, mut fields: Fields<'_>, key: &str) -> Option<(Declared, Option<ConfigSpec>)> {
        let name = fields.text("name");
        let external = Declared::external(&mut fields);
        let file = fields.text("file");
        let is_secret = self.kind == SECRETS;
        let content = if is_secret { None } else { fields.text("content") };
        let variable = fields.text("environment");
        let own = labels(&mut fields, "labels");
        let driver = fields.text("template_driver");
        if let Some(driver) = driver.as_ref().filter(|driver| driver.text != GOLANG) {
            let what = format!("there is no template driver {}; there is {GOLANG}", driver.text);
            self.log.refuse(&driver.place, what);
        }
        if is_secret {
            fields.refuse(&[
                ("content", "what is in a secret does not belong into this file: use `file`"),
                ("driver", "the fleet itself keeps what is in a secret"),
                ("driver_opts", "the fleet itself keeps what is in a secret"),
            ]);
        }
        let (place, path) = (fields.place.clone(), fields.path(""));
        fields.finish();
        let named =
            |name: String, is_external| Declared { name, is_external, ..Declared::default() };
        if let Some(old_name) = external {
            if let Some(driver) = driver {
                let what =
                    "`template_driver` is that of its making: an external one was made before";
                self.log.refuse(&driver.place, what);
            }
            let name = name.map(|name| name.text).or(old_name).unwrap_or_else(|| key.to_owned());
            return Some((named(name, true), None));
        }
        let given = [&file, &content, &variable].into_iter().flatten().count();
        if given != 1 {
            let one = if is_secret { "" } else { ", `content`" };
            let what = format!(
                "`{}` has one of `file`{one} and `environment`, or `external: true`",
                path.trim_end_matches('.')
            );
            self.log.refuse(&place, what);
            return None;
        }
        let data = match (file, content, variable) {
            (Some(file), ..) => {
                let read = self.files.read_bytes(Path::new(&file.text));
                self.log.ok(&file.place, read)?
            }
            (_, Some(content), _) => content.text.into_bytes(),
            (_, _, Some(variable)) => {
                let value = self.variables.get(&variable.text).cloned();
                let missing = || format!("the variable `{}` has to be set", variable.text);
                self.log.ok(&variable.place, value.ok_or_else(missing))?.into_bytes()
            }
            _ => return None,
        };
        let own_name = || {
            // The same data as a template is another config.
            let mut hasher = blake3::Hasher::new();
            hasher.update(&data);
            hasher.update(driver.as_ref().map_or("", |driver| &driver.text).as_bytes());
            let digest = hasher.finalize().to_hex();
            match is_secret {
                true => format!("{}_{key}", self.stack),
                false => format!("{}_{key}-{}", self.stack, &digest[..DIGITS]),
            }
        };
        let name = name.map(|name| name.text).unwrap_or_else(own_name);
        let templating = driver.map(|driver| Driver { name: driver.text, ..Driver::default() });
        let spec =
            ConfigSpec { labels: own, data: Data(data), templating, ..ConfigSpec::default() };
        Some((named(name, false), Some(spec)))
    }
}
