//! Which devices a node looks for and offers by itself.

use std::collections::BTreeSet;

/// A kind of devices; its word is the kind of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// Serial adapters on USB.
    Serial,
    /// Cameras on USB.
    Camera,
    /// GPUs that compute without a screen.
    Gpu,
}

impl DeviceKind {
    /// All of them.
    pub const ALL: [DeviceKind; 3] = [DeviceKind::Serial, DeviceKind::Camera, DeviceKind::Gpu];

    /// `serial`.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceKind::Serial => "serial",
            DeviceKind::Camera => "camera",
            DeviceKind::Gpu => "gpu",
        }
    }
}

/// Reads a list; or returns the word that is no kind.
pub(super) fn read(words: &[String]) -> Result<BTreeSet<DeviceKind>, &str> {
    let kind = |word: &str| DeviceKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    words.iter().map(|word| kind(word).ok_or(word.as_str())).collect()
}
