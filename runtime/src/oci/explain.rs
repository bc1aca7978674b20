//! What an OCI runtime's complaint means, where it is about the program: the same words whichever
//! runtime says it, and the knowledge that trying again is of no use.

use std::path::Path;

use nix::errno::Errno;
use oci_spec::runtime::Process;

use super::bundle::BundleError;
use crate::refusal::StartError;

/// The PATH that a container's program is looked for in.
pub fn search_path(process: &Process) -> String {
    let env = process.env().as_deref().unwrap_or_default();
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH="));
    path.unwrap_or_default().to_owned()
}

/// An error out of a runtime's own words.
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
            // crun looks for a path in the PATH as well.
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

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::ProcessBuilder;

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
