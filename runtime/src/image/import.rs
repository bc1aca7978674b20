//! Makes an image from the tar of a root file system, as `docker import` does.
//!
//! The tar becomes the only layer and is kept as it is, compressed or not. A compression that
//! layers may not have (xz, bzip2) is removed. Changes are lines of a Dockerfile, of the
//! instructions that change the configuration alone.

mod commit;

use std::io::Read;

use crdt_state::spec::Platform;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::archive::{junk, spool};
use super::blob::CHUNK;
use super::digest::Digest;
use super::error::ImageError;
use super::manifest::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use super::names::Origin;
use super::reference::Reference;
use super::{Images, unpack};
use crate::tar_entries::Entries;

pub use commit::Commit;

const KNOWN: &str = "use CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, STOPSIGNAL, USER, \
                     VOLUME or WORKDIR, and what follows it in a Dockerfile";

/// What the image is besides its files.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Lines of a Dockerfile.
    pub changes: Vec<String>,
    /// What it is called; none is none.
    pub name: Option<Reference>,
    /// What its programs are built for; none is this node.
    pub platform: Option<Platform>,
    /// Said in its history.
    pub message: String,
    /// When it was made, RFC 3339; none makes the same image whenever it is made.
    pub created: Option<String>,
}

impl Images {
    /// Makes an image of a tar, and returns the digest of its manifest.
    pub fn import(&self, stream: impl Read + Send, import: &Import) -> Result<Digest, ImageError> {
        let config = changed(&import.changes)?;
        let mut stream = unpack::storable(stream).map_err(|error| junk(error.into()))?;
        let (layer, size) = spool(self, &mut stream)?;
        let diff_id = self.diff_id(&layer)?;
        let platform = import.platform.as_ref().unwrap_or(self.platform());
        let mut document = json!({
            "architecture": platform.arch, "os": platform.os, "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"comment": import.message, "created_by": "edgectl image import"}],
        });
        if !platform.variant.is_empty() {
            document["variant"] = json!(platform.variant);
        }
        if let Some(created) = &import.created {
            document["created"] = json!(created);
            document["history"][0]["created"] = json!(created);
        }
        let config = serde_json::to_vec(&document).expect("it has a form in JSON");
        let media_type = format!("{OCI_LAYER}{}", self.compression(&layer)?.suffix());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": OCI_CONFIG, "digest": self.keep(&config)?, "size": config.len(),
            },
            "layers": [{"mediaType": media_type, "digest": layer, "size": size}],
        });
        let digest = self.keep(&serde_json::to_vec(&manifest).expect("it has a form in JSON"))?;
        match import.name.clone().map(Reference::with_default_tag) {
            Some(name) => self.set_name(&name, &digest, Origin::Loaded)?,
            None => self.set_nameless(&digest, Origin::Loaded)?,
        }
        Ok(digest)
    }

    /// The digest of the tar in a blob, which must be one.
    fn diff_id(&self, layer: &Digest) -> Result<Digest, ImageError> {
        let missing = || ImageError::Unknown(layer.to_string());
        let blob = self.read_blob(layer).ok_or_else(missing)?;
        let stream = unpack::decompressed(blob).map_err(|error| junk(error.into()))?;
        let mut hashing = Hashing { stream, hasher: Sha256::new() };
        let mut entries = Entries::new(&mut hashing);
        while entries.next().map_err(junk)?.is_some() {}
        entries.finish().map_err(junk)?;
        Ok(Digest::finish(hashing.hasher))
    }
}

struct Hashing<R> {
    stream: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wanted = buffer.len().min(CHUNK);
        let count = self.stream.read(&mut buffer[..wanted])?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// The configuration that lines of a Dockerfile make.
fn changed(changes: &[String]) -> Result<Value, ImageError> {
    let mut config = Map::new();
    for change in changes {
        let bad = |hint: &str| ImageError::Change { change: change.clone(), hint: hint.to_owned() };
        let (word, rest) = change.trim().split_once(char::is_whitespace).unwrap_or((change, ""));
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(bad(KNOWN));
        }
        match word.to_ascii_uppercase().as_str() {
            "CMD" => drop(config.insert("Cmd".to_owned(), command(rest))),
            "ENTRYPOINT" => drop(config.insert("Entrypoint".to_owned(), command(rest))),
            "USER" => drop(config.insert("User".to_owned(), json!(rest))),
            "WORKDIR" if rest.starts_with('/') => {
                config.insert("WorkingDir".to_owned(), json!(rest));
            }
            "WORKDIR" => return Err(bad("the folder must begin with /")),
            "STOPSIGNAL" => drop(config.insert("StopSignal".to_owned(), json!(rest))),
            "ENV" => {
                for (name, value) in pairs(rest).ok_or_else(|| bad("write NAME=value"))? {
                    set_variable(&mut config, &name, &value);
                }
            }
            "LABEL" => {
                for (name, value) in pairs(rest).ok_or_else(|| bad("write NAME=value"))? {
                    object(&mut config, "Labels").insert(name, json!(value));
                }
            }
            "EXPOSE" => {
                for port in rest.split_whitespace() {
                    let port = exposed(port).ok_or_else(|| bad("write 80, 53/udp or 53/tcp"))?;
                    object(&mut config, "ExposedPorts").insert(port, json!({}));
                }
            }
            "VOLUME" => {
                for path in words(rest) {
                    object(&mut config, "Volumes").insert(path, json!({}));
                }
            }
            "HEALTHCHECK" => {
                let test = health(rest).ok_or_else(|| bad("write NONE, or CMD and the command"))?;
                config.insert("Healthcheck".to_owned(), json!({"Test": test}));
            }
            _ => return Err(bad(KNOWN)),
        }
    }
    Ok(Value::Object(config))
}

