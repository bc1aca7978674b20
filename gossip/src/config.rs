//! Profiles of links, and the values that follow from them.
//!
//! The operator chooses a profile (`lan`, `wan`, `metered`). Its values are the only place where
//! the failure detector is tuned. Each comment says what a larger value buys and costs.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The values for one kind of link.
///
/// The bytes of a probe on the link: ping and acknowledgement have 51 bytes each (header 45, count
/// of updates 2, envelope 4), the seal 32, UDP and IPv4 28: 111 bytes. A node sends one ping and on
/// average one acknowledgement per probe interval, and receives as many. That is `4 × 111 = 444`
/// bytes per interval in both directions, 222 of them sent.
///
/// A comparison has 43 bytes, 103 on the link; in each interval a node sends one and receives one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// The name in the config.
    pub name: &'static str,
    /// The time between two probes. Shorter: failures are found sooner, for more bytes.
    pub probe_interval_ms: u64,
    /// If no answer comes within this time, others are asked to probe too. Above the round trip of
    /// the link, at most half the probe interval.
    pub probe_rtt_ms: u64,
    /// How long a suspect may refute. At least 5 probe intervals. More than anything else, this
    /// keeps slow nodes from being suspected and from suspecting others.
    pub suspicion_ms: u64,
    /// The time from the verdict until others take over the slots of the unreachable node.
    pub failover_delay_ms: u64,
    /// The time between two comparisons with a random peer, when nothing differs.
    pub compare_interval_ms: u64,
    /// The same while comparisons bring changes; doubled after each comparison without changes.
    pub compare_interval_min_ms: u64,
    /// The time between two attempts to reach unreachable members; these attempts heal partitions.
    pub announce_interval_ms: u64,
    /// The time between two pushes of membership changes, while there are any.
    pub push_interval_ms: u64,
}

impl Profile {
    /// Cables and Wi-Fi at one site; the default profile.
    ///
    /// Sent when idle: `222 B / 0.5 s = 444 B/s` and `103 B / 10 s = 10 B/s`: 454 B/s with all
    /// headers, in a fleet of any size. First verdict: 0.5 s on average until a member probes the
    /// failed node, 0.5 s until the probe has failed, 2.5 s of suspicion: 3.5 s.
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

    /// Sites connected over the internet.
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

    /// Links where each byte costs money: at most 1 MB a day when idle, both directions together.
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

    /// After this time without hearing anybody, this node is an island: three suspicions, during
    /// which it probed every peer or each of them could have probed it.
    pub fn island_after_ms(&self) -> u64 {
        3 * self.suspicion_ms
    }

    /// A timer that fires more than this late was missed: the machine was busy, paused or asleep.
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

/// Whether changed records are pushed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Rumours {
    /// Yes.
    #[default]
    On,
    /// No: only anti-entropy spreads them. Slower, but still complete.
    Off,
}

/// The settings of a [`crate::Gossip`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GossipConfig {
    /// The values for the link.
    pub profile: Profile,
    /// Whether rumours are sent.
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
