//! The contents of table cells: ids, images, ports, ages.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc;

use super::{Shown, cut};
use node_docker::Timestamp;
use node_docker::service::PortConfig;
use node_docker::task_spec::PROCESS_SCHEME;

/// Characters of an id in a table, as in Docker.
const ID_CHARS_SHOWN: usize = 12;
/// Characters of an error in a table, as in Docker.
const ERROR_CHARS_SHOWN: usize = 30;

/// An id as tables show it.
pub fn short_id(id: &str) -> &str {
    id.get(..ID_CHARS_SHOWN).unwrap_or(id)
}

/// An id, cut or complete.
pub fn id(id: &str, shown: Shown) -> String {
    match shown {
        Shown::Short => short_id(id).to_owned(),
        Shown::Whole => id.to_owned(),
    }
}

/// An image without its recorded digest: `nginx:1.27`. An image that has only a digest and no tag
/// keeps it.
pub fn without_digest(reference: &str) -> &str {
    match reference.split_once('@') {
        Some((name, _)) if name.rsplit('/').next().is_some_and(|last| last.contains(':')) => name,
        _ => reference,
    }
}

/// An image; for a program of the host a table shows the name without the path.
pub fn image(reference: &str, shown: Shown) -> String {
    match (shown, reference.strip_prefix(PROCESS_SCHEME)) {
        (Shown::Short, Some(program)) => {
            format!("{PROCESS_SCHEME}{}", program.rsplit('/').next().unwrap_or(program))
        }
        (Shown::Short, None) => without_digest(reference).to_owned(),
        (Shown::Whole, _) => reference.to_owned(),
    }
}

/// Published ports: `*:8080->80/tcp`, and neighbours as a range: `*:8000-8009->80-89/tcp`.
pub fn ports<'a>(ports: impl IntoIterator<Item = &'a PortConfig>) -> String {
    let texts = port_runs(ports).into_iter().map(|run| run.text());
    texts.collect::<Vec<_>>().join(", ")
}

/// Ports whose numbers follow one another, on both sides.
struct PortRun<'a> {
    first: &'a PortConfig,
    /// How many ports come after the first one.
    more: u16,
}

impl PortRun<'_> {
    fn continues_with(&self, port: &PortConfig) -> bool {
        let next = |number: u16| number.checked_add(self.more + 1);
        port.protocol == self.first.protocol
            && port.publish_mode == self.first.publish_mode
            && next(self.first.published_port) == Some(port.published_port)
            && next(self.first.target_port) == Some(port.target_port)
    }

    fn text(&self) -> String {
        let range = |first: u16| match self.more {
            0 => first.to_string(),
            more => format!("{first}-{}", first + more),
        };
        let to = range(self.first.target_port);
        let from = match self.first.published_port {
            // Each task has its own, which `service ps` shows.
            0 => "any".to_owned(),
            first => range(first),
        };
        format!("*:{from}->{to}/{}", self.first.protocol)
    }
}

fn port_runs<'a>(ports: impl IntoIterator<Item = &'a PortConfig>) -> Vec<PortRun<'a>> {
    let mut runs: Vec<PortRun<'a>> = Vec::new();
    for port in ports {
        match runs.last_mut().filter(|run| run.continues_with(port)) {
            Some(run) => run.more += 1,
            None => runs.push(PortRun { first: port, more: 0 }),
        }
    }
    runs
}

/// An error in quotes, cut or complete; nothing if there is none.
pub fn error(message: &str, shown: Shown) -> String {
    let line = message.replace('\n', " ");
    match shown {
        _ if line.is_empty() => String::new(),
        Shown::Short => format!("\"{}\"", cut(&line, ERROR_CHARS_SHOWN)),
        Shown::Whole => format!("\"{line}\""),
    }
}

/// The first letter in upper case: `Running`.
pub fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// This machine's time of day, for ages.
pub fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}

/// How far the local time of this machine is ahead of UTC now, in seconds.
pub fn zone_offset_s() -> i32 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let Ok(seconds) = libc::time_t::try_from(since_1970.as_secs()) else { return 0 };
    // SAFETY: a `tm` of zeros is a valid one, and both pointers are of live values of the right
    // type. The environment, where the zone may stand, is never changed by this program.
    let local = unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&raw const seconds, &raw mut local).is_null() {
            return 0;
        }
        local
    };
    // On the smallest machines `long` is no wider than this; no zone differs by more than a day.
    i32::try_from(local.tm_gmtoff).unwrap_or(0)
}

/// How long ago something happened, by the clock of the reporting node; `None` if the two clocks
/// cannot both be right (a node without a clock begins in 1970).
pub fn age(now: Timestamp, then: Timestamp) -> Option<Duration> {
    const CLOCK_SET_MS: u64 = 946_684_800_000;
    const SKEW_MS_MAX: u64 = 5_000;
    if then.0 < CLOCK_SET_MS || then.0 > now.0 + SKEW_MS_MAX {
        return None;
    }
    Some(Duration::from_millis(now.0.saturating_sub(then.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_cut_for_people_and_whole_for_scripts() {
        assert_eq!(id("0123456789abcdef", Shown::Short), "0123456789ab");
        assert_eq!(id("0123456789abcdef", Shown::Whole), "0123456789abcdef");
        assert_eq!(id("short", Shown::Short), "short");
        assert_eq!(image("process:/usr/bin/busybox", Shown::Short), "process:busybox");
        assert_eq!(image("docker.io/library/nginx:1", Shown::Short), "docker.io/library/nginx:1");
        let pinned = "localhost:5000/app:1@sha256:00";
        assert_eq!(image(pinned, Shown::Short), "localhost:5000/app:1");
        assert_eq!(image(pinned, Shown::Whole), pinned);
        assert_eq!(image("app@sha256:00", Shown::Short), "app@sha256:00");
        assert_eq!(error("", Shown::Short), "");
        assert_eq!(error("exit code 1", Shown::Short), "\"exit code 1\"");
        let long = "cannot start /opt/x: no such file or directory";
        assert_eq!(error(long, Shown::Short), "\"cannot start /opt/x: no such …\"");
        assert_eq!(error(long, Shown::Whole), format!("\"{long}\""));
    }

    #[test]
    fn neighbouring_ports_are_one_range() {
        let port = |published_port, target_port, mode: &str| PortConfig {
            protocol: "tcp".to_owned(),
            published_port,
            target_port,
            publish_mode: mode.to_owned(),
            ..PortConfig::default()
        };
        let held = [
            port(8_000, 80, "ingress"),
            port(8_001, 81, "ingress"),
            port(8_002, 82, "host"),
            port(65_535, 65_535, "host"),
            port(90, 80, "host"),
            port(0, 80, "host"),
        ];
        let expected = "*:8000-8001->80-81/tcp, *:8002->82/tcp, *:65535->65535/tcp, *:90->80/tcp, \
                        *:any->80/tcp";
        assert_eq!(ports(&held), expected);
    }

    #[test]
    fn a_clock_that_cannot_be_right_gives_no_age() {
        let now = Timestamp(1_777_636_800_000);
        let age = |then| age(now, Timestamp(then));
        assert_eq!(age(1_777_636_790_000), Some(Duration::from_secs(10)));
        assert_eq!(age(1_777_636_801_000), Some(Duration::ZERO));
        assert_eq!(age(1_777_636_900_000), None);
        assert_eq!(age(12_000), None);
    }
}
