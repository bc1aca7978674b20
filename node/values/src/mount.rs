//! `--mount` in Docker's grammar: `type=volume,source=pgdata,target=/data,volume-nocopy`.
//!
//! Keys are interpreted here; whether they make sense together is checked by the API, so that every
//! client gets the same answer.

use super::csv::{self, BadQuote};
use super::nearest;
use node_docker::container_spec::{BindOptions, Mount, TmpfsOptions, VolumeDriver, VolumeOptions};

const TYPES: [&str; 3] = ["bind", "volume", "tmpfs"];
const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
const KEYS: [&str; 18] = [
    "type",
    "source",
    "src",
    "target",
    "destination",
    "dst",
    "readonly",
    "ro",
    "bind-propagation",
    "bind-nonrecursive",
    "bind-recursive",
    "bind-create-src",
    "volume-nocopy",
    "volume-label",
    "volume-driver",
    "tmpfs-size",
    "tmpfs-mode",
    "consistency",
];

/// Why a text is no mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMount {
    /// A quote that is not closed.
    #[error(transparent)]
    Quote(#[from] BadQuote),
    /// `-v`'s short form.
    #[error("a mount is written in keys: write type={kind},source={first},target={second}")]
    Short {
        /// `bind` or `volume`.
        kind: &'static str,
        /// Left of the colon.
        first: String,
        /// Right of it.
        second: String,
    },
    /// `targt=/x`.
    #[error("unknown key {key:?}: {hint}")]
    Key {
        /// As typed.
        key: String,
        /// The nearest, or all.
        hint: String,
    },
    /// `type=bnd`.
    #[error("unknown type {word:?}: {hint}")]
    Type {
        /// As typed.
        word: String,
        /// The nearest, or all.
        hint: String,
    },
    /// `source` alone.
    #[error("{0} has no value: write {0}=VALUE")]
    NoValue(String),
    /// A value that the key does not accept.
    #[error("{key}={word}: {hint}")]
    Word {
        /// The key.
        key: String,
        /// As typed.
        word: String,
        /// The accepted values.
        hint: &'static str,
    },
    /// A feature of Docker that does not exist yet.
    #[error("{0} is not supported yet: leave it out")]
    NotYet(String),
    /// No target.
    #[error("target is missing: write type=volume,source=pgdata,target=/data")]
    NoTarget,
    /// No source.
    #[error("source is missing: write type=bind,source=/srv/data,target={0}")]
    NoSource(String),
    /// `volume-nocopy` of a bind mount.
    #[error(
        "{key} belongs to type={of}, and this is type={kind}: leave it out, or change the type"
    )]
    OtherType {
        /// The key.
        key: String,
        /// The type that it belongs to.
        of: &'static str,
        /// The type of the mount.
        kind: String,
    },
}

/// Reads it.
pub fn mount(text: &str) -> Result<Mount, BadMount> {
    if !text.contains('=') {
        return Err(short_form(text));
    }
    let mut mount = Mount { kind: "volume".to_owned(), ..Mount::default() };
    let mut keys = Vec::new();
    for field in csv::fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field.as_str(), None),
        };
        let key = key.trim().to_ascii_lowercase();
        set(&mut mount, &key, value)?;
        keys.push(key);
    }
    check_keys(&mount, &keys)?;
    if mount.target.is_empty() {
        return Err(BadMount::NoTarget);
    }
    if mount.kind == "bind" {
        if mount.source.is_empty() {
            return Err(BadMount::NoSource(mount.target));
        }
        mount.source = from_here(&mount.source);
    }
    Ok(mount)
}

fn short_form(text: &str) -> BadMount {
    let text = if text.is_empty() { "pgdata" } else { text };
    let (first, second) = text.split_once(':').unwrap_or((text, "/data"));
    let kind = if first.starts_with(['/', '.']) { "bind" } else { "volume" };
    let second = second.split(':').next().unwrap_or_default();
    BadMount::Short { kind, first: first.to_owned(), second: second.to_owned() }
}

