//! The user that a task runs as: `user`, `uid`, `user:group` or `uid:gid`, looked up in
//! `/etc/passwd` and `/etc/group`.
//!
//! The files are read directly: a static binary has no name service switch, and a restart after a
//! power cut must never depend on a lookup over the network. Users that only LDAP or the like knows
//! are given by number.

use std::fs;
use std::path::Path;

/// The user and groups of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Name, if it has one.
    pub name: Option<String>,
    /// Home directory, `/` if it has none.
    pub home: String,
}

/// Why a text names no user or group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownIdentity {
    /// The part before the colon.
    #[error("no user {0:?} in /etc/passwd: create it (useradd --system {0}) or give a number")]
    User(String),
    /// The part after the colon.
    #[error("no group {0:?} in /etc/group: create it (groupadd --system {0}) or give a number")]
    Group(String),
}

struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

/// Which group a number without an account gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultGroup {
    /// The one of the same number: on a node, an unknown user must never get root's group.
    SameNumber,
    /// Root's, as images expect from Docker: this makes their files writable for any user.
    Root,
}

/// Finds a user in the node's accounts. A number without an account runs under the group of the
/// same number, and without supplementary groups.
pub fn look_up(text: &str) -> Result<Identity, UnknownIdentity> {
    look_up_in(Path::new("/etc"), text)
}

/// The user with this id, for a task that does not ask for another one than the agent's.
pub fn of_uid(uid: u32) -> Identity {
    look_up(&uid.to_string()).expect("a number is always somebody")
}

fn look_up_in(etc: &Path, text: &str) -> Result<Identity, UnknownIdentity> {
    let accounts = fs::read_to_string(etc.join("passwd")).unwrap_or_default();
    let groups = fs::read_to_string(etc.join("group")).unwrap_or_default();
    look_up_among(&accounts, &groups, text, DefaultGroup::SameNumber)
}

/// Finds a user in these accounts and groups, the texts of `/etc/passwd` and `/etc/group`.
pub fn look_up_among(
    accounts: &str,
    groups: &str,
    text: &str,
    default_group: DefaultGroup,
) -> Result<Identity, UnknownIdentity> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let number = user.parse::<u32>().ok();
    let account = accounts
        .lines()
        .filter_map(account)
        .find(|account| account.name == user || number == Some(account.uid));
    let gid = group.map(|group| group_id(groups, group)).transpose()?;
    match (account, number) {
        (Some(account), _) => Ok(Identity {
            uid: account.uid,
            gid: gid.unwrap_or(account.gid),
            // As in Docker, an explicit group replaces all others.
            groups: if gid.is_some() { vec![] } else { groups_of(groups, &account.name) },
            name: Some(account.name),
            home: account.home,
        }),
        (None, Some(uid)) => Ok(Identity {
            uid,
            gid: gid.unwrap_or(match default_group {
                DefaultGroup::SameNumber => uid,
                DefaultGroup::Root => 0,
            }),
            groups: vec![],
            name: None,
            home: "/".to_owned(),
        }),
        (None, None) => Err(UnknownIdentity::User(user.to_owned())),
    }
}

fn account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let &[name, _, uid, gid, _, home, ..] = fields.as_slice() else { return None };
    let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
    Some(Account { name: name.to_owned(), uid, gid, home: home.to_owned() })
}

/// The id of a group by its name or number.
pub fn group_id(groups: &str, wanted: &str) -> Result<u32, UnknownIdentity> {
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(wanted)).then(|| fields.nth(1)?.parse().ok())?
    });
    let gid = named.or_else(|| wanted.parse().ok());
    gid.ok_or_else(|| UnknownIdentity::Group(wanted.to_owned()))
}

fn groups_of(groups: &str, name: &str) -> Vec<u32> {
    let member = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let gid = fields.next()?.parse().ok()?;
        fields.next()?.split(',').any(|member| member == name).then_some(gid)
    };
    groups.lines().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etc() -> tempfile::TempDir {
        let etc = tempfile::tempdir().expect("a folder");
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nshop:x:900:901::/srv/shop:/bin/sh\n";
        fs::write(etc.path().join("passwd"), passwd).expect("writable");
        let group = "root:x:0:\nshop:x:901:\ndialout:x:20:other,shop\nvideo:x:44:shop\n";
        fs::write(etc.path().join("group"), group).expect("writable");
        etc
    }

    #[test]
    fn a_name_brings_its_group_and_its_supplementary_groups() {
        let found = look_up_in(etc().path(), "shop").expect("it is there");
        assert_eq!((found.uid, found.gid, found.groups), (900, 901, vec![20, 44]));
        assert_eq!(found.home, "/srv/shop");
    }

    #[test]
    fn an_explicit_group_stands_alone() {
        let found = look_up_in(etc().path(), "shop:dialout").expect("both are there");
        assert_eq!((found.uid, found.gid, found.groups), (900, 20, vec![]));
        let found = look_up_in(etc().path(), "5:6").expect("numbers are always somebody");
        assert_eq!((found.uid, found.gid), (5, 6));
    }

    #[test]
    fn a_number_without_an_account_never_gets_the_group_of_root() {
        let found = look_up_in(etc().path(), "7777").expect("a number");
        assert_eq!((found.uid, found.gid, found.home.as_str()), (7777, 7777, "/"));
    }

    #[test]
    fn a_name_that_nobody_has_is_refused() {
        let refused = look_up_in(etc().path(), "nobody-here").expect_err("unknown");
        assert_eq!(refused, UnknownIdentity::User("nobody-here".to_owned()));
        let refused = look_up_in(etc().path(), "shop:crew").expect_err("unknown");
        assert_eq!(refused, UnknownIdentity::Group("crew".to_owned()));
    }
}
