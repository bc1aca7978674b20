//! The meaning of an OCI runtime's error message that is about the program: the same error for
//! every runtime, and whether trying again can help.

use std::path::Path;

use nix::errno::Errno;
use oci_spec::runtime::{Process, Spec};

use super::bundle::BundleError;
use crate::refusal::StartError;

/// The PATH in which a container's program is searched.
pub fn search_path(process: &Process) -> String {
    let env = process.env().as_deref().unwrap_or_default();
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH="));
    path.unwrap_or_default().to_owned()
}

/// The error that a runtime's message stands for.
pub fn refined(process: Option<&Process>, reason: String, runtime: &Path) -> StartError {
    let args = process.and_then(|process| process.args().as_ref());
    let program = args.and_then(|args| args.first()).cloned().unwrap_or_default();
    let words = reason.to_lowercase();
    let about_the_program = ["exec: \"", "exec container process", "executable file"]
        .iter()
        .any(|words_of_it| words.contains(words_of_it));
    let errno = [
        ("no such file", Errno::ENOENT),
        ("permission denied", Errno::EACCES),
        ("exec format error", Errno::ENOEXEC),
        ("is a directory", Errno::EACCES),
    ];
    let errno = errno.iter().find(|(text, _)| words.contains(text)).map(|(_, errno)| *errno);
    match errno {
        _ if about_the_program && words.contains("not found in $path") => {
            // crun searches the PATH even for a name with a slash.
            if program.contains('/') {
                return StartError::Exec { program, errno: Errno::ENOENT };
            }
            let path = process.map(search_path).unwrap_or_default();
            BundleError::NoProgram { program, path }.into()
        }
        Some(errno) if about_the_program => StartError::Exec { program, errno },
        _ => StartError::Runtime { runtime: runtime.display().to_string(), reason },
    }
}

/// The same for errors about the service's other requests: its folder, its limit of processes, its
/// kernel parameters. Any other error is returned unchanged.
pub fn reworded(spec: &Spec, process: &Process, error: StartError) -> StartError {
    let StartError::Runtime { reason, .. } = &error else { return error };
    let words = reason.to_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    let errno = [
        (&["no such file", "enoent"][..], Errno::ENOENT),
        (&["not a directory", "enotdir"], Errno::ENOTDIR),
        (&["permission denied", "eacces"], Errno::EACCES),
        (&["operation not permitted", "eperm"], Errno::EPERM),
        (&["numerical result out of range", "erange"], Errno::ERANGE),
        (&["invalid argument", "einval"], Errno::EINVAL),
    ];
    let errno = errno.iter().find(|(texts, _)| has(texts)).map(|(_, errno)| *errno);
    if let Some(sysctl) = sysctl_in(spec, reason) {
        return BundleError::Sysctl { sysctl, errno: errno.unwrap_or(Errno::EINVAL) }.into();
    }
    if has(&["resource temporarily unavailable", "eagain"]) {
        return StartError::NoMoreProcesses;
    }
    let dir = process.cwd().display().to_string();
    if dir != "/" && has(&["chdir", "working directory"]) && words.contains(&dir.to_lowercase()) {
        return BundleError::NoDirectory { dir, errno: errno.unwrap_or(Errno::ENOENT) }.into();
    }
    error
}

/// The kernel parameter that an error message is about, with its requested value.
fn sysctl_in(spec: &Spec, reason: &str) -> Option<String> {
    let sysctls = spec.linux().as_ref()?.sysctl().as_ref()?;
    let is_named = |name: &str| reason.contains(name) || reason.contains(&name.replace('.', "/"));
    let found = sysctls.iter().find(|(name, _)| is_named(name))?;
    Some(format!("{}={}", found.0, found.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    use oci_spec::runtime::{LinuxBuilder, ProcessBuilder, SpecBuilder};

    fn reworded_of(reason: &str) -> String {
        let sysctl = HashMap::from([("kernel.shmmax".to_owned(), "abc".to_owned())]);
        let linux = LinuxBuilder::default().sysctl(sysctl).build().expect("a part of a spec");
        let spec = SpecBuilder::default().linux(linux).build().expect("a spec");
        let process = ProcessBuilder::default().cwd("/nodir").build().expect("a process");
        let told = StartError::Runtime { runtime: "x".to_owned(), reason: reason.to_owned() };
        reworded(&spec, &process, told).to_string()
    }

    #[test]
    fn what_a_service_asks_for_is_told_in_our_words_whichever_runtime_says_it() {
        for reason in [
            "exec failed: unable to start container process: chdir to cwd (\"/nodir\") set in \
             config.json failed: no such file or directory",
            "cannot chdir to `/nodir`: No such file or directory",
            "failed syscall; failed to chdir to cwd err=ENOENT cwd=\"/nodir\"",
        ] {
            let told = reworded_of(reason);
            assert!(told.starts_with("there is no folder \"/nodir\" in the container"), "{told}");
        }
        for reason in [
            "unable to apply sysctl: write sysctl key kernel.shmmax: write \
             /proc/sys/kernel/shmmax: invalid argument",
            "write to `/proc/sys/kernel/shmmax`: Invalid argument",
            "failed to set sysctl; failed to set sysctl kernel.shmmax=abc: Invalid argument",
        ] {
            let told = reworded_of(reason);
            assert!(told.contains("does not take kernel.shmmax=abc"), "{told}");
        }
        for reason in
            ["fork/exec /proc/self/exe: resource temporarily unavailable", "clone: EAGAIN"]
        {
            let told = reworded_of(reason);
            assert!(told.contains("as many processes as it may"), "{told}");
        }
        assert!(reworded_of("something else").contains("refused: something else"));
    }

    fn refined_of(program: &str, reason: &str) -> StartError {
        let process = ProcessBuilder::default()
            .args([program.to_owned()])
            .env(["PATH=/bin".to_owned()])
            .build()
            .expect("a process");
        refined(Some(&process), reason.to_owned(), Path::new("runc"))
    }

    #[test]
    fn runtimes_that_miss_a_program_say_the_same() {
        let runc = r#"runc create failed: unable to start container process: exec: "nosuch": executable file not found in $PATH"#;
        let crun = "executable file `nosuch` not found in $PATH: No such file or directory";
        for reason in [runc, crun] {
            let refined = refined_of("nosuch", reason);
            assert!(matches!(refined, StartError::Bundle(_)), "{refined}");
            assert!(refined.is_permanent());
        }
        let runc = r#"unable to start container process: exec: "/nosuch": stat /nosuch: no such file or directory"#;
        let crun = "executable file `/nosuch` not found in $PATH: No such file or directory";
        for reason in [runc, crun] {
            let refined = refined_of("/nosuch", reason);
            assert!(matches!(refined, StartError::Exec { errno: Errno::ENOENT, .. }), "{refined}");
        }
    }

    #[test]
    fn what_is_not_about_the_program_may_pass() {
        let reason = r#"error mounting "/srv/x" to rootfs at "/x": no such file or directory"#;
        let refined = refined_of("sh", reason);
        assert!(matches!(refined, StartError::Runtime { .. }), "{refined}");
        assert!(!refined.is_permanent());
    }
}