fn set(mount: &mut Mount, key: &str, value: Option<&str>) -> Result<(), BadMount> {
    let needed =
        || value.filter(|value| !value.is_empty()).ok_or(BadMount::NoValue(key.to_owned()));
    match key {
        "type" => mount.kind = kind(needed()?)?,
        "source" | "src" => value.unwrap_or_default().clone_into(&mut mount.source),
        "target" | "dst" | "destination" => needed()?.clone_into(&mut mount.target),
        "readonly" | "ro" => mount.read_only = yes_or_no(key, value)?,
        "bind-propagation" => bind(mount).propagation = propagation(needed()?)?,
        "bind-nonrecursive" => bind(mount).non_recursive = yes_or_no(key, value)?,
        "bind-recursive" => bind(mount).non_recursive = !recursive(needed()?)?,
        "bind-create-src" => bind(mount).create_mountpoint = yes_or_no(key, value)?,
        "volume-nocopy" => volume(mount).no_copy = yes_or_no(key, value)?,
        "volume-label" => {
            let (name, value) = needed()?.split_once('=').unwrap_or((needed()?, ""));
            volume(mount).labels.insert(name.to_owned(), value.to_owned());
        }
        "volume-driver" => match needed()? {
            "local" => {
                volume(mount).driver_config = Some(VolumeDriver { name: "local".to_owned() })
            }
            other => return Err(BadMount::NotYet(format!("volume-driver={other}"))),
        },
        "tmpfs-size" => tmpfs(mount).size_bytes = size(key, needed()?)?,
        "tmpfs-mode" => tmpfs(mount).mode = mode(key, needed()?)?,
        "consistency" => {
            let hint = "it means nothing on Linux, leave it out";
            return Err(bad_word(key, value.unwrap_or_default(), hint));
        }
        "volume-opt" | "volume-subpath" | "image-subpath" => {
            return Err(BadMount::NotYet(key.to_owned()));
        }
        other => return Err(unknown_key(other)),
    }
    Ok(())
}

fn kind(word: &str) -> Result<String, BadMount> {
    match word.to_ascii_lowercase() {
        known if TYPES.contains(&known.as_str()) => Ok(known),
        known if ["npipe", "cluster", "image"].contains(&known.as_str()) => {
            Err(BadMount::NotYet(format!("type={known}")))
        }
        other => Err(BadMount::Type { word: word.to_owned(), hint: hint(&other, &TYPES) }),
    }
}

fn unknown_key(key: &str) -> BadMount {
    BadMount::Key { key: key.to_owned(), hint: hint(key, &KEYS) }
}

fn hint(typed: &str, known: &[&'static str]) -> String {
    match nearest(typed, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", known.join(", ")),
    }
}

/// A path that begins with a dot is relative to this command's directory, as in Docker.
fn from_here(text: &str) -> String {
    match (text.starts_with('.'), std::path::absolute(text)) {
        (true, Ok(path)) => path.display().to_string(),
        _ => text.to_owned(),
    }
}

fn yes_or_no(key: &str, value: Option<&str>) -> Result<bool, BadMount> {
    match value.unwrap_or("true") {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(bad_word(key, other, "it is true or false")),
    }
}

fn recursive(word: &str) -> Result<bool, BadMount> {
    match word {
        "enabled" => Ok(true),
        "disabled" => Ok(false),
        "writable" | "readonly" => Err(BadMount::NotYet(format!("bind-recursive={word}"))),
        other => Err(bad_word("bind-recursive", other, "it is enabled or disabled")),
    }
}

fn propagation(word: &str) -> Result<String, BadMount> {
    const HINT: &str = "there are rprivate, private, rshared, shared, rslave and slave";
    match PROPAGATIONS.contains(&word) {
        true => Ok(word.to_owned()),
        false => Err(bad_word("bind-propagation", word, HINT)),
    }
}

fn size(key: &str, text: &str) -> Result<i64, BadMount> {
    let bytes = super::bytes(text).ok().and_then(|bytes| i64::try_from(bytes).ok());
    bytes.ok_or_else(|| bad_word(key, text, "write a size like 64m"))
}

fn mode(key: &str, text: &str) -> Result<u32, BadMount> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| bad_word(key, text, "write permission bits in octal, like 1777"))
}

