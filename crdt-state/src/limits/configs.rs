//! Limits of configs, and of the files that services make of them.

use super::{Bounded, NAME_CHARS_MAX, Unfit, at_most, number};
use crate::config::{CONFIG_BYTES_MAX, ConfigFile, ConfigPart, ConfigSpec, PART_BYTES};
use crate::spec::Life;

/// Characters of a config's name: Docker's, one more than a service has.
pub const CONFIG_NAME_CHARS_MAX: usize = NAME_CHARS_MAX + 1;

/// Files that one service makes of configs.
pub const CONFIG_FILES_MAX: usize = 100;

/// Bytes of their names and targets: with 35 bytes more for each file this is 11.7 KB, and those of
/// two earlier templates fit into one value beside 32 KB of the other properties.
const CONFIG_TEXT_BYTES_MAX: usize = 8 * 1024;

/// The letters are checked by whoever creates a config.
pub(super) fn check_name(life: &Life) -> Result<(), Unfit> {
    let Life::Present { name, .. } = life else { return Ok(()) };
    at_most("the length of the name", name.len(), CONFIG_NAME_CHARS_MAX)
}

impl Bounded for ConfigSpec {
    fn check(&self) -> Result<(), Unfit> {
        if self.bytes == 0 {
            return Err(Unfit::NoSuch("a config without data"));
        }
        number("the length of the data", u64::from(self.bytes), CONFIG_BYTES_MAX as u64)
    }
}

impl Bounded for ConfigPart {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the length of a part of the data", self.data.len(), PART_BYTES)
    }
}

impl Bounded for [ConfigFile] {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of configs", self.len(), CONFIG_FILES_MAX)?;
        let bytes = self.iter().map(|file| file.name.len() + file.target.len()).sum();
        at_most("the length of the configs' names and targets", bytes, CONFIG_TEXT_BYTES_MAX)?;
        for file in self {
            number("the mode of a config", u64::from(file.mode), 0o7777)?;
        }
        Ok(())
    }
}
