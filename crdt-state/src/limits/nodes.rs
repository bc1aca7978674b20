//! Limits of what a node says of itself.

use super::{ADDRESSES_MAX, Bounded, Unfit, WORD_BYTES_MAX, at_most};
use crate::node::NodeDescription;

impl Bounded for NodeDescription {
    fn check(&self) -> Result<(), Unfit> {
        for word in [&self.hostname, &self.os, &self.arch, &self.engine_version] {
            at_most("the length of a word", word.len(), WORD_BYTES_MAX)?;
        }
        at_most("the number of addresses", self.addresses.len(), ADDRESSES_MAX)?;
        for address in &self.addresses {
            at_most("the length of an address", address.len(), WORD_BYTES_MAX)?;
        }
        self.resources.check()
    }
}
