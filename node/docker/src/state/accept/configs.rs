//! The files that a service makes of configs.
//!
//! Configs are named by their ids here: names are looked up before, where the fleet is known.

use crdt_state::config::ConfigFile;

use super::super::BadSpec;
use super::bad_value;
use crate::config::{ConfigReference, FileTarget};

const FIELD: &str = "ContainerSpec.Configs";

/// Reads them, in the order of their places: Docker's client sends them in any order, and that must
/// be no other template.
pub(super) fn accept(sent: Vec<ConfigReference>) -> Result<Vec<ConfigFile>, BadSpec> {
    let mut files = sent.into_iter().map(accept_one).collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(ConfigFile::path);
    Ok(files)
}

fn accept_one(sent: ConfigReference) -> Result<ConfigFile, BadSpec> {
    let ConfigReference { file, config_id, config_name } = sent;
    let Some(file) = file else {
        let hint = "it has no File; give the place of the file, like target=/etc/app.conf";
        return Err(bad_value(FIELD, &config_name, hint));
    };
    let no_id =
        |_| bad_value(FIELD, &config_id, "this is no id; take one from `edgectl config ls`");
    let config = config_id.parse().map_err(no_id)?;
    if file.mode > 0o7777 {
        let hint = "these are no permissions; write them like mode=0440";
        return Err(bad_value("ContainerSpec.Configs.File.Mode", &file.mode.to_string(), hint));
    }
    Ok(ConfigFile {
        config,
        name: config_name,
        target: file.name,
        uid: number("ContainerSpec.Configs.File.UID", &file.uid)?,
        gid: number("ContainerSpec.Configs.File.GID", &file.gid)?,
        mode: file.mode,
    })
}

/// As with Docker, owners are numbers: the file is made before anybody looks into the image.
fn number(field: &'static str, text: &str) -> Result<u32, BadSpec> {
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) if text.is_empty() => Ok(0),
        Err(_) => Err(bad_value(field, text, "write the number of the user or group, like 1000")),
    }
}

/// The inverse of [`accept`].
pub(in crate::state) fn show(files: &[ConfigFile]) -> Vec<ConfigReference> {
    let shown = files.iter().map(|file| ConfigReference {
        file: Some(FileTarget {
            name: file.target.clone(),
            uid: file.uid.to_string(),
            gid: file.gid.to_string(),
            mode: file.mode,
        }),
        config_id: file.config.to_string(),
        config_name: file.name.clone(),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use crdt_state::ConfigId;

    use super::*;

    fn shown(file: Option<FileTarget>) -> ConfigReference {
        let config_id = ConfigId([7; 16]).to_string();
        ConfigReference { file, config_id, config_name: "a".into() }
    }

    fn target(uid: &str, mode: u32) -> Option<FileTarget> {
        Some(FileTarget { name: "/a".into(), uid: uid.into(), gid: "7".into(), mode })
    }

    #[test]
    fn what_is_accepted_is_shown_again() {
        let sent = vec![shown(target("1000", 0o440))];
        let accepted = accept(sent.clone()).expect("accepted");
        assert_eq!((accepted[0].uid, accepted[0].gid, accepted[0].mode), (1_000, 7, 0o440));
        assert_eq!(show(&accepted), sent);
    }

    #[test]
    fn configs_that_change_places_are_no_other_template() {
        let named = |name: &str| {
            let file = target("0", 0o444).map(|file| FileTarget { name: name.into(), ..file });
            shown(file)
        };
        let ordered = accept(vec![named("/a"), named("b"), named("/c")]).expect("accepted");
        assert_eq!(accept(vec![named("/c"), named("b"), named("/a")]), Ok(ordered));
    }

    #[test]
    fn what_is_no_file_is_refused_by_its_path() {
        for (sent, words) in [
            (shown(None), "it has no File"),
            (shown(target("root", 0)), "File.UID `root`: write the number"),
            (shown(target("0", 0o10000)), "no permissions"),
            (ConfigReference { config_id: "a".into(), ..shown(target("0", 0)) }, "this is no id"),
        ] {
            let said = accept(vec![sent]).expect_err("refused").to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
