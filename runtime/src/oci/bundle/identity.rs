//! The user that the program of a container runs as, looked up in the container's own accounts.
//!
//! As in Docker: no user means root, a number without an account has the group of root, an explicit
//! group replaces all others. The node's accounts play no part.

use std::path::Path;

use nix::errno::Errno;
use oci_spec::runtime::{User, UserBuilder};

use super::BundleError;
use crate::refusal::StartError;
use crate::tree::Root;
use crate::user::{self, DefaultGroup, UnknownIdentity};

/// The largest `/etc/passwd` or `/etc/group` that is read: 10,000 users of 100 bytes.
const FILE_BYTES_MAX: u64 = 1_000_000;

/// The user, and the home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUser {
    /// For the runtime.
    pub user: User,
    /// The home directory.
    pub home: String,
}

/// Finds the user: `user`, `uid`, `user:group` or `uid:gid`, and further groups.
pub fn look_up(
    root: &Root,
    text: Option<&str>,
    further: &[String],
) -> Result<ContainerUser, StartError> {
    let accounts = read(root, "/etc/passwd")?;
    let groups = read(root, "/etc/group")?;
    let text = match text.unwrap_or_default() {
        "" => "0".to_owned(),
        text if text.starts_with(':') => format!("0{text}"),
        text => text.to_owned(),
    };
    let found = user::look_up_among(&accounts, &groups, &text, DefaultGroup::Root);
    let found = found.map_err(of_the_image)?;
    let further = further.iter().map(|group| user::group_id(&groups, group));
    let further = further.collect::<Result<Vec<u32>, _>>().map_err(of_the_image)?;
    // The user's own group is listed, too: otherwise a process could leave it and read a file that
    // denies access to this group (CVE-2022-36109).
    let mut gids = vec![found.gid];
    for gid in found.groups.iter().chain(&further) {
        if !gids.contains(gid) {
            gids.push(*gid);
        }
    }
    let user = UserBuilder::default().uid(found.uid).gid(found.gid).additional_gids(gids);
    let user = user.build().expect("every field has a default");
    Ok(ContainerUser { user, home: found.home })
}

/// The text of a file; empty if it is not there.
fn read(root: &Root, path: &str) -> Result<String, StartError> {
    match root.read(Path::new(path), FILE_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(String::new()),
        Err(errno) => Err(StartError::Step { step: "read the image's users and groups", errno }),
    }
}

fn of_the_image(unknown: UnknownIdentity) -> BundleError {
    match unknown {
        UnknownIdentity::User(name) => BundleError::NoUser(name),
        UnknownIdentity::Group(name) => BundleError::NoGroup(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn look_up_in_image(text: Option<&str>, further: &[&str]) -> Result<ContainerUser, StartError> {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("etc")).expect("writable");
        let passwd = "root:x:0:0::/root:/bin/sh\nredis:x:999:998::/data:/bin/sh\n";
        fs::write(root.path().join("etc/passwd"), passwd).expect("writable");
        let group = "root:x:0:\nredis:x:998:\naudio:x:29:redis\ndialout:x:20:\n";
        fs::write(root.path().join("etc/group"), group).expect("writable");
        let further: Vec<String> = further.iter().map(|group| (*group).to_owned()).collect();
        look_up(&Root::open(root.path()).expect("it is there"), text, &further)
    }

    fn ids(text: &str, further: &[&str]) -> (u32, u32, Vec<u32>, String) {
        let found = look_up_in_image(Some(text), further).expect(text);
        let gids = found.user.additional_gids().clone().unwrap_or_default();
        (found.user.uid(), found.user.gid(), gids, found.home)
    }

    #[test]
    fn accounts_are_those_of_the_image() {
        assert_eq!(ids("redis", &[]), (999, 998, vec![998, 29], "/data".to_owned()));
        assert_eq!(ids("999:audio", &["dialout", "7"]), (999, 29, vec![29, 20, 7], "/data".into()));
    }

    #[test]
    fn nobody_said_is_root_and_a_stranger_has_the_group_of_root() {
        assert_eq!(ids("", &[]), (0, 0, vec![0], "/root".to_owned()));
        assert_eq!(ids(":audio", &[]), (0, 29, vec![29], "/root".to_owned()));
        assert_eq!(ids("4242", &[]), (4242, 0, vec![0], "/".to_owned()));
        let found = look_up_in_image(None, &[]).expect("root");
        assert_eq!(found.user.uid(), 0);
    }

    #[test]
    fn a_name_that_the_image_does_not_have_is_refused_for_good() {
        for (text, group) in [("nginx", "audio"), ("redis:crew", "audio"), ("redis", "crew")] {
            let refused = look_up_in_image(Some(text), &[group]).expect_err(text);
            assert!(refused.is_permanent() && refused.to_string().contains("image's /etc/"));
        }
    }
}
