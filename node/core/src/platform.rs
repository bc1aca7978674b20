//! Platforms: what an image is built for, and which node runs such a build.
//!
//! The rule is Docker's: 64-bit ARM also runs 32-bit builds, ARM also runs builds of older
//! variants, and `x86_64` also runs builds of `386`. The rule never guesses: a node that does not
//! report its platform is not left out.

use crdt_state::spec::Platform;

use crate::view::NodeView;

/// The newest 32-bit variant of ARM: 64-bit ARM runs it as well.
const ARM_32_NEWEST: u32 = 8;

/// Can the node run one of the builds? An empty list means unknown: any node may run it.
pub fn runs_one_of(node: &NodeView, platforms: &[Platform]) -> bool {
    platforms.is_empty() || platforms.iter().any(|platform| runs(node, platform))
}

fn runs(node: &NodeView, platform: &Platform) -> bool {
    let same_os =
        platform.os.is_empty() || node.os.is_empty() || platform.os.eq_ignore_ascii_case(&node.os);
    same_os && (platform.arch.is_empty() || node.arch.is_empty() || runs_arch(node, platform))
}

fn runs_arch(node: &NodeView, platform: &Platform) -> bool {
    let build = go_arch(&platform.arch);
    match (go_arch(&node.arch), build) {
        // Docker knows `arm64` without a variant, and `v8`, which is the same.
        ("arm64", "arm64") => matches!(platform.variant.as_str(), "" | "v8"),
        ("arm64", "arm") => arm_variant(&platform.variant) <= ARM_32_NEWEST,
        ("arm", "arm") => arm_variant(&platform.variant) <= arm_of_node(&node.arch),
        // Every such processor runs `v1`; whether a node runs more is not known.
        ("amd64", "amd64") => matches!(platform.variant.as_str(), "" | "v1"),
        ("amd64", "386") => true,
        (here, build) => here == build,
    }
}

/// `v6` is 6; an ARM build without a variant is a build for `v7`, as in Docker.
fn arm_variant(variant: &str) -> u32 {
    match variant {
        "" => 7,
        variant => variant.trim_start_matches('v').parse().unwrap_or(u32::MAX),
    }
}

/// The ARM variant of a node: `armv6l` is 6.
fn arm_of_node(arch: &str) -> u32 {
    let digits: String =
        arch.trim_start_matches("arm").trim_start_matches('v').chars().take(1).collect();
    digits.parse().unwrap_or(7)
}

/// The architecture in Go's names, which images use, from the kernel's names, which nodes use.
fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i586" | "i686" => "386",
        "armhf" | "armel" => "arm",
        arch if arch.starts_with("armv") => "arm",
        arch => arch,
    }
}

/// How the architecture of a node is shown: `armv7`, `arm64`, `amd64`.
pub fn node_word(arch: &str) -> String {
    match go_arch(arch) {
        "arm" => format!("armv{}", arm_of_node(arch)),
        other => other.to_owned(),
    }
}

/// How builds are shown: `amd64, armv7`.
pub fn build_words(platforms: &[Platform]) -> String {
    let word = |platform: &Platform| match platform.os.as_str() {
        "" | "linux" => format!("{}{}", go_arch(&platform.arch), platform.variant),
        os => format!("{os}/{}{}", go_arch(&platform.arch), platform.variant),
    };
    let mut words: Vec<String> = platforms.iter().map(word).collect();
    words.sort();
    words.dedup();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::NodeId;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        Platform {
            os: "linux".to_owned(),
            arch: parts.next().unwrap_or_default(),
            variant: parts.next().unwrap_or_default(),
        }
    }

    fn node(arch: &str) -> NodeView {
        NodeView { os: "linux".to_owned(), arch: arch.to_owned(), ..NodeView::new(NodeId([1; 16])) }
    }

    #[test]
    fn a_node_runs_what_docker_would_choose_for_it() {
        for (arch, builds) in [
            ("x86_64", &["amd64", "amd64/v1", "386"][..]),
            ("aarch64", &["arm64", "arm64/v8", "arm/v7", "arm/v6", "arm/v5", "arm"]),
            ("armv7l", &["arm/v7", "arm/v6", "arm/v5", "arm"]),
            ("armv6l", &["arm/v6", "arm/v5"]),
            ("i686", &["386"]),
            ("riscv64", &["riscv64"]),
        ] {
            for build in ["amd64", "amd64/v1", "amd64/v3", "386", "arm64", "arm64/v8", "arm64/v9"]
                .iter()
                .chain(&["arm", "arm/v5", "arm/v6", "arm/v7", "riscv64", "unknown"])
            {
                let expected = builds.contains(build);
                assert_eq!(runs(&node(arch), &platform(build)), expected, "{build} on {arch}");
            }
        }
    }

    #[test]
    fn what_is_not_known_leaves_no_node_out() {
        let any_arch = Platform { arch: String::new(), ..platform("amd64") };
        assert!(runs(&node("armv7l"), &any_arch));
        assert!(runs(&node(""), &platform("s390x")));
        assert!(runs_one_of(&node("armv7l"), &[]));
        let windows = Platform { os: "windows".to_owned(), ..platform("amd64") };
        assert!(!runs(&node("x86_64"), &windows));
    }

    #[test]
    fn platforms_have_short_words() {
        assert_eq!(node_word("armv7l"), "armv7");
        assert_eq!(node_word("aarch64"), "arm64");
        let builds = [platform("arm64/v8"), platform("amd64"), platform("amd64")];
        assert_eq!(build_words(&builds), "amd64, arm64v8");
    }
}