fn bad_word(key: &str, word: &str, hint: &'static str) -> BadMount {
    BadMount::Word { key: key.to_owned(), word: word.to_owned(), hint }
}

/// Refuses keys of another type than the mount's, wherever the type stands in the text.
fn check_keys(mount: &Mount, keys: &[String]) -> Result<(), BadMount> {
    for key in keys {
        let of = match key.split_once('-').map(|(of, _)| of) {
            Some("bind") => "bind",
            Some("volume") => "volume",
            Some("tmpfs") => "tmpfs",
            _ => continue,
        };
        if of != mount.kind {
            return Err(BadMount::OtherType { key: key.clone(), of, kind: mount.kind.clone() });
        }
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_default()
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_default()
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_options() {
        let bind = mount("type=bind,src=/srv,dst=/data,ro,bind-propagation=rslave").expect("valid");
        assert_eq!((bind.kind.as_str(), bind.source.as_str()), ("bind", "/srv"));
        assert_eq!(bind.target, "/data");
        assert!(bind.read_only);
        assert_eq!(bind.bind_options.expect("set").propagation, "rslave");

        let volume = mount(r#"source=pg,target=/d,volume-nocopy,"volume-label=a=b,c""#);
        let volume = volume.expect("a volume is the default");
        assert_eq!(volume.kind, "volume");
        let options = volume.volume_options.expect("set");
        assert!(options.no_copy);
        assert_eq!(options.labels["a"], "b,c");

        let tmpfs = mount("type=tmpfs,target=/tmp,tmpfs-size=64m,tmpfs-mode=1777").expect("valid");
        let expected = TmpfsOptions { size_bytes: 64 << 20, mode: 0o1777 };
        assert_eq!(tmpfs.tmpfs_options, Some(expected));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is about the folder of whoever types it")]
    fn a_path_with_a_dot_is_one_from_here() {
        let bound = mount("type=bind,source=./data,target=/d").expect("valid");
        let here = std::env::current_dir().expect("a directory");
        assert_eq!(bound.source, here.join("data").display().to_string());
    }

    #[test]
    fn nonsense_is_answered_with_what_to_write() {
        for (text, words) in [
            ("/srv:/data", "write type=bind,source=/srv,target=/data"),
            ("pgdata:/data:ro", "write type=volume,source=pgdata,target=/data"),
            ("", "write type=volume,source=pgdata,target=/data"),
            ("targt=/x", "did you mean target?"),
            ("zzz=1", "there are type, source"),
            ("type=bnd,target=/x", "did you mean bind?"),
            ("type=npipe,target=/x", "not supported yet"),
            ("type=,target=/x", "type has no value"),
            ("source=a", "target is missing"),
            ("target=", "target has no value"),
            ("type=bind,target=/x", "source is missing: write type=bind"),
            ("target=/x,readonly=maybe", "it is true or false"),
            ("type=bind,source=/a,target=/x,volume-nocopy", "belongs to type=volume"),
            ("volume-nocopy,target=/x,type=tmpfs", "and this is type=tmpfs"),
            ("type=tmpfs,target=/x,tmpfs-size=big", "64m"),
            ("type=tmpfs,target=/x,tmpfs-mode=999", "octal"),
            ("type=bind,source=/a,target=/x,bind-propagation=up", "rprivate"),
            ("type=bind,source=/a,target=/x,bind-recursive=writable", "not supported yet"),
            ("source=a,target=/x,volume-driver=nfs", "volume-driver=nfs is not supported yet"),
            ("source=a,target=/x,consistency=cached", "leave it out"),
            ("source=a,target=/x,volume-opt=type=nfs", "volume-opt is not supported yet"),
            ("\"source=a,target=/x", "quote"),
        ] {
            let error = mount(text).expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
