//! The keys: their names, their scope, an example of each, and the key that a typo probably means.

/// One key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigKey {
    /// Name of the fleet.
    Fleet,
    /// The fleet's key itself.
    FleetKey,
    /// A file that holds the fleet's key.
    FleetKeyFile,
    /// A file that holds a join token.
    JoinTokenFile,
    /// A file that opens what the node has sealed.
    UnlockKeyFile,
    /// The data directory.
    DataDir,
    /// The API's unix socket.
    Socket,
    /// Where the API is served over TLS.
    Api,
    /// UDP address to listen on.
    Listen,
    /// Address that is told to other nodes.
    Advertise,
    /// Nodes to ask first.
    Join,
    /// Whether members are found, and let themselves be found, by multicast DNS.
    DiscoverMembers,
    /// `lan`, `wan` or `metered`.
    Profile,
    /// Host name that is told to other nodes.
    Hostname,
    /// Labels for placement.
    Labels,
    /// Generic resources of the node.
    GenericResources,
    /// Devices that the node finds and offers by itself.
    DiscoverDevices,
    /// What is logged.
    Log,
    /// Rumours on or off.
    Rumours,
    /// Registries that may be accessed without TLS.
    InsecureRegistries,
    /// Mirrors of registries.
    RegistryMirrors,
    /// Folder with the CAs of registries.
    RegistryCertificates,
    /// Docker's file with the logins of registries.
    DockerConfig,
    /// Bytes of images per second.
    BlobRateLimit,
    /// Whether images are fetched.
    ImageFetch,
    /// A folder of Compose files.
    Stacks,
    /// A file for the history of the node.
    History,
    /// The OCI runtime that makes containers.
    OciRuntime,
}

/// Where the value of a key may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The same on every node: may be set in the file.
    Fleet,
    /// Different on each node: environment or flag only.
    Node,
}

impl ConfigKey {
    /// All of them, in the order of the documentation.
    pub const ALL: [ConfigKey; 28] = [
        ConfigKey::Fleet,
        ConfigKey::FleetKey,
        ConfigKey::FleetKeyFile,
        ConfigKey::JoinTokenFile,
        ConfigKey::UnlockKeyFile,
        ConfigKey::DataDir,
        ConfigKey::Socket,
        ConfigKey::Api,
        ConfigKey::Listen,
        ConfigKey::Advertise,
        ConfigKey::Join,
        ConfigKey::DiscoverMembers,
        ConfigKey::Profile,
        ConfigKey::Hostname,
        ConfigKey::Labels,
        ConfigKey::GenericResources,
        ConfigKey::DiscoverDevices,
        ConfigKey::Log,
        ConfigKey::Rumours,
        ConfigKey::InsecureRegistries,
        ConfigKey::RegistryMirrors,
        ConfigKey::RegistryCertificates,
        ConfigKey::DockerConfig,
        ConfigKey::BlobRateLimit,
        ConfigKey::ImageFetch,
        ConfigKey::Stacks,
        ConfigKey::History,
        ConfigKey::OciRuntime,
    ];

