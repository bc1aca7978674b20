//! `--network`: a network by name or id, or in the long form `name=back,alias=db,driver-opt=a=b`.

use super::csv::{self, BadQuote};
use super::nearest;
use node_docker::task_spec::NetworkAttachment;

const KEYS: [&str; 3] = ["name", "alias", "driver-opt"];
/// Keys of Docker's that only single containers have.
const KEYS_OF_CONTAINERS: [&str; 5] = ["ip", "ip6", "mac-address", "link-local-ip", "gw-priority"];

/// Why a text is no network to attach to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAttachment {
    /// Nothing, or no `name=`.
    #[error("the name of the network is missing: write back, or name=back,alias=db")]
    NoName,
    /// `name=` twice.
    #[error("{0} and {1} are two networks: give --network once for each")]
    TwoNames(String, String),
    /// `alias=`.
    #[error("{0} has no value: write it like {0}=VALUE")]
    NoValue(String),
    /// `driver-opt=mtu`.
    #[error("{0:?} is no option of a driver: write it like driver-opt=NAME=VALUE")]
    DriverOption(String),
    /// `ip=10.0.0.9`.
    #[error("{0} is for a single container: tasks get their addresses by themselves, leave it out")]
    OfContainers(String),
    /// `aliass=db`.
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

/// Reads a network. Does it exist? The agent knows.
pub fn attachment(text: &str) -> Result<NetworkAttachment, BadAttachment> {
    let mut read = NetworkAttachment::default();
    if !text.contains('=') {
        text.trim().clone_into(&mut read.target);
    } else {
        for field in csv::fields(text)? {
            read_field(&mut read, &field)?;
        }
    }
    if read.target.is_empty() { Err(BadAttachment::NoName) } else { Ok(read) }
}

fn read_field(read: &mut NetworkAttachment, field: &str) -> Result<(), BadAttachment> {
    let (key, value) = field.split_once('=').unwrap_or((field, ""));
    let (key, value) = (key.trim().to_lowercase(), value.trim());
    if KEYS_OF_CONTAINERS.contains(&key.as_str()) {
        return Err(BadAttachment::OfContainers(key));
    }
    if !KEYS.contains(&key.as_str()) {
        let hint = match nearest(&key, KEYS) {
            Some(near) => format!("did you mean {near}?"),
            None => KEYS.join(", "),
        };
        return Err(BadAttachment::Key { key, hint });
    }
    if value.is_empty() {
        return Err(BadAttachment::NoValue(key));
    }
    match key.as_str() {
        "name" if read.target.is_empty() => value.clone_into(&mut read.target),
        "name" => return Err(BadAttachment::TwoNames(read.target.clone(), value.to_owned())),
        "alias" => read.aliases.push(value.to_owned()),
        _ => {
            let bad = || BadAttachment::DriverOption(value.to_owned());
            let (name, value) = value.split_once('=').ok_or_else(bad)?;
            read.driver_opts.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let short = attachment("back").expect("a name");
        assert_eq!((short.target.as_str(), short.aliases.len()), ("back", 0));
        let long = attachment("name=back,alias=db,alias=store,driver-opt=a=b").expect("valid");
        assert_eq!(
            (long.target.as_str(), long.aliases),
            ("back", vec!["db".into(), "store".into()])
        );
        assert_eq!(long.driver_opts["a"], "b");
    }

    #[test]
    fn nonsense_is_answered_with_what_to_write() {
        for (text, words) in [
            ("", "write back, or name=back,alias=db"),
            ("alias=db", "write back, or name=back,alias=db"),
            ("name=a,name=b", "a and b are two networks"),
            ("name=a,alias=", "alias=VALUE"),
            ("name=a,alas=db", "did you mean alias?"),
            ("name=a,zebra=1", "name, alias, driver-opt"),
            ("name=a,ip=10.0.0.9", "leave it out"),
            ("name=a,driver-opt=b", "driver-opt=NAME=VALUE"),
            ("name=\"a", "quote"),
        ] {
            let error = attachment(text).expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