/// A list in JSON as it is, anything else by way of a shell.
fn command(rest: &str) -> Value {
    match serde_json::from_str::<Vec<String>>(rest) {
        Ok(words) => json!(words),
        Err(_) => json!(["/bin/sh", "-c", rest]),
    }
}

fn health(rest: &str) -> Option<Vec<String>> {
    if rest.eq_ignore_ascii_case("NONE") {
        return Some(vec!["NONE".to_owned()]);
    }
    let command = rest.strip_prefix("CMD")?.trim();
    let listed = serde_json::from_str::<Vec<String>>(command);
    let shell = || vec!["CMD-SHELL".to_owned(), command.to_owned()];
    Some(listed.map_or_else(|_| shell(), |words| [vec!["CMD".to_owned()], words].concat()))
}

/// A list in JSON, or words.
fn words(rest: &str) -> Vec<String> {
    serde_json::from_str(rest)
        .unwrap_or_else(|_| rest.split_whitespace().map(str::to_owned).collect())
}

/// `A=1 B="two words"`, or the old form `A everything else`.
fn pairs(rest: &str) -> Option<Vec<(String, String)>> {
    let first = rest.split_whitespace().next()?;
    if !first.contains('=') {
        let (name, value) = rest.split_once(char::is_whitespace)?;
        return Some(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut escaped = false;
    for c in rest.chars() {
        let word = words.last_mut().expect("there is one");
        match c {
            c if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            c if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            c if c.is_whitespace() && quote.is_none() => words.push(String::new()),
            c => word.push(c),
        }
    }
    let pair = |word: &String| {
        let (name, value) = word.split_once('=')?;
        (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
    };
    words.iter().filter(|word| !word.is_empty()).map(pair).collect()
}

fn set_variable(config: &mut Map<String, Value>, name: &str, value: &str) {
    let entry = config.entry("Env").or_insert_with(|| json!([]));
    let Value::Array(variables) = entry else { return };
    let prefix = format!("{name}=");
    variables.retain(|known| !known.as_str().is_some_and(|known| known.starts_with(&prefix)));
    variables.push(json!(format!("{prefix}{value}")));
}

fn object<'a>(config: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let entry = config.entry(key).or_insert_with(|| json!({}));
    entry.as_object_mut().expect("only objects are put there")
}

fn exposed(port: &str) -> Option<String> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    number.parse::<u16>().ok().filter(|number| *number > 0)?;
    matches!(protocol, "tcp" | "udp" | "sctp").then(|| format!("{number}/{protocol}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(changes: &[&str]) -> Result<Value, ImageError> {
        changed(&changes.iter().map(|change| (*change).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn lines_of_a_dockerfile_become_a_configuration() {
        let made = config(&[
            r#"CMD ["nginx", "-g", "daemon off;"]"#,
            "ENTRYPOINT /start now",
            r#"ENV A=1 B="two words""#,
            "ENV A three",
            "expose 80 53/udp",
            "VOLUME /data",
            "WORKDIR /srv",
            "USER 1000:1000",
            "HEALTHCHECK CMD /check",
        ]);
        let expected = json!({
            "Cmd": ["nginx", "-g", "daemon off;"],
            "Entrypoint": ["/bin/sh", "-c", "/start now"],
            "Env": ["B=two words", "A=three"],
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "Volumes": {"/data": {}},
            "WorkingDir": "/srv",
            "User": "1000:1000",
            "Healthcheck": {"Test": ["CMD-SHELL", "/check"]},
        });
        assert_eq!(made.expect("they are sound"), expected);
    }

    #[test]
    fn a_change_that_is_none_says_what_would_be_one() {
        for (change, hint) in [
            ("RUN make", "use CMD"),
            ("CMD", "use CMD"),
            ("EXPOSE http", "53/udp"),
            ("ENV A", "NAME=value"),
            ("WORKDIR srv", "begin with /"),
            ("HEALTHCHECK /check", "NONE"),
        ] {
            let error = config(&[change]).expect_err(change).to_string();
            assert!(error.contains(change) && error.contains(hint), "{error}");
        }
    }
}
