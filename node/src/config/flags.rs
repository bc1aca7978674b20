//! The flags of `edgectl agent`: one for every key, above the environment and the file.

use std::path::PathBuf;

use super::key::Key;

/// Flags of `edgectl agent`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AgentFlags {
    /// The fleet's configuration, the same file on every node
    #[arg(long, value_name = "FILE", env = "EDGECTL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Check the configuration, say what is wrong with it, and end
    #[arg(long)]
    pub check: bool,
    /// Name of the fleet
    #[arg(long, value_name = "NAME")]
    pub fleet: Option<String>,
    /// File that holds the fleet's key (64 hex digits or base64)
    #[arg(long, value_name = "FILE")]
    pub fleet_key_file: Option<String>,
    /// Where the node's key, its state and its tasks' files are kept
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Unix socket of the API
    #[arg(long, value_name = "PATH")]
    pub socket: Option<String>,
    /// UDP address to listen on
    #[arg(long, value_name = "IP[:PORT]")]
    pub listen: Option<String>,
    /// Address that other nodes are told
    #[arg(long, value_name = "IP[:PORT]")]
    pub advertise: Option<String>,
    /// A node to ask first; can be repeated
    #[arg(long, value_name = "HOST[:PORT]")]
    pub join: Vec<String>,
    /// What the links are like: lan, wan or metered
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Host name that other nodes are told
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Label for placement (engine.labels.NAME); can be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// What is logged: error, warn, info, debug, or a filter
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Spread changes as rumours too (true), or by anti-entropy alone (false)
    #[arg(long, value_name = "BOOL", hide = true)]
    pub rumours: Option<String>,
}

impl AgentFlags {
    /// What was given, as keys and texts. The fleet key has no flag: everybody could read it in
    /// the list of processes.
    pub(super) fn given(&self) -> Vec<(Key, String)> {
        let list = |items: &[String]| if items.is_empty() { None } else { Some(items.join(",")) };
        [
            (Key::Fleet, self.fleet.clone()),
            (Key::FleetKeyFile, self.fleet_key_file.clone()),
            (Key::DataDir, self.data_dir.clone()),
            (Key::Socket, self.socket.clone()),
            (Key::Listen, self.listen.clone()),
            (Key::Advertise, self.advertise.clone()),
            (Key::Join, list(&self.join)),
            (Key::Profile, self.profile.clone()),
            (Key::Hostname, self.hostname.clone()),
            (Key::Labels, list(&self.label)),
            (Key::Log, self.log.clone()),
            (Key::Rumours, self.rumours.clone()),
        ]
        .into_iter()
        .filter_map(|(key, text)| text.map(|text| (key, text)))
        .collect()
    }
}
