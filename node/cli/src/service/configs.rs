//! The configs of a service: `create` sets them, `update` adds and removes some.

use clap::Args;

use super::change::change_list;
use crate::value;
use node_docker::config::ConfigReference;

/// The configs of a new service.
#[derive(Debug, Default, Args)]
pub struct NewConfigs {
    /// Config that its tasks get as a file: app.conf, or
    /// source=app.conf,target=/etc/app.conf[,uid=1000][,gid=1000][,mode=0440]
    #[arg(long, value_name = "CONFIG", value_parser = value::config, help_heading = "Container")]
    config: Vec<ConfigReference>,
}

impl NewConfigs {
    /// Sets them.
    pub fn apply(&self, configs: &mut Vec<ConfigReference>) {
        configs.clone_from(&self.config);
    }
}

/// What changes in the configs of a service.
#[derive(Debug, Default, Args)]
pub struct ConfigChanges {
    /// Add a config, or put it in place of the one with its target
    #[arg(long, value_name = "CONFIG", value_parser = value::config, help_heading = "Container")]
    config_add: Vec<ConfigReference>,
    /// Remove a config, by its name or id
    #[arg(long, value_name = "CONFIG", help_heading = "Container")]
    config_rm: Vec<String>,
}

impl ConfigChanges {
    /// Makes the changes: what is removed and added again is there afterwards.
    pub fn apply(&self, configs: &mut Vec<ConfigReference>) {
        configs.retain(|held| {
            !self.config_rm.iter().any(|rm| *rm == held.config_name || *rm == held.config_id)
        });
        change_list(configs, &self.config_add, &[], place);
    }
}

/// Where the file is.
fn place(config: &ConfigReference) -> String {
    let target = config.file.as_ref().map_or("", |file| file.name.as_str());
    target.trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        configs: ConfigChanges,
    }

    fn after(before: &[&str], line: &str) -> String {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).expect("valid");
        let held = before.iter().map(|text| value::config(text).expect("valid"));
        let mut held: Vec<ConfigReference> = held.collect();
        line.configs.apply(&mut held);
        let shown = held.iter().map(|held| format!("{}:{}", held.config_name, place(held)));
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
}
