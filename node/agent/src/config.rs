//! The agent's configuration: one flat TOML file of plain keys, the same on every node of a fleet.
//! The environment (`EDGECTL_…`) overrides the file, and flags override both.
//!
//! Keys that belong to one node only (its address, its host name) are refused in the file and taken
//! from the environment or a flag. Nothing here opens a socket or writes a file. Documented key by
//! key in `examples/edge.toml`, which is read by a test.

mod devices;
mod draft;
mod error;
mod file;
mod fleet_key;
mod generic;
mod given;
mod key;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crdt_state::spec::Labels;
use gossip::{Profile, Rumours};
use runtime::image::mirror::Host as MirrorHost;

pub use devices::DeviceKind;
pub use error::{ConfigError, SettingSource};
pub use fleet_key::{BadFleetKey, FleetKey};
pub(crate) use generic::name_fault;
pub use generic::{Amount, GenericResources};
pub use key::ConfigKey;

use draft::Draft;
use given::Raw;

/// The port of all traffic between agents: sealed datagrams and QUIC.
pub const AGENT_PORT: u16 = 7946;

/// The default path of the config; the file need not exist.
pub const CONFIG_PATH: &str = "/etc/edgectl/edge.toml";

/// All settings of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the fleet, for display.
    pub fleet: String,
    /// The key that all nodes of the fleet share; `None` until one is configured or made.
    pub fleet_key: Option<FleetKey>,
    /// A file with a join token, by which a node without members joins; read when it is needed.
    pub join_token_file: Option<PathBuf>,
    /// A file that opens what this node keeps on its disk, if that is sealed.
    pub unlock_key_file: Option<PathBuf>,
    /// Where the node's key, its state and its tasks' files are kept.
    pub data_dir: PathBuf,
    /// The unix socket of the API.
    pub socket: PathBuf,
    /// Where the API is served over TLS, TCP; `None`: nowhere.
    pub api: Option<SocketAddr>,
    /// Where the agent listens, UDP.
    pub listen: SocketAddr,
    /// The address that is told to others, if it differs from the detected one.
    pub advertise: Option<SocketAddr>,
    /// Nodes to ask first; one that answers is enough.
    pub join: Vec<JoinAddr>,
    /// Members are found by multicast DNS, and answer machines that look for them by a token.
    pub discover_members: bool,
    /// What the links between the nodes are like.
    pub profile: Profile,
    /// Host name shown to others; `None`: the machine's.
    pub hostname: Option<String>,
    /// `engine.labels.*`, for placement constraints.
    pub labels: Labels,
    /// What the node has besides processors and memory, for `--generic-resource`.
    pub generic_resources: GenericResources,
    /// The kinds of devices that are looked for; of a kind that is in `generic_resources`, those count.
    pub discover_devices: BTreeSet<DeviceKind>,
    /// What is logged, in the form of `tracing` filters.
    pub log: String,
    /// Whether changes are also spread as rumours; off, only anti-entropy carries them.
    pub rumours: Rumours,
    /// Registries that may be accessed without TLS, besides loopback.
    pub insecure_registries: Vec<String>,
    /// Mirrors by registry, in the order they are tried.
    pub registry_mirrors: BTreeMap<String, Vec<MirrorHost>>,
    /// A folder as Docker's `/etc/docker/certs.d`.
    pub registry_certificates: PathBuf,
    /// Docker's file with logins; `None`: Docker's default path for the agent's user.
    pub docker_config: Option<PathBuf>,
    /// Bytes of images per second that this node downloads, and as many that it sends to peers;
    /// `None`: no limit.
    pub blob_rate_limit: Option<u64>,
    /// Whether images are fetched at the start; an operator can change it while the agent runs.
    pub image_fetch: ImageFetch,
    /// The folder of Compose files that every node has, and that the fleet is made to be like.
    pub stacks: Option<PathBuf>,
    /// Where the history of the node is written, if anywhere.
    pub history: Option<PathBuf>,
    /// The OCI runtime that makes containers.
    pub oci_runtime: runtime::OciRuntime,
}

/// Whether images that are not here are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageFetch {
    /// When a task or an operator needs them.
    #[default]
    On,
    /// Not now: the uplink is needed for something else. Images that are here still run.
    Paused,
}

/// A node to ask first: a name or an address, and a port. Names are resolved when the node is
/// dialled, because this node may start before its name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAddr {
    /// Name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl std::fmt::Display for JoinAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Config {
    /// Reads the file (if there is one), the environment, and the values of flags.
    pub fn load(file: Option<&Path>, flags: &[(ConfigKey, String)]) -> Result<Config, ConfigError> {
        let environment = |name: &str| std::env::var(name).ok();
        let (path, text) = match file {
            Some(path) => (path, Some(read(path)?)),
            None => {
                let path = Path::new(CONFIG_PATH);
                (path, if path.exists() { Some(read(path)?) } else { None })
            }
        };
        Config::from_sources(text.as_deref().map(|text| (path, text)), environment, flags)
    }

    /// The filter that [`Config::log`] describes.
    pub fn log_filter(&self) -> tracing_subscriber::filter::Targets {
        draft::log_filter(&self.log).expect("it was checked when it was set")
    }

    /// The same without access to the machine: `file` is a path (for messages) and its text.
    pub fn from_sources(
        file: Option<(&Path, &str)>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &[(ConfigKey, String)],
    ) -> Result<Config, ConfigError> {
        let mut draft = Draft::default();
        if let Some((path, text)) = file {
            for entry in file::parse(path, text)? {
                draft.set(entry.key, entry.value, &entry.place)?;
            }
        }
        for key in ConfigKey::ALL {
            if let Some(text) = environment(&key.variable()) {
                draft.set(key, Raw::Typed(text), &SettingSource::Environment(key.variable()))?;
            }
        }
        for (key, text) in flags {
            draft.set(*key, Raw::Typed(text.clone()), &SettingSource::Flag(key.flag()))?;
        }
        draft.finish()
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        error: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
