//! The files that a service makes of configs and secrets.
//!
//! Both are named by their ids here: names are looked up before, where the fleet is known.

use std::str::FromStr;

use crdt_state::file::{FileClass, FileId, FileUse};

use super::super::BadSpec;
use super::bad_value;
use crate::config::{ConfigReference, FileTarget};

/// Where the files of a class are in a spec, for messages.
struct Fields {
    all: &'static str,
    mode: &'static str,
    uid: &'static str,
    gid: &'static str,
    no_file: &'static str,
    no_id: &'static str,
}

const CONFIGS: Fields = Fields {
    all: "ContainerSpec.Configs",
    mode: "ContainerSpec.Configs.File.Mode",
    uid: "ContainerSpec.Configs.File.UID",
    gid: "ContainerSpec.Configs.File.GID",
    no_file: "it has no File; give the place of the file, like target=/etc/app.conf",
    no_id: "this is no id; take one from `edgectl config ls`",
};

const SECRETS: Fields = Fields {
    all: "ContainerSpec.Secrets",
    mode: "ContainerSpec.Secrets.File.Mode",
    uid: "ContainerSpec.Secrets.File.UID",
    gid: "ContainerSpec.Secrets.File.GID",
    no_file: "it has no File; give the place of the file, like target=key",
    no_id: "this is no id; take one from `edgectl secret ls`",
};

/// Reads them, in the order of their places: Docker's client sends them in any order, and that must
/// be no other template.
pub(super) fn accept<I: FromStr + Copy + Into<FileId>>(
    class: FileClass,
    sent: impl IntoIterator<Item = ConfigReference>,
) -> Result<Vec<FileUse<I>>, BadSpec> {
    let fields = match class {
        FileClass::Config => CONFIGS,
        FileClass::Secret => SECRETS,
    };
    let files = sent.into_iter().map(|one| accept_one(one, &fields));
    let mut files = files.collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(FileUse::path);
    Ok(files)
}

fn accept_one<I: FromStr>(sent: ConfigReference, fields: &Fields) -> Result<FileUse<I>, BadSpec> {
    let ConfigReference { file, config_id, config_name } = sent;
    let Some(file) = file else {
        return Err(bad_value(fields.all, &config_name, fields.no_file));
    };
    let id = config_id.parse().map_err(|_| bad_value(fields.all, &config_id, fields.no_id))?;
    if file.mode > 0o7777 {
        let hint = "these are no permissions; write them like mode=0440";
        return Err(bad_value(fields.mode, &file.mode.to_string(), hint));
    }
    Ok(FileUse {
        id,
        name: config_name,
        target: file.name,
        uid: number(fields.uid, &file.uid)?,
        gid: number(fields.gid, &file.gid)?,
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
pub(in crate::state) fn show<I, R>(files: &[FileUse<I>]) -> Vec<R>
where
    I: Copy + Into<FileId>,
    R: From<ConfigReference>,
{
    let shown = files.iter().map(|file| ConfigReference {
        file: Some(FileTarget {
            name: file.target.clone(),
            uid: file.uid.to_string(),
            gid: file.gid.to_string(),
            mode: file.mode,
        }),
        config_id: file.file().to_string(),
        config_name: file.name.clone(),
    });
    shown.map(R::from).collect()
}

#[cfg(test)]
mod tests {
    use crdt_state::{ConfigId, SecretId};

    use super::*;

    fn accept(sent: Vec<ConfigReference>) -> Result<Vec<FileUse<ConfigId>>, BadSpec> {
        super::accept(FileClass::Config, sent)
    }

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
        assert_eq!(show::<_, ConfigReference>(&accepted), sent);
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

    #[test]
    fn the_place_of_a_secret_counts_as_it_is_in_the_container() {
        let named = |name: &str| {
            let file = target("0", 0o444).map(|file| FileTarget { name: name.into(), ..file });
            shown(file)
        };
        let sent = vec![named("/run/secrets/b"), named("a")];
        let files = super::accept::<SecretId>(FileClass::Secret, sent).expect("accepted");
        let paths: Vec<String> = files.iter().map(FileUse::path).collect();
        assert_eq!(paths, ["/run/secrets/a", "/run/secrets/b"]);
        let bad = ConfigReference { config_id: "a".into(), ..shown(target("0", 0)) };
        let said = super::accept::<SecretId>(FileClass::Secret, [bad]).expect_err("refused");
        assert!(said.to_string().contains("edgectl secret ls"), "{said}");
    }
}
