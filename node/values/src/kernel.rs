//! Rights and limits of a container: capabilities, limits, kernel parameters, devices.

use super::nearest;
use node_docker::container_spec::{ContainerSpec, DeviceMapping, Seccomp, Ulimit};
use node_docker::state::names::{self, CAPABILITIES, SysctlOwner, ULIMITS};

use super::Pair;

/// Why a text is not a valid value for these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKernelValue {
    /// `NET_ADMEN`.
    #[error("unknown capability {word:?}: {hint}")]
    Capability {
        /// As typed.
        word: String,
        /// The nearest, or where they are listed.
        hint: String,
    },
    /// `nofiles=1`.
    #[error("unknown limit {word:?}: {hint}")]
    Ulimit {
        /// As typed.
        word: String,
        /// The nearest, or all.
        hint: String,
    },
    /// `nofile=many`.
    #[error("{0:?} is no limit: write it like nofile=1024:2048, or -1 for none")]
    UlimitNumber(String),
    /// `nofile=2:1`.
    #[error("the soft limit {soft} is above the hard one: write {name}={hard}:{soft}")]
    UlimitOrder {
        /// Which.
        name: String,
        /// As typed.
        soft: i64,
        /// As typed.
        hard: i64,
    },
    /// `net.ipv4.ip_forward` alone.
    #[error("{0:?} is no kernel parameter with a value: write it like net.core.somaxconn=1024")]
    Sysctl(String),
    /// `vm.swappiness=1`.
    #[error(
        "{0} belongs to the whole node, not to a container: set it on the nodes (/etc/sysctl.d)"
    )]
    SysctlOfMachine(String),
    /// `ttyUSB0`.
    #[error("{0:?} is no device: write it like /dev/ttyUSB0 or /dev/ttyUSB0:/dev/modem:rw")]
    Device(String),
    /// `:rx`.
    #[error("{0:?} are no permissions of a device: any of r, w and m, like rwm")]
    DevicePermissions(String),
    /// `5000`.
    #[error("{0:?} is no score: from -1000 (never killed for memory) to 1000 (first)")]
    OomScoreAdj(String),
    /// `label=x`.
    #[error(
        "{0:?}: there are no-new-privileges, seccomp=FILE, seccomp=unconfined, seccomp=default, \
         apparmor=PROFILE and apparmor=unconfined"
    )]
    SecurityOption(String),
    /// `keep-id`.
    #[error("{0:?}: there are auto (ids of its own) and host (those of the node)")]
    UserNamespace(String),
    /// `SIGFOO`.
    #[error(transparent)]
    Signal(#[from] runtime::signal::UnknownSignal),
}

/// Reads `NET_ADMIN`, with or without `CAP_`, in any case; `ALL`; Docker's `RESET`.
pub fn capability(text: &str) -> Result<String, BadKernelValue> {
    if text.eq_ignore_ascii_case("RESET") {
        return Ok("RESET".to_owned());
    }
    names::capability(text).ok_or_else(|| {
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let hint = match nearest(bare, CAPABILITIES) {
            Some(near) => format!("did you mean {near}?"),
            None => "write one like NET_ADMIN (man 7 capabilities lists them), or ALL".to_owned(),
        };
        BadKernelValue::Capability { word: text.to_owned(), hint }
    })
}

/// Reads `nofile=1024:2048`, soft before hard, or one number for both.
pub fn ulimit(text: &str) -> Result<Ulimit, BadKernelValue> {
    let bad = || BadKernelValue::UlimitNumber(text.to_owned());
    let (name, value) = text.split_once('=').ok_or_else(bad)?;
    let name = ulimit_name(name)?;
    let number = |text: &str| text.parse::<i64>().ok().filter(|n| *n >= -1).ok_or_else(bad);
    let (soft, hard) = match value.split_once(':') {
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(value)?, number(value)?),
    };
    if hard >= 0 && (soft > hard || soft < 0) {
        return Err(BadKernelValue::UlimitOrder { name, soft, hard });
    }
    Ok(Ulimit { name, hard, soft })
}

/// Reads the name of a limit.
pub fn ulimit_name(text: &str) -> Result<String, BadKernelValue> {
    if ULIMITS.contains(&text) {
        return Ok(text.to_owned());
    }
    let hint = match nearest(text, ULIMITS) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", ULIMITS.join(", ")),
    };
    Err(BadKernelValue::Ulimit { word: text.to_owned(), hint })
}

