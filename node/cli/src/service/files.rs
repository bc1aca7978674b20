//! The configs and secrets of a service: `create` sets them, `update` adds and removes some.

use clap::Args;

use super::change::change_list;
use crate::value;
use node_docker::config::{ConfigReference, SecretReference};
use node_docker::container_spec::ContainerSpec;

/// The configs and secrets of a new service.
#[derive(Debug, Default, Args)]
pub struct NewFiles {
    /// Config that its tasks get as a file: app.conf, or
    /// source=app.conf,target=/etc/app.conf[,uid=1000][,gid=1000][,mode=0440]
    #[arg(long, value_name = "CONFIG", value_parser = value::config, help_heading = "Container")]
    config: Vec<ConfigReference>,
    /// Secret that its tasks get as a file below /run/secrets: key, or
    /// source=key,target=/etc/key[,uid=1000][,gid=1000][,mode=0400]
    #[arg(long, value_name = "SECRET", value_parser = value::secret, help_heading = "Container")]
    secret: Vec<SecretReference>,
}

impl NewFiles {
    /// Sets them.
    pub fn apply(&self, container: &mut ContainerSpec) {
        container.configs.clone_from(&self.config);
        container.secrets.clone_from(&self.secret);
    }
}

/// What changes in the configs and secrets of a service.
#[derive(Debug, Default, Args)]
pub struct FileChanges {
    /// Add a config, or put it in place of the one with its target
    #[arg(long, value_name = "CONFIG", value_parser = value::config, help_heading = "Container")]
    config_add: Vec<ConfigReference>,
    /// Remove a config, by its name or id
    #[arg(long, value_name = "CONFIG", help_heading = "Container")]
    config_rm: Vec<String>,
    /// Add a secret, or put it in place of the one with its target
    #[arg(long, value_name = "SECRET", value_parser = value::secret, help_heading = "Container")]
    secret_add: Vec<SecretReference>,
    /// Remove a secret, by its name or id
    #[arg(long, value_name = "SECRET", help_heading = "Container")]
    secret_rm: Vec<String>,
}

impl FileChanges {
    /// Makes the changes: what is removed and added again is there afterwards.
    pub fn apply(&self, container: &mut ContainerSpec) {
        let is_any =
            |all: &[String], name: &str, id: &str| all.iter().any(|rm| rm == name || rm == id);
        let configs = &mut container.configs;
        configs.retain(|held| !is_any(&self.config_rm, &held.config_name, &held.config_id));
        change_list(configs, &self.config_add, &[], place);
        let secrets = &mut container.secrets;
        secrets.retain(|held| !is_any(&self.secret_rm, &held.secret_name, &held.secret_id));
        change_list(secrets, &self.secret_add, &[], secret_place);
    }
}

/// Where the file is.
fn place(config: &ConfigReference) -> String {
    let target = config.file.as_ref().map_or("", |file| file.name.as_str());
    target.trim_start_matches('/').to_owned()
}

/// The same of a secret: its target is below a folder of its own.
fn secret_place(secret: &SecretReference) -> String {
    let target = secret.file.as_ref().map_or("", |file| file.name.as_str());
    if target.starts_with('/') { target.to_owned() } else { format!("/run/secrets/{target}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        configs: FileChanges,
    }

    fn after(before: &[&str], line: &str) -> String {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).expect("valid");
        let held = before.iter().map(|text| value::config(text).expect("valid"));
        let mut container = ContainerSpec { configs: held.collect(), ..ContainerSpec::default() };
        line.configs.apply(&mut container);
        let shown =
            container.configs.iter().map(|held| format!("{}:{}", held.config_name, place(held)));
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn configs_are_removed_by_name_and_added_behind() {
        assert_eq!(after(&["a", "b"], "--config-rm a --config-add c"), "b:b c:c");
        assert_eq!(after(&["a"], "--config-rm a --config-add source=a,target=/x"), "a:x");
        assert_eq!(after(&["a", "src=a,target=/x"], "--config-rm a"), "");
        assert_eq!(after(&["a"], "--config-rm b"), "a:a", "as in Docker");
    }

    #[test]
    fn what_is_added_takes_the_place_of_what_has_its_target() {
        let before = ["source=app-1,target=/etc/app"];
        assert_eq!(after(&before, "--config-add source=app-2,target=/etc/app"), "app-2:etc/app");
    }

    #[test]
    fn secrets_are_changed_by_name_and_by_their_place_in_the_container() {
        let after = |line: &str| {
            let words = std::iter::once("x").chain(line.split_whitespace());
            let line = Line::try_parse_from(words).expect("valid");
            let held = ["a", "src=b,target=/etc/b"].map(|text| value::secret(text).expect("valid"));
            let mut container = ContainerSpec { secrets: held.into(), ..ContainerSpec::default() };
            line.configs.apply(&mut container);
            let one =
                |held: &SecretReference| format!("{}:{}", held.secret_name, secret_place(held));
            container.secrets.iter().map(one).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(after("--secret-rm a"), "b:/etc/b");
        assert_eq!(
            after("--secret-add src=c,target=/run/secrets/a"),
            "c:/run/secrets/a b:/etc/b",
            "it takes the place of the one that is there"
        );
        assert_eq!(after("--secret-rm a --secret-add a"), "b:/etc/b a:/run/secrets/a");
    }
}
