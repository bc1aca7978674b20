//! Layers are bytes of strangers. The threads that decompress one and read its tar reach its own folder
//! and the layers below it, and nothing else of the machine: by Landlock, where the kernel has it. What the
//! code before it refuses ([`super::stack`]) is refused a second time, by the kernel.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::thread::{Builder, scope};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::LayerError;
use crate::tar_entries::TarError;

/// What is asked for; a kernel that has less of it enforces what it has.
const ASKED: ABI = ABI::V6;

static UNCONFINED: Once = Once::new();

/// Runs `work` in a thread that may write to `folder` and read what is `below`. Threads that it starts
/// may no more. Files that are open already stay open to it.
pub(super) fn confined<T: Send>(
    folder: &Path,
    below: &[PathBuf],
    work: impl FnOnce() -> Result<T, LayerError> + Send,
) -> Result<T, LayerError> {
    scope(|scope| {
        let confined = move || {
            let status = confine(folder, below);
            if !matches!(
                status,
                Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced)
            ) {
                UNCONFINED.call_once(|| {
                    tracing::info!("layers are unpacked without Landlock, which the kernel lacks");
                });
            }
            work()
        };
        let thread = Builder::new().name("unpack".to_owned()).spawn_scoped(scope, confined);
        let thread = thread.map_err(TarError::Read)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Confines this thread, for ever. Kernels before 5.19 would refuse every hard link to another folder, so
/// they are not asked.
fn confine(folder: &Path, below: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ASKED))?
        .handle_access(AccessNet::from_all(ASKED))?
        .scope(Scope::from_all(ASKED))?
        .create()?;
    let Ok(opened) = PathFd::new(folder) else { return Ok(RulesetStatus::NotEnforced) };
    let rules = rules
        .add_rule(PathBeneath::new(opened, AccessFs::from_all(ASKED)))?
        .add_rules(path_beneath_rules(below, AccessFs::from_read(ASKED)))?;
    Ok(rules.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn nothing_but_the_folder_is_reached() {
        let first = std::thread::spawn(|| confine(Path::new("/tmp"), &[])).join().expect("joined");
        if first.expect("a set of rules") == RulesetStatus::NotEnforced {
            eprintln!("this kernel has no Landlock: nothing was tested");
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let [folder, below, outside] =
            ["folder", "below", "outside"].map(|name| dir.path().join(name));
        for path in [&folder, &below, &outside] {
            fs::create_dir(path).expect("a folder");
        }
        fs::write(below.join("file"), "x").expect("written");
        let work = || {
            fs::create_dir_all(folder.join("a/b"))?;
            fs::write(folder.join("a/file"), "x")?;
            fs::hard_link(folder.join("a/file"), folder.join("a/b/file"))?;
            fs::read(below.join("file"))?;
            Ok(())
        };
        let refused = || {
            let tried = [
                fs::write(outside.join("file"), "x"),
                fs::write(below.join("file"), "y"),
                fs::read("/etc/passwd").map(|_| ()),
                fs::hard_link(folder.join("a/file"), outside.join("file")),
                TcpStream::connect("127.0.0.1:1").map(|_| ()),
            ];
            tried.map(|tried| tried.expect_err("refused").kind())
        };
        let (allowed, refused) = confined(&folder, std::slice::from_ref(&below), || {
            let allowed: std::io::Result<()> = work();
            Ok((allowed, std::thread::scope(|scope| scope.spawn(refused).join().expect("joined"))))
        })
        .expect("it ran");
        allowed.expect("in its folder it may everything");
        use std::io::ErrorKind::{CrossesDevices, PermissionDenied};
        assert_eq!(refused[..3], [PermissionDenied; 3]);
        assert!([CrossesDevices, PermissionDenied].contains(&refused[3]), "{refused:?}");
        assert_eq!(refused[4], PermissionDenied);
    }
}