/// Reads `net.core.somaxconn=1024`, also with slashes instead of dots.
pub fn sysctl(text: &str) -> Result<Pair, BadKernelValue> {
    let bad = || BadKernelValue::Sysctl(text.to_owned());
    let (name, value) = text.split_once('=').ok_or_else(bad)?;
    let name = name.trim().replace('/', ".");
    let value = value.trim().to_owned();
    if !name.contains('.') || name.contains(char::is_whitespace) || value.is_empty() {
        return Err(bad());
    }
    match names::sysctl_owner(&name) {
        SysctlOwner::Machine => Err(BadKernelValue::SysctlOfMachine(name)),
        SysctlOwner::Container | SysctlOwner::Network => Ok(Pair { name, value }),
    }
}

/// Reads `/dev/ttyUSB0[:/dev/modem][:rwm]`.
pub fn device(text: &str) -> Result<DeviceMapping, BadKernelValue> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, permissions) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, second] if second.starts_with('/') => (*host, *second, "rwm"),
        [host, permissions] => (*host, *host, *permissions),
        [host, container, permissions] => (*host, *container, *permissions),
        _ => return Err(BadKernelValue::Device(text.to_owned())),
    };
    if !host.starts_with('/') || !container.starts_with('/') {
        return Err(BadKernelValue::Device(text.to_owned()));
    }
    let once = |c: char| permissions.matches(c).count() <= 1;
    let is_valid = permissions.chars().all(|c| "rwm".contains(c) && once(c));
    if permissions.is_empty() || !is_valid {
        return Err(BadKernelValue::DevicePermissions(permissions.to_owned()));
    }
    Ok(DeviceMapping {
        path_on_host: host.to_owned(),
        path_in_container: container.to_owned(),
        cgroup_permissions: permissions.to_owned(),
    })
}

/// Reads -1000 to 1000.
pub fn oom_score_adj(text: &str) -> Result<i64, BadKernelValue> {
    let score = text.parse().ok().filter(|score| (-1_000..=1_000).contains(score));
    score.ok_or_else(|| BadKernelValue::OomScoreAdj(text.to_owned()))
}

/// One of Docker's security options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityOption {
    /// Programs cannot gain privileges (`true`), or can again (`false`).
    NoNewPrivileges(bool),
    /// The filter of system calls.
    Seccomp(SeccompOption),
    /// The AppArmor profile of this name; `None`: none.
    AppArmor(Option<String>),
}

/// A filter of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeccompOption {
    /// The default one.
    Default,
    /// None.
    Unconfined,
    /// This profile, as JSON.
    Profile(String),
    /// The profile in the file of this path, which is not read here.
    File(String),
}

/// Reads `auto` or `host`.
pub fn user_namespace(text: &str) -> Result<String, BadKernelValue> {
    match text {
        "auto" | "host" => Ok(text.to_owned()),
        _ => Err(BadKernelValue::UserNamespace(text.to_owned())),
    }
}

/// Reads `no-new-privileges[=false]`, `seccomp=FILE`, `seccomp=unconfined`, `seccomp=default`,
/// `apparmor=PROFILE` and `apparmor=unconfined`; `:` is as good as `=`.
pub fn security_option(text: &str) -> Result<SecurityOption, BadKernelValue> {
    use SecurityOption::{AppArmor, NoNewPrivileges, Seccomp};
    Ok(match text.split_once(['=', ':']).unwrap_or((text, "")) {
        ("no-new-privileges", "" | "true") => NoNewPrivileges(true),
        ("no-new-privileges", "false") => NoNewPrivileges(false),
        ("seccomp", "unconfined") => Seccomp(SeccompOption::Unconfined),
        ("seccomp", "default" | "builtin") => Seccomp(SeccompOption::Default),
        ("seccomp", profile) if profile.starts_with('{') => {
            Seccomp(SeccompOption::Profile(profile.to_owned()))
        }
        ("seccomp", file) if !file.is_empty() => Seccomp(SeccompOption::File(file.to_owned())),
        ("apparmor", "unconfined") => AppArmor(None),
        ("apparmor", profile) if !profile.is_empty() => AppArmor(Some(profile.to_owned())),
        _ => return Err(BadKernelValue::SecurityOption(text.to_owned())),
    })
}

