//! Profiles of links, and the numbers that follow from them.
//!
//! A profile is chosen by the operator (`lan`, `wan`, `metered`); the numbers beside it are the
//! only place where the failure detector is tuned. Each says what a larger value buys and costs.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The numbers of one kind of link.
///
/// Bytes of a probe as the link carries them: ping and acknowledgement have 51 bytes each (header
/// 45, count of updates 2, envelope 4), the seal 32, UDP and IPv4 28: 111 bytes. A node sends one
/// ping and on average one acknowledgement per probe interval, and receives as many: `4 × 111 =
/// 444` bytes per interval in both directions, 222 of them sent.
///
/// A comparison has 43 bytes, 103 on the link; each interval a node sends one and receives one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// The name in the config.
    pub name: &'static str,
    /// Between two probes. Shorter: failures are found sooner, for more bytes.
    pub probe_interval_ms: u64,
    /// An answer later than this asks others to probe too. Above the round trip of the link, below
    /// half the probe interval.
    pub probe_rtt_ms: u64,
    /// How long a suspect may refute. At least 5 probe intervals: that, more than anything, keeps
    /// slow nodes from being accused and from accusing.
    pub suspicion_ms: u64,
    /// From the verdict until others take over the slots of the unreachable node.
    pub failover_delay_ms: u64,
    /// Between two comparisons with a random peer, when nothing differs.
    pub compare_interval_ms: u64,
    /// The same while there is progress, doubled with each comparison that brought none.
    pub compare_interval_min_ms: u64,
    /// Between two attempts to reach members that are unreachable: what heals partitions.
    pub announce_interval_ms: u64,
    /// Between two rounds in which changes of the membership are pushed, while there are any.
    pub push_interval_ms: u64,
}

impl Profile {
    /// Cables and Wi-Fi of one site, the default.
    ///
    /// Sent when idle: `222 B / 0.5 s = 444 B/s` and `103 B / 10 s = 10 B/s`: 454 B/s with all
    /// headers, in a fleet of any size. First verdict: until somebody probes it 0.5 s on average,
    /// until the probe has failed 0.5 s, suspicion 2.5 s: 3.5 s.
    pub const LAN: Profile = Profile {
        name: "lan",
        probe_interval_ms: 500,
        probe_rtt_ms: 200,
        suspicion_ms: 2_500,
        failover_delay_ms: 1_000,
        compare_interval_ms: 10_000,
        compare_interval_min_ms: 1_000,
        announce_interval_ms: 5_000,
        push_interval_ms: 200,
    };

    /// Sites joined over the internet.
    ///
    /// Sent when idle: `222 B / 2 s + 103 B / 60 s = 113 B/s`. First verdict: 2 + 2 + 12 = 16 s.
    pub const WAN: Profile = Profile {
        name: "wan",
        probe_interval_ms: 2_000,
        probe_rtt_ms: 900,
        suspicion_ms: 12_000,
        failover_delay_ms: 10_000,
        compare_interval_ms: 60_000,
        compare_interval_min_ms: 3_000,
        announce_interval_ms: 20_000,
        push_interval_ms: 500,
    };

    /// Links that are paid by the byte: at most 1 MB a day when idle, both directions together.
    ///
    /// `444 B / 60 s + 206 B / 600 s = 7.7 B/s = 669 kB` a day. Calls to a member that is
    /// unreachable add `107 B / 600 s`, 15 kB a day. First verdict: 1 + 1 + 5 = 7 minutes.
    pub const METERED: Profile = Profile {
        name: "metered",
        probe_interval_ms: 60_000,
        probe_rtt_ms: 5_000,
        suspicion_ms: 300_000,
        failover_delay_ms: 120_000,
        compare_interval_ms: 600_000,
        compare_interval_min_ms: 30_000,
        announce_interval_ms: 600_000,
        push_interval_ms: 2_000,
    };

    /// The profile of this name.
    pub fn named(name: &str) -> Option<Profile> {
        [Profile::LAN, Profile::WAN, Profile::METERED].into_iter().find(|p| p.name == name)
    }

    /// Nothing heard from anybody for so long: this node is an island. Three suspicions, during
    /// which every peer was probed or could have probed.
    pub fn island_after_ms(&self) -> u64 {
        3 * self.suspicion_ms
    }

    /// A timer that fires later than this was missed: the machine was busy, paused or asleep.
    pub fn late_ms(&self) -> u64 {
        self.probe_interval_ms / 2
    }
}

/// A profile is written as its name.
impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.name.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Profile, D::Error> {
        let name = String::deserialize(from)?;
        Profile::named(&name).ok_or_else(|| de::Error::custom("not the name of a profile"))
    }
}

/// Are changed records pushed at once?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Rumours {
    /// Yes.
    #[default]
    On,
    /// No: anti-entropy alone spreads them. Slower, and still complete.
    Off,
}

/// How a [`crate::Gossip`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GossipConfig {
    /// The link's numbers.
    pub profile: Profile,
    /// Rumours.
    pub rumours: Rumours,
}

impl Default for GossipConfig {
    fn default() -> Self {
        GossipConfig { profile: Profile::LAN, rumours: Rumours::On }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [Profile; 3] = [Profile::LAN, Profile::WAN, Profile::METERED];

    #[test]
    fn a_suspicion_lasts_at_least_five_probes() {
        for profile in PROFILES {
            assert!(profile.suspicion_ms >= 5 * profile.probe_interval_ms, "{}", profile.name);
            assert!(profile.probe_rtt_ms * 2 <= profile.probe_interval_ms, "{}", profile.name);
        }
    }

    #[test]
    fn a_profile_is_found_by_its_name() {
        for profile in PROFILES {
            assert_eq!(Profile::named(profile.name), Some(profile));
        }
        assert_eq!(Profile::named("LAN"), None);
    }
}
