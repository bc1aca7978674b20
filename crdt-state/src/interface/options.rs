//! What an operator may ask of a task's interface on a network, in Docker's words:
//!
//! ```text
//! --network name=back,driver-opt=com.docker.network.endpoint.ifname=lan0
//! --network 'name=back,"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.arp_notify=1,…"'
//! ```

use std::collections::BTreeMap;

use super::Setting;

/// The option with the name of the interface.
const NAME: &str = "com.docker.network.endpoint.ifname";
/// The option with settings of the kernel, separated by commas.
const SETTINGS: &str = "com.docker.network.endpoint.sysctls";
/// The most bytes of a name, by the kernel.
const NAME_BYTES_MAX: usize = 15;
/// Names that the kernel, or we, use for something else.
const TAKEN: [&str; 5] = [".", "..", "lo", "all", "default"];

/// The options of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceOptions {
    /// Its name; `None`: the first free `eth0`, `eth1` …
    pub name: Option<String>,
    /// Family, group and name of settings with their values: `(ipv4, conf, arp_notify, 1)`.
    settings: Vec<[String; 4]>,
}

/// Why options are none of an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOption {
    /// Another option.
    #[error("`{0}` is no option of an interface: there are {NAME}=lan0 and {SETTINGS}=net.…")]
    Unknown(String),
    /// A name that the kernel does not take.
    #[error(
        "`{0}` cannot be the name of an interface: take at most {NAME_BYTES_MAX} letters, digits, \
         `-`, `_` or dots, and not one of lo, all, default"
    )]
    Name(String),
    /// A setting that is none of an interface.
    #[error(
        "`{0}` is no setting of an interface: write it like net.ipv4.conf.IFNAME.arp_notify=1, \
         several with commas between them"
    )]
    Setting(String),
}

impl InterfaceOptions {
    /// Reads the options of a service on a network.
    ///
    /// # Errors
    /// What is none, or what it cannot be.
    pub fn read(options: &BTreeMap<String, String>) -> Result<InterfaceOptions, BadOption> {
        let mut read = InterfaceOptions::default();
        for (option, value) in options {
            match option.as_str() {
                NAME if is_name(value) => read.name = Some(value.clone()),
                NAME => return Err(BadOption::Name(value.clone())),
                SETTINGS => {
                    let settings = value.split(',').map(read_setting);
                    read.settings = settings.collect::<Result<_, _>>()?;
                }
                _ => return Err(BadOption::Unknown(option.clone())),
            }
        }
        Ok(read)
    }

    /// The settings of an interface with this name.
    pub fn settings_of(&self, name: &str) -> Vec<Setting> {
        let setting = |[family, group, setting, value]: &[String; 4]| Setting {
            path: format!("{family}/{group}/{name}/{setting}"),
            value: value.clone(),
        };
        self.settings.iter().map(setting).collect()
    }
}

fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(inner) && !TAKEN.contains(&name)
}

/// Only settings of interfaces: all of them belong to the network namespace of the task.
fn read_setting(text: &str) -> Result<[String; 4], BadOption> {
    let text = text.trim();
    let bad = || BadOption::Setting(text.to_owned());
    let (name, value) = text.split_once('=').ok_or_else(bad)?;
    let parts: Vec<&str> = name.trim().split('.').collect();
    // Docker's client makes names small letters in some places.
    let ["net", family @ ("ipv4" | "ipv6" | "mpls"), group, "IFNAME" | "ifname", setting] =
        parts.as_slice()
    else {
        return Err(bad());
    };
    let is_word = |word: &&&str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let value = value.trim();
    if value.is_empty() || ![group, setting].iter().all(is_word) {
        return Err(bad());
    }
    Ok([*family, *group, *setting, value].map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(option: &str, value: &str) -> Result<InterfaceOptions, BadOption> {
        InterfaceOptions::read(&BTreeMap::from([(option.to_owned(), value.to_owned())]))
    }

    #[test]
    fn options_are_read_in_dockers_words() {
        assert_eq!(read(NAME, "lan0").expect("valid").name.as_deref(), Some("lan0"));
        let both = "net.ipv4.conf.IFNAME.arp_notify=1, net.ipv6.neigh.ifname.gc_stale_time=30";
        let settings = read(SETTINGS, both).expect("valid").settings_of("vlan.5");
        let setting =
            |path: &str, value: &str| Setting { path: path.to_owned(), value: value.to_owned() };
        let wanted = [
            setting("ipv4/conf/vlan.5/arp_notify", "1"),
            setting("ipv6/neigh/vlan.5/gc_stale_time", "30"),
        ];
        assert_eq!(settings, wanted);
    }

    #[test]
    fn what_is_no_setting_of_an_interface_is_refused() {
        for bad in [
            "",
            "net.ipv4.conf.IFNAME.arp_notify",
            "net.ipv4.conf.IFNAME.arp_notify=",
            "net.ipv4.conf.eth0.arp_notify=1",
            "net.ipv4.conf.all.arp_notify=1",
            "net.ipv4.ip_forward=1",
            "net.core.conf.IFNAME.arp_notify=1",
            "kernel.shmmax.x.IFNAME.y=1",
            "net.ipv4.conf.IFNAME.a/../../../all/arp_notify=1",
            "net.ipv4.../../x.IFNAME.y=1",
            "net.ipv4.conf.IFNAME.arp_notify=1,",
        ] {
            let error = read(SETTINGS, bad).expect_err(bad).to_string();
            assert!(error.contains("net.ipv4.conf.IFNAME.arp_notify=1"), "{bad}: {error}");
        }
    }

    #[test]
    fn names_that_the_kernel_does_not_take_are_refused() {
        for bad in ["", ".", "..", "lo", "all", "default", "a b", "a/b", "a:b", "sixteen-letters-"]
        {
            let error = read(NAME, bad).expect_err(bad).to_string();
            assert!(error.contains("at most 15"), "{bad}: {error}");
        }
        let error = read("com.docker.network.driver.mtu", "1400").expect_err("unknown").to_string();
        assert!(error.contains(NAME) && error.contains(SETTINGS), "{error}");
    }
}