    /// As written in the file.
    pub fn name(self) -> &'static str {
        match self {
            ConfigKey::Fleet => "fleet",
            ConfigKey::FleetKey => "fleet_key",
            ConfigKey::FleetKeyFile => "fleet_key_file",
            ConfigKey::JoinTokenFile => "join_token_file",
            ConfigKey::UnlockKeyFile => "unlock_key_file",
            ConfigKey::DataDir => "data_dir",
            ConfigKey::Socket => "socket",
            ConfigKey::Api => "api",
            ConfigKey::Listen => "listen",
            ConfigKey::Advertise => "advertise",
            ConfigKey::Join => "join",
            ConfigKey::DiscoverMembers => "discover_members",
            ConfigKey::Profile => "profile",
            ConfigKey::Hostname => "hostname",
            ConfigKey::Labels => "labels",
            ConfigKey::GenericResources => "generic_resources",
            ConfigKey::DiscoverDevices => "discover_devices",
            ConfigKey::Log => "log",
            ConfigKey::Rumours => "rumours",
            ConfigKey::InsecureRegistries => "insecure_registries",
            ConfigKey::RegistryMirrors => "registry_mirrors",
            ConfigKey::RegistryCertificates => "registry_certificates",
            ConfigKey::DockerConfig => "docker_config",
            ConfigKey::BlobRateLimit => "blob_rate_limit",
            ConfigKey::ImageFetch => "image_fetch",
            ConfigKey::Stacks => "stacks",
            ConfigKey::History => "history",
            ConfigKey::OciRuntime => "oci_runtime",
        }
    }

    /// An example of a correct line.
    pub(super) fn example(self) -> &'static str {
        match self {
            ConfigKey::Fleet => "fleet = \"shop-12\"",
            ConfigKey::FleetKey => "fleet_key = \"<64 hex digits, from: openssl rand -hex 32>\"",
            ConfigKey::FleetKeyFile => "fleet_key_file = \"/etc/edgectl/fleet.key\"",
            ConfigKey::JoinTokenFile => "join_token_file = \"/etc/edgectl/join.token\"",
            ConfigKey::UnlockKeyFile => "unlock_key_file = \"/media/usb/edgectl.key\"",
            ConfigKey::DataDir => "data_dir = \"/var/lib/edgectl\"",
            ConfigKey::Socket => "socket = \"/run/edgectl/edgectl.sock\"",
            ConfigKey::Api => "api = \"0.0.0.0:2376\"",
            ConfigKey::Listen => "listen = \"0.0.0.0:7946\"",
            ConfigKey::Advertise => "advertise = \"192.168.1.12:7946\"",
            ConfigKey::Join => "join = [\"192.168.1.11\", \"192.168.1.12:7946\"]",
            ConfigKey::DiscoverMembers => "discover_members = false",
            ConfigKey::Profile => "profile = \"lan\"",
            ConfigKey::Hostname => "hostname = \"till-3\"",
            ConfigKey::Labels => "labels = [\"zone=a\", \"disk=ssd\"]",
            ConfigKey::GenericResources => "generic_resources = [\"gpu=2\", \"camera=front\"]",
            ConfigKey::DiscoverDevices => "discover_devices = [\"serial\", \"camera\"]",
            ConfigKey::Log => "log = \"info\"",
            ConfigKey::Rumours => "rumours = true",
            ConfigKey::InsecureRegistries => "insecure_registries = [\"nas:5000\", \"10.0.0.9\"]",
            ConfigKey::RegistryMirrors => {
                "registry_mirrors = [\"http://10.0.0.9:5000\", \"ghcr.io=https://mirror.shop\"]"
            }
            ConfigKey::RegistryCertificates => "registry_certificates = \"/etc/docker/certs.d\"",
            ConfigKey::DockerConfig => "docker_config = \"/root/.docker/config.json\"",
            ConfigKey::BlobRateLimit => "blob_rate_limit = \"2m\"",
            ConfigKey::ImageFetch => "image_fetch = \"on\"",
            ConfigKey::Stacks => "stacks = \"/etc/edgectl/stacks\"",
            ConfigKey::History => "history = \"/var/lib/edgectl/node.history\"",
            ConfigKey::OciRuntime => "oci_runtime = \"embedded\"",
        }
    }

    pub(super) fn scope(self) -> Scope {
        match self {
            ConfigKey::Advertise | ConfigKey::Hostname | ConfigKey::History => Scope::Node,
            _ => Scope::Fleet,
        }
    }

    /// `EDGECTL_DATA_DIR`.
    pub fn variable(self) -> String {
        format!("EDGECTL_{}", self.name().to_uppercase())
    }

    /// `--data-dir`. Repeatable flags are named in the singular, as Docker does.
    pub fn flag(self) -> String {
        match self {
            ConfigKey::Labels => "--label".to_owned(),
            ConfigKey::GenericResources => "--generic-resource".to_owned(),
            key => format!("--{}", key.name().replace('_', "-")),
        }
    }

    /// The key of this exact name.
    pub fn from_name(name: &str) -> Option<ConfigKey> {
        ConfigKey::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The key that `name` was probably meant to be: at most a third of its letters are wrong.
    pub(super) fn nearest(name: &str) -> Option<ConfigKey> {
        let plain = name.to_lowercase().replace(['-', ' '], "_");
        ConfigKey::ALL
            .into_iter()
            .map(|key| (distance(&plain, key.name()), key))
            .filter(|(distance, key)| *distance <= key.name().len().div_ceil(3))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, key)| key)
    }
}

/// Levenshtein distance: insertions, deletions and replacements from one text to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
