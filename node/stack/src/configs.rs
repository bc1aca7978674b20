//! `configs` and `secrets` of a file: what they hold, and what they are called in the fleet.
//!
//! The data of a config never changes. So a config without a `name` of its own is called after what it
//! holds (`shop_app.conf-1f0a93b2`): other data make another config, and the services that use it take
//! that one, by their own rules of updates. A secret is called `shop_key`: a name made of what is in it
//! would let everybody try what that is. Other data is a rotation of it.

use std::collections::BTreeMap;
use std::path::Path;

use node_docker::config::{ConfigSpec, Data};

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
            if let Some((data, own)) = data {
                let mut spec = ConfigSpec { name: declared.name.clone(), ..ConfigSpec::default() };
                spec.labels = own;
                spec.labels.insert(STACK_LABEL.to_owned(), self.stack.to_owned());
                spec.data = Data(data);
                made.push((entry.key.clone(), spec));
            }
            all.insert(entry.key, declared);
        }
        (all, made)
    }

    #[expect(clippy::type_complexity, reason = "what is made of one: its data and labels")]
    fn one(
        &self,
        mut fields: Fields<'_>,
        key: &str,
    ) -> Option<(Declared, Option<(Vec<u8>, BTreeMap<String, String>)>)> {
        let name = fields.text("name");
        let external = Declared::external(&mut fields);
        let file = fields.text("file");
        let is_secret = self.kind == SECRETS;
        let content = if is_secret { None } else { fields.text("content") };
        let variable = fields.text("environment");
        let own = labels(&mut fields, "labels");
        fields.refuse(&[("template_driver", "tasks get it as it is")]);
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
            let digest = blake3::hash(&data).to_hex();
            match is_secret {
                true => format!("{}_{key}", self.stack),
                false => format!("{}_{key}-{}", self.stack, &digest[..DIGITS]),
            }
        };
        let name = name.map(|name| name.text).unwrap_or_else(own_name);
        Some((named(name, false), Some((data, own))))
    }
}