impl SecurityOption {
    /// The option with what is in the file that it names. `read` gives it, or why it cannot.
    ///
    /// # Errors
    ///
    /// What `read` says.
    pub fn with_file(
        self,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Result<SecurityOption, String> {
        match self {
            SecurityOption::Seccomp(SeccompOption::File(path)) => {
                Ok(SecurityOption::Seccomp(SeccompOption::Profile(read(&path)?)))
            }
            other => Ok(other),
        }
    }

    /// Sets it in a container's spec.
    pub fn apply(self, container: &mut ContainerSpec) {
        let mut privileges = container.privileges.take().unwrap_or_default();
        match self {
            SecurityOption::NoNewPrivileges(wanted) => privileges.no_new_privileges = wanted,
            SecurityOption::Seccomp(option) => {
                privileges.seccomp = match option {
                    SeccompOption::Default | SeccompOption::File(_) => None,
                    SeccompOption::Unconfined => Some(Seccomp::unconfined()),
                    SeccompOption::Profile(text) => Some(Seccomp::custom(&text)),
                }
            }
            SecurityOption::AppArmor(profile) => {
                let edge = container.edge.get_or_insert_default();
                edge.app_armor_profile = profile.unwrap_or_default();
            }
        }
        container.privileges = Some(privileges).filter(|given| *given != Default::default());
    }
}

/// Reads a signal, kept as it was written; empty removes the setting.
pub fn signal(text: &str) -> Result<String, BadKernelValue> {
    if !text.is_empty() {
        runtime::signal::parse(text)?;
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_docker_reads_them() {
        assert_eq!(capability("net_admin"), Ok("CAP_NET_ADMIN".to_owned()));
        let limit = |soft, hard| Ulimit { name: "nofile".to_owned(), hard, soft };
        assert_eq!(ulimit("nofile=1024:2048"), Ok(limit(1024, 2048)));
        assert_eq!(ulimit("nofile=-1"), Ok(limit(-1, -1)));
        assert_eq!(ulimit("nofile=5:-1"), Ok(limit(5, -1)));
        let pair = sysctl("net/core/somaxconn=1024").expect("valid");
        assert_eq!(pair.to_string(), "net.core.somaxconn=1024");
        let parts = |text| {
            let device = device(text).expect(text);
            [device.path_on_host, device.path_in_container, device.cgroup_permissions]
        };
        assert_eq!(parts("/dev/a"), ["/dev/a", "/dev/a", "rwm"]);
        assert_eq!(parts("/dev/a:/dev/b"), ["/dev/a", "/dev/b", "rwm"]);
        assert_eq!(parts("/dev/a:r"), ["/dev/a", "/dev/a", "r"]);
        assert_eq!(parts("/dev/a:/dev/b:rw"), ["/dev/a", "/dev/b", "rw"]);
        assert_eq!(oom_score_adj("-1000"), Ok(-1_000));
        let option = security_option("no-new-privileges:true");
        assert_eq!(option, Ok(SecurityOption::NoNewPrivileges(true)));
        let file = security_option("seccomp:./a:b.json").expect("an option");
        let of_file = SeccompOption::File("./a:b.json".to_owned());
        assert_eq!(file, SecurityOption::Seccomp(of_file));
        let mut container = ContainerSpec::default();
        let read = |path: &str| Ok(format!("{{\"of\": \"{path}\"}}"));
        file.with_file(read).expect("it is read").apply(&mut container);
        let seccomp = container.privileges.and_then(|privileges| privileges.seccomp);
        assert_eq!(seccomp, Some(Seccomp::custom("{\"of\": \"./a:b.json\"}")));
        assert_eq!(signal("SIGUSR1"), Ok("SIGUSR1".to_owned()));
    }

    #[test]
    fn nonsense_is_answered_with_what_to_write() {
        let said = |result: Result<(), BadKernelValue>| result.expect_err("refused").to_string();
        for (error, words) in [
            (said(capability("NET_ADMEN").map(drop)), "did you mean NET_ADMIN?"),
            (said(capability("x").map(drop)), "man 7 capabilities"),
            (said(ulimit("nofiles=1").map(drop)), "did you mean nofile?"),
            (said(ulimit("zzz=1").map(drop)), "there are core"),
            (said(ulimit("nofile").map(drop)), "nofile=1024:2048"),
            (said(ulimit("nofile=many").map(drop)), "nofile=1024:2048"),
            (said(ulimit("nofile=9:1").map(drop)), "write nofile=1:9"),
            (said(sysctl("net.core.somaxconn").map(drop)), "net.core.somaxconn=1024"),
            (said(sysctl("vm.swappiness=1").map(drop)), "/etc/sysctl.d"),
            (said(device("ttyUSB0").map(drop)), "/dev/ttyUSB0"),
            (said(device("/dev/a:/dev/b:rx").map(drop)), "like rwm"),
            (said(device("/dev/a:").map(drop)), "like rwm"),
            (said(oom_score_adj("5000").map(drop)), "from -1000"),
            (said(security_option("label=x").map(drop)), "seccomp=unconfined"),
            (said(security_option("seccomp=").map(drop)), "seccomp=FILE"),
            (said(security_option("apparmor").map(drop)), "apparmor=PROFILE"),
            (said(user_namespace("keep-id").map(drop)), "auto (ids of its own)"),
            (said(signal("SIGNOPE").map(drop)), "SIGTERM"),
        ] {
            assert!(error.contains(words), "{error}");
        }
    }
}
