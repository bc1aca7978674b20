//! Limits of clients' certificates.

use super::{Unfit, at_most};
use crate::spec::Life;

/// Characters of a client's name: it is a label of a name in its certificate.
pub const CLIENT_NAME_CHARS_MAX: usize = 63;

/// The letters are checked by whoever makes a certificate.
pub(super) fn check_name(life: &Life) -> Result<(), Unfit> {
    let Life::Present { name, .. } = life else { return Ok(()) };
    at_most("the length of the name", name.len(), CLIENT_NAME_CHARS_MAX)
}
