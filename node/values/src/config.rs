//! `--config` and `--secret`: a config or secret by its name, or in the long form
//! `source=app.conf,target=/etc/app.conf,uid=1000,gid=1000,mode=0440`.

use super::csv::{self, BadQuote};
use super::nearest;
use node_docker::config::{ConfigReference, FileTarget, SecretReference};

const KEYS: [&str; 5] = ["source", "target", "uid", "gid", "mode"];
/// Docker's permissions of a file that is given none.
const MODE: u32 = 0o444;

/// Why a text is no use of a config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConfigFile {
    /// Nothing, or no `source=`.
    #[error(
        "the name of the config is missing: write app.conf, or source=app.conf,target=/etc/app.conf"
    )]
    NoSource,
    /// The same of a secret.
    #[error(
        "the name of the secret is missing: write key, or source=key,target=/etc/key,mode=0400"
    )]
    NoSecret,
    /// `target=` or `target`.
    #[error("{0} has no value: write it like {0}=VALUE")]
    NoValue(String),
    /// `uid=root`.
    #[error("{key}={value} is no number: write that of the user or group, like {key}=1000")]
    Owner {
        /// `uid` or `gid`.
        key: String,
        /// As typed.
        value: String,
    },
    /// `mode=440`: Docker would read it as a decimal number.
    #[error("mode={0} is no octal number: begin it with 0, like mode=0440")]
    Mode(String),
    /// `tarket=/a`.
    #[error("unknown key {key:?}: {hint}")]
    Key {
        /// As typed.
        key: String,
        /// The nearest, or all of them.
        hint: String,
    },
    /// A quote that stands alone.
    #[error(transparent)]
    Quote(#[from] BadQuote),
}

/// Reads the use of a config. Does it exist? The agent knows.
pub fn config(text: &str) -> Result<ConfigReference, BadConfigFile> {
    let (uid, gid) = ("0".to_owned(), "0".to_owned());
    let mut file = FileTarget { name: String::new(), uid, gid, mode: MODE };
    let mut name = String::new();
    if text.contains(['=', ',']) {
        for field in csv::fields(text)? {
            read_field(&mut name, &mut file, &field)?;
        }
    } else {
        text.trim().clone_into(&mut name);
    }
    if name.is_empty() {
        return Err(BadConfigFile::NoSource);
    }
    if file.name.is_empty() {
        file.name.clone_from(&name);
    }
    // The agent looks its id up.
    Ok(ConfigReference { file: Some(file), config_id: String::new(), config_name: name })
}

/// Reads the use of a secret: in the same form, and its target is below `/run/secrets`.
pub fn secret(text: &str) -> Result<SecretReference, BadConfigFile> {
    match config(text) {
        Ok(read) => Ok(read.into()),
        Err(BadConfigFile::NoSource) => Err(BadConfigFile::NoSecret),
        Err(bad) => Err(bad),
    }
}

fn read_field(name: &mut String, file: &mut FileTarget, field: &str) -> Result<(), BadConfigFile> {
    let (key, value) = field.split_once('=').unwrap_or((field, ""));
    let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
    let is_known = KEYS.contains(&key.as_str()) || key == "src";
    if is_known && value.is_empty() {
        return Err(BadConfigFile::NoValue(key));
    }
    match key.as_str() {
        "source" | "src" => *name = value,
        "target" => file.name = value,
        "uid" | "gid" if value.parse::<u32>().is_err() => {
            return Err(BadConfigFile::Owner { key, value });
        }
        "uid" => file.uid = value,
        "gid" => file.gid = value,
        "mode" => file.mode = mode(&value).ok_or(BadConfigFile::Mode(value))?,
        _ => {
            let hint = match nearest(&key, KEYS.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", KEYS.join(", ")),
            };
            return Err(BadConfigFile::Key { key, hint });
        }
    }
    Ok(())
}

fn mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('0')?;
    let digits = digits.strip_prefix(['o', 'O']).unwrap_or(digits);
    let is_octal = digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    if digits.is_empty() {
        Some(0)
    } else {
        u32::from_str_radix(digits, 8).ok().filter(|_| is_octal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match config(text) {
            Ok(read) => {
                let file = read.file.expect("a file");
                let FileTarget { name, uid, gid, mode } = file;
                format!("{} {name} {uid} {gid} {mode:o}", read.config_name)
            }
            Err(bad) => bad.to_string(),
        }
    }

    #[test]
    fn all_of_docker_s_forms_are_read() {
        for (text, expected) in [
            ("app.conf", "app.conf app.conf 0 0 444"),
            ("source=a", "a a 0 0 444"),
            ("src=a,target=/etc/a", "a /etc/a 0 0 444"),
            ("source=a,target=/etc/a,uid=7,gid=8,mode=0440", "a /etc/a 7 8 440"),
            ("source=a,mode=0o600", "a a 0 0 600"),
            (r#"source=a,"target=/etc/a,b""#, "a /etc/a,b 0 0 444"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_one_that_is() {
        for (text, words) in [
            ("", "the name of the config is missing"),
            ("target=/a", "the name of the config is missing"),
            ("source=a,target=", "target has no value"),
            ("source=a,uid=root", "uid=root is no number"),
            ("source=a,mode=440", "begin it with 0, like mode=0440"),
            ("source=a,mode=0980", "mode=0980 is no octal number"),
            ("source=a,tarket=/a", "did you mean target?"),
        ] {
            assert!(read(text).contains(words), "{text}: {}", read(text));
        }
        let said = secret("").expect_err("no name").to_string();
        assert!(said.contains("the name of the secret is missing"), "{said}");
    }
}
