//! Which rules of a profile hold, and what is none.

use super::*;

const BASE: &str = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "comment": "x",
    "archMap": [
        {"architecture": "SCMP_ARCH_LOONGARCH64", "subArchitectures": null},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
    "syscalls": [
        {"names": ["read", "newest"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]},
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["s390_runtime_instr"], "action": "SCMP_ACT_ALLOW",
         "includes": {"arches": ["s390", "s390x"]}},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
            {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
        {"name": "kill", "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}"#;

fn resolved(text: &str, capability: &str, kernel: (u32, u32)) -> Result<LinuxSeccomp, BadProfile> {
    Profile::parse(text)?.resolve(&Circumstances {
        has_capability: &|name| name == capability,
        knows_call: &|name| name != "newest",
        kernel,
    })
}

fn names(filter: &LinuxSeccomp) -> Vec<&str> {
    let calls = filter.syscalls().iter().flatten();
    calls.flat_map(|call| call.names()).map(String::as_str).collect()
}

#[test]
fn rules_hold_where_docker_says() {
    let plain = resolved(BASE, "", (6, 1)).expect("it is one");
    assert_eq!(names(&plain), ["read", "clone", "ptrace", "socket", "socket"]);
    let admin = resolved(BASE, "SYS_ADMIN", (4, 7)).expect("it is one");
    assert_eq!(names(&admin), ["read", "mount", "socket", "socket"]);
    assert_eq!(plain.default_errno_ret(), Some(1));
    assert_eq!(plain.architectures().as_ref().map(Vec::len), Some(2));
    let clone = &plain.syscalls().as_ref().expect("some")[1];
    let arg = &clone.args().as_ref().expect("one")[0];
    assert_eq!((arg.value(), arg.value_two()), (2_114_060_288, Some(0)));
}

#[test]
fn what_could_not_be_forbidden_is_no_filter() {
    let of = |default: &str, action: &str| {
        let text = format!(
            r#"{{"defaultAction": "{default}",
                "syscalls": [{{"names": ["newest"], "action": "{action}"}}]}}"#
        );
        resolved(&text, "", (6, 1))
    };
    let refused = of("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO").expect_err("it would be allowed");
    assert_eq!(refused, BadProfile::CannotForbid("newest".to_owned()));
    assert!(of("SCMP_ACT_LOG", "SCMP_ACT_KILL").is_err());
    assert!(of("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW").is_ok(), "it stays denied");
}

#[test]
fn what_is_no_profile_is_told() {
    for (text, words) in [
        ("", "EOF while parsing"),
        ("{", "line 1"),
        ("{}", "missing field `defaultAction`"),
        (r#"{"defaultAction": "SCMP_ACT_NOPE"}"#, "unknown variant `SCMP_ACT_NOPE`"),
        (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "needs a supervisor"),
        (r#"{"defaultAction": "SCMP_ACT_ALLOW", "sycalls": []}"#, "unknown field `sycalls`"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_KILL"}]}"#,
            "rule 1 of `syscalls` has no `names`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
                "archMap": [{"architecture": "SCMP_ARCH_X86"}]}"#,
            "leave one of them out",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read",
                "action": "SCMP_ACT_KILL", "includes": {"minKernel": "new"}}]}"#,
            "write it like \"4.8\"",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "read",
                "action": "SCMP_ACT_KILL", "args": [
                {"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
            "the arguments 0 to 5",
        ),
    ] {
        let said = Profile::parse(text).expect_err(text).to_string();
        assert!(said.contains(words), "{text}: {said}");
    }
}
