//! Limits of configs and secrets, of the files that services make of them, and of wrapped keys.

use super::{Bounded, NAME_CHARS_MAX, Unfit, at_most, number, read};
use crate::file::{FileClass, FilePart, FileSpec, FileUse, PART_BYTES, TemplateFile};
use crate::record::OwnedRecord;
use crate::secret::{RECIPIENTS_MAX, SecretKeys};
use crate::spec::{Extension, Life};

/// Characters of a config's or secret's name: Docker's, one more than a service has.
pub const FILE_NAME_CHARS_MAX: usize = NAME_CHARS_MAX + 1;

/// Files that one service makes of configs and secrets, together.
pub const FILES_MAX: usize = 100;

/// Bytes of their names and targets: with 35 bytes more for each file this is 11.7 KB, and those of
/// two earlier templates fit into one value beside 32 KB of the other properties.
const FILE_TEXT_BYTES_MAX: usize = 8 * 1024;

/// The letters are checked by whoever creates a file.
pub(super) fn check_name(life: &Life) -> Result<(), Unfit> {
    let Life::Present { name, .. } = life else { return Ok(()) };
    at_most("the length of the name", name.len(), FILE_NAME_CHARS_MAX)
}

pub(super) fn check_spec(class: FileClass, value: &[u8]) -> Result<(), Unfit> {
    check_size(class, &read(words(class).0, value)?)
}

pub(super) fn check_template(class: FileClass, value: &[u8]) -> Result<(), Unfit> {
    let file: TemplateFile = read(words(class).0, value)?;
    check_size(class, &file.spec)
}

/// What it is called, and that it has no data.
fn words(class: FileClass) -> (&'static str, &'static str) {
    match class {
        FileClass::Config => ("the config", "a config without data"),
        FileClass::Secret => ("the secret", "a secret without data"),
    }
}

fn check_size(class: FileClass, spec: &FileSpec) -> Result<(), Unfit> {
    let (_, none) = words(class);
    if spec.bytes == 0 {
        return Err(Unfit::NoSuch(none));
    }
    number("the length of the data", u64::from(spec.bytes), class.stored_bytes_max() as u64)
}

impl Bounded for FilePart {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the length of a part of the data", self.data.len(), PART_BYTES)
    }
}

/// Checks the files that a template has of configs and of secrets.
pub(super) fn check_files(extension: &Extension) -> Result<(), Unfit> {
    let Extension { configs, secrets, .. } = extension;
    at_most("the number of configs and secrets", configs.len() + secrets.len(), FILES_MAX)?;
    let bytes = text_bytes(configs) + text_bytes(secrets);
    at_most(
        "the length of the configs' and secrets' names and targets",
        bytes,
        FILE_TEXT_BYTES_MAX,
    )?;
    let modes = configs.iter().map(|file| file.mode).chain(secrets.iter().map(|file| file.mode));
    modes.into_iter().try_for_each(|mode| number("the mode of a file", u64::from(mode), 0o7777))
}

fn text_bytes<I>(files: &[FileUse<I>]) -> usize {
    files.iter().map(|file| file.name.len() + file.target.len()).sum()
}

/// Is the record of the node and the secret that it speaks of?
pub(super) fn check_keys(record: &OwnedRecord, value: &[u8]) -> Result<(), Unfit> {
    let said: SecretKeys = read("the keys of a secret", value)?;
    let is_its_own = said.node == record.owner() && record.subject == said.secret.0;
    if !is_its_own {
        return Err(Unfit::Misfiled);
    }
    at_most("the number of nodes with a key", said.recipients().count(), RECIPIENTS_MAX)
}
