//! The platforms whose builds a machine runs, best first, by Docker's rule.
//!
//! The planner has the same rule without the order (`node-core`, `platform.rs`): for every task
//! that it places on this node, a build is found here.

use crdt_state::spec::Platform;

/// A build of another architecture that the machine also runs comes after all of its own.
const FOREIGN: u8 = 100;

/// This machine, in the words of images: `linux/arm/v7`.
pub fn this_node() -> Platform {
    let machine = nix::sys::utsname::uname()
        .map(|names| names.machine().to_string_lossy().into_owned())
        .unwrap_or_default();
    of_machine(&machine)
}

/// The kernel's name of a machine in the words of images.
pub fn of_machine(machine: &str) -> Platform {
    let (arch, variant) = match machine {
        "x86_64" => ("amd64", ""),
        "aarch64" => ("arm64", "v8"),
        "i386" | "i586" | "i686" => ("386", ""),
        // A 32-bit system on a 64-bit processor.
        "armv8l" | "armv7l" => ("arm", "v7"),
        "armv6l" => ("arm", "v6"),
        "armv5tel" | "armv5tejl" => ("arm", "v5"),
        other => (other, ""),
    };
    Platform { os: "linux".to_owned(), arch: arch.to_owned(), variant: variant.to_owned() }
}

/// How near a build is to what the node is; 0 is its own, `None` cannot run.
pub fn rank(node: &Platform, build: &Platform) -> Option<u8> {
    if node.os != build.os {
        return None;
    }
    match (node.arch.as_str(), build.arch.as_str()) {
        ("arm", "arm") => arm(&node.variant).checked_sub(arm(&build.variant)),
        ("arm64", "arm64") => matches!(build.variant.as_str(), "" | "v8").then_some(0),
        ("arm64", "arm") => 8_u8.checked_sub(arm(&build.variant)).map(|older| FOREIGN + older),
        ("amd64", "amd64") => matches!(build.variant.as_str(), "" | "v1").then_some(0),
        ("amd64", "386") => Some(FOREIGN),
        (here, there) => (here == there).then_some(0),
    }
}

/// A build for ARM that does not say for which is one for the seventh.
fn arm(variant: &str) -> u8 {
    match variant {
        "" => 7,
        variant => variant.trim_start_matches('v').parse().unwrap_or(u8::MAX),
    }
}

/// `linux/arm/v7`.
pub fn word(platform: &Platform) -> String {
    match platform.variant.as_str() {
        "" => format!("{}/{}", platform.os, platform.arch),
        variant => format!("{}/{}/{variant}", platform.os, platform.arch),
    }
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no platform: write it as linux/amd64, linux/arm64 or linux/arm/v7")]
pub struct BadPlatform(String);

/// The platform that [`word`] writes.
pub fn parse(text: &str) -> Result<Platform, BadPlatform> {
    let legal = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        [os, arch] | [os, arch, _] if parts.iter().all(|part| legal(part)) => Ok(Platform {
            os: os.to_owned(),
            arch: arch.to_owned(),
            variant: parts.get(2).copied().unwrap_or_default().to_owned(),
        }),
        _ => Err(BadPlatform(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_read_as_it_is_written() {
        for text in ["linux/amd64", "linux/arm/v7", "linux/s390x"] {
            assert_eq!(parse(text).map(|platform| word(&platform)).as_deref(), Ok(text));
        }
        for text in ["", "amd64", "linux/", "linux//v7", "linux/arm/v7/x", "Linux/amd64"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_older_arm_never_takes_a_newer_build() {
        let build = |variant: &str| Platform {
            os: "linux".to_owned(),
            arch: "arm".to_owned(),
            variant: variant.to_owned(),
        };
        assert_eq!(rank(&of_machine("armv6l"), &build("v7")), None);
        assert_eq!(rank(&of_machine("armv6l"), &build("")), None);
        assert_eq!(rank(&of_machine("armv7l"), &build("v5")), Some(2));
        assert_eq!(rank(&of_machine("aarch64"), &build("v7")), Some(101));
        assert_eq!(rank(&of_machine("x86_64"), &build("v7")), None);
    }
}
