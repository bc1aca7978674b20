//! Whether an operator's profile of system calls can be a container's filter, asked before it is
//! stored: its form, its names, and that libseccomp makes a filter of it that the kernel takes.

use crate::oci::bundle::seccomp::profile::{BadProfile, Circumstances, Profile};
use crate::oci::bundle::seccomp::{knows, table};
use crate::oci::embedded::filter;

/// Names of system calls that are newer than a libseccomp of 2022, or that it keeps apart.
const NEWER: &str = "cachestat fchmodat2 file_getattr file_setattr futex_requeue futex_wait \
     futex_wake getxattrat listmount listxattrat lsm_get_self_attr lsm_list_modules \
     lsm_set_self_attr map_shadow_stack memfd_secret mseal open_tree_attr removexattrat \
     riscv_hwprobe rseq_slice_yield set_mempolicy_home_node setxattrat statmount uprobe uretprobe";

/// Checks a profile, and gives it without blanks.
pub fn check(text: &str) -> Result<String, BadProfile> {
    let profile = Profile::parse(text)?;
    if let Some(name) = profile.calls().find(|name| !is_call(name)) {
        let near = nearest(name).map(|near| format!("; did you mean {near}?"));
        return Err(BadProfile::UnknownCall(name.to_owned(), near.unwrap_or_default()));
    }
    for has in [false, true] {
        let resolved = profile.resolve(&Circumstances {
            has_capability: &|_| has,
            // What this node does not know another one may, and which one runs it is open.
            knows_call: &|name| knows(name) || !is_call(name),
            kernel: (u32::MAX, 0),
        });
        let resolved = match resolved {
            Err(BadProfile::CannotForbid(_)) => continue,
            resolved => resolved?,
        };
        filter::compile(&resolved).map_err(BadProfile::Compile)?;
    }
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| BadProfile::Form(error.to_string()))?;
    Ok(value.to_string())
}

fn is_call(name: &str) -> bool {
    knows(name) || listed().any(|known| known == name)
}

/// The calls that this program lists itself.
fn listed() -> impl Iterator<Item = &'static str> {
    let groups = table::ALWAYS.iter().copied().chain([table::X86, table::ARM, NEWER]);
    let more = table::WITH_CAPABILITY.iter().map(|(_, group)| *group);
    groups.chain(more).flat_map(str::split_whitespace)
}

/// The listed call that differs in one letter, or in the order of two.
fn nearest(name: &str) -> Option<&'static str> {
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let own = letters(name);
    listed().find(|known| {
        let shared = known.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
        let ends = known.chars().rev().zip(name.chars().rev()).take_while(|(a, b)| a == b).count();
        let length = known.len().max(name.len());
        let is_near = known.len().abs_diff(name.len()) <= 1 && shared + ends + 1 >= length;
        is_near || (letters(known) == own && shared + ends + 2 >= length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_is_listed_here_is_one() {
        let names: Vec<String> = listed().map(|name| format!("\"{name}\"")).collect();
        let text = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls":
                [{{"names": [{}], "action": "SCMP_ACT_ALLOW"}}]}}"#,
            names.join(", ")
        );
        let checked = check(&text).expect("it is one");
        assert!(checked.len() < text.len() && check(&checked).as_ref() == Ok(&checked));
    }

    #[test]
    fn a_name_that_is_no_call_is_refused_with_the_nearest() {
        for (name, near) in [
            ("opeen", "there is no system call opeen; did you mean open?;"),
            ("mkdri", "there is no system call mkdri; did you mean mkdir?;"),
            ("frobnicate", "there is no system call frobnicate; correct it"),
        ] {
            let text = format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{{"names": ["{name}"], "action": "SCMP_ACT_ERRNO"}}]}}"#
            );
            let said = check(&text).expect_err(name).to_string();
            assert!(said.contains(near), "{said}");
        }
    }

    #[test]
    fn every_action_and_comparison_makes_a_filter() {
        for action in ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "LOG"] {
            for op in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] {
                let text = format!(
                    r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["mkdirat"],
                        "action": "SCMP_ACT_{action}",
                        "args": [{{"index": 2, "value": 5, "valueTwo": 1, "op": "SCMP_CMP_{op}"}}]}}]}}"#
                );
                assert!(check(&text).is_ok(), "{action} {op}: {:?}", check(&text));
            }
        }
    }
}
