//! A configuration while its sources are read, lowest priority first; a later value replaces an
//! earlier one. Every value is checked where it is set, so that a message can say where it came
//! from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crdt_state::spec::Labels;
use gossip::{Profile, Rumours};
use runtime::OciRuntime;
use runtime::image::mirror::{Host as MirrorHost, MirrorEntry};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::error::{ConfigError, SettingSource};
use super::fleet_key::FleetKey;
use super::given::{Given, Raw};
use super::key::ConfigKey;
use super::{AGENT_PORT, Config, DeviceKind, GenericResources, ImageFetch, JoinAddr};

/// What has been set so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    fleet: Option<String>,
    fleet_key: Option<FleetKey>,
    join_token_file: Option<PathBuf>,
    unlock_key_file: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    socket: Option<PathBuf>,
    api: Option<SocketAddr>,
    listen: Option<SocketAddr>,
    /// Its port is filled in when `listen` is known.
    advertise: Option<(IpAddr, Option<u16>)>,
    join: Vec<JoinAddr>,
    discover_members: Option<bool>,
    profile: Option<Profile>,
    hostname: Option<String>,
    labels: Labels,
    generic_resources: GenericResources,
    discover_devices: Option<BTreeSet<DeviceKind>>,
    log: Option<String>,
    rumours: Rumours,
    insecure_registries: Vec<String>,
    registry_mirrors: BTreeMap<String, Vec<MirrorHost>>,
    registry_certificates: Option<PathBuf>,
    docker_config: Option<PathBuf>,
    blob_rate_limit: Option<u64>,
    image_fetch: ImageFetch,
    stacks: Option<PathBuf>,
    history: Option<PathBuf>,
    oci_runtime: OciRuntime,
}

impl Draft {
    /// Sets one value, or returns what is wrong with it.
    pub(super) fn set(
        &mut self,
        key: ConfigKey,
        value: Raw,
        place: &SettingSource,
    ) -> Result<(), ConfigError> {
        let given = Given { key, value, place };
        match key {
            ConfigKey::Fleet => self.fleet = Some(name(&given)?),
            ConfigKey::FleetKey => {
                let text = given.text()?;
                self.fleet_key = Some(text.parse().map_err(|why| given.bad(text, why))?);
            }
            ConfigKey::FleetKeyFile => {
                let path = given.path()?;
                let key = FleetKey::read(&path)
                    .map_err(|why| given.bad(&path.display().to_string(), why))?;
                self.fleet_key = Some(key);
            }
            ConfigKey::JoinTokenFile => self.join_token_file = Some(given.path()?),
            ConfigKey::UnlockKeyFile => self.unlock_key_file = Some(given.path()?),
            ConfigKey::DataDir => self.data_dir = Some(given.path()?),
            ConfigKey::Socket => self.socket = Some(given.path()?),
            ConfigKey::Api => self.api = Some(api(&given)?),
            ConfigKey::Listen => {
                let (ip, port) = address(&given)?;
                self.listen = Some(SocketAddr::new(ip, port.unwrap_or(AGENT_PORT)));
            }
            ConfigKey::Advertise => self.advertise = Some(address(&given)?),
            ConfigKey::Join => self.join = join(&given)?,
            ConfigKey::DiscoverMembers => self.discover_members = Some(given.switch()?),
            ConfigKey::Profile => self.profile = Some(profile(&given)?),
            ConfigKey::Hostname => self.hostname = Some(name(&given)?),
            // A node's own labels are added to those of the fleet.
            ConfigKey::Labels => self.labels.extend(labels(&given)?),
            // A node's own replace those of the same kind.
            ConfigKey::GenericResources => self.generic_resources.extend(generic(&given)?),
            ConfigKey::DiscoverDevices => self.discover_devices = Some(devices(&given)?),
            ConfigKey::Log => {
                let text = given.text()?;
                log_filter(text).map_err(|why| given.bad(text, why))?;
                self.log = Some(text.to_owned());
            }
            ConfigKey::InsecureRegistries => self.insecure_registries = given.list()?,
            ConfigKey::RegistryMirrors => self.registry_mirrors = mirrors(&given)?,
            ConfigKey::RegistryCertificates => self.registry_certificates = Some(given.path()?),
            ConfigKey::DockerConfig => self.docker_config = Some(given.path()?),
            ConfigKey::BlobRateLimit => self.blob_rate_limit = Some(bytes_per_second(&given)?),
            ConfigKey::ImageFetch => self.image_fetch = image_fetch(&given)?,
            ConfigKey::Stacks => self.stacks = Some(given.path()?),
            ConfigKey::History => self.history = Some(given.path()?),
            ConfigKey::OciRuntime => self.oci_runtime = oci_runtime(&given)?,
            ConfigKey::Rumours => {
                self.rumours = if given.switch()? { Rumours::On } else { Rumours::Off };
            }
        }
        Ok(())
    }

    /// Fills in defaults.
    pub(super) fn finish(self) -> Result<Config, ConfigError> {
        let listen = self.listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], AGENT_PORT)));
        Ok(Config {
            fleet: self.fleet.unwrap_or_else(|| "edge".to_owned()),
            fleet_key: self.fleet_key,
            join_token_file: self.join_token_file,
            unlock_key_file: self.unlock_key_file,
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from("/var/lib/edgectl")),
            socket: self.socket.unwrap_or_else(|| PathBuf::from("/run/edgectl/edgectl.sock")),
            api: self.api,
            listen,
            advertise: self
                .advertise
                .map(|(ip, port)| SocketAddr::new(ip, port.unwrap_or(listen.port()))),
            join: self.join,
            discover_members: self.discover_members.unwrap_or(true),
            profile: self.profile.unwrap_or(Profile::LAN),
            hostname: self.hostname,
            labels: self.labels,
            generic_resources: self.generic_resources,
            discover_devices: self.discover_devices.unwrap_or_else(|| DeviceKind::ALL.into()),
            log: self.log.unwrap_or_else(|| "info".to_owned()),
            rumours: self.rumours,
            insecure_registries: self.insecure_registries,
            registry_mirrors: self.registry_mirrors,
            registry_certificates: self
                .registry_certificates
                .unwrap_or_else(|| PathBuf::from("/etc/docker/certs.d")),
            docker_config: self.docker_config,
            blob_rate_limit: self.blob_rate_limit,
            image_fetch: self.image_fetch,
            stacks: self.stacks,
            history: self.history,
            oci_runtime: self.oci_runtime,
        })
    }
}

/// `info`, or `warn,node=debug`. The library would take a misspelt level for a module name.
pub(super) fn log_filter(text: &str) -> Result<Targets, &'static str> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_right = |part: &str| match part.split_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(part),
    };
    if !text.split(',').all(|part| is_right(part.trim())) {
        return Err("it is one of error, warn, info, debug, trace, off, or part=level");
    }
    text.parse().map_err(|_| "it is no filter")
}

fn name(given: &Given<'_>) -> Result<String, ConfigError> {
    let text = given.text()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() > 63 || !text.chars().all(legal) {
        return Err(given.bad(text, "at most 63 of a-z, A-Z, 0-9, `-`, `_` and `.`"));
    }
    Ok(text.to_owned())
}

fn api(given: &Given<'_>) -> Result<SocketAddr, ConfigError> {
    let text = given.text()?;
    text.parse().map_err(|_| given.bad(text, "it is an address and a port"))
}

fn address(given: &Given<'_>) -> Result<(IpAddr, Option<u16>), ConfigError> {
    let text = given.text()?;
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip(), Some(address.port())));
    }
    text.parse::<IpAddr>()
        .map(|ip| (ip, None))
        .map_err(|_| given.bad(text, "it is not an IP address with or without a port"))
}

fn join(given: &Given<'_>) -> Result<Vec<JoinAddr>, ConfigError> {
    given
        .list()?
        .iter()
        .map(|text| text.parse::<JoinAddr>().map_err(|why| given.bad(text, why)))
        .collect()
}

fn profile(given: &Given<'_>) -> Result<Profile, ConfigError> {
    let text = given.text()?;
    Profile::named(text).ok_or_else(|| given.bad(text, "it is one of lan, wan, metered"))
}

fn mirrors(given: &Given<'_>) -> Result<BTreeMap<String, Vec<MirrorHost>>, ConfigError> {
    let mut mirrors = BTreeMap::<String, Vec<MirrorHost>>::new();
    for text in given.list()? {
        let entry: MirrorEntry = text.parse().map_err(|why| given.bad(&text, why))?;
        mirrors.entry(entry.registry).or_default().push(entry.host);
    }
    Ok(mirrors)
}

/// `500k`, `2m`, or plain bytes; 1,024 each.
fn bytes_per_second(given: &Given<'_>) -> Result<u64, ConfigError> {
    let text = given.text()?;
    let (digits, factor) = match text.to_ascii_lowercase() {
        t if t.ends_with('k') => (t.trim_end_matches('k').to_owned(), 1 << 10),
        t if t.ends_with('m') => (t.trim_end_matches('m').to_owned(), 1 << 20),
        t => (t, 1),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    // Below this, a peer would take the silence between two pieces for the end.
    bytes.filter(|bytes| *bytes >= 4_096).ok_or_else(|| {
        given.bad(text, "it is bytes per second, with k or m behind them, and at least 4k")
    })
}

fn image_fetch(given: &Given<'_>) -> Result<ImageFetch, ConfigError> {
    match given.text()? {
        "on" => Ok(ImageFetch::On),
        "paused" => Ok(ImageFetch::Paused),
        other => Err(given.bad(other, "it is one of on, paused")),
    }
}

fn oci_runtime(given: &Given<'_>) -> Result<OciRuntime, ConfigError> {
    let text = given.text()?;
    let why =
        "it is embedded, runc, crun, or the full path of a program that takes their arguments";
    text.parse().map_err(|_| given.bad(text, why))
}

fn generic(given: &Given<'_>) -> Result<GenericResources, ConfigError> {
    super::generic::read(&given.list()?).map_err(|bad| given.bad(&bad.text, bad.why))
}

/// A list of kinds, or all or none of them.
fn devices(given: &Given<'_>) -> Result<BTreeSet<DeviceKind>, ConfigError> {
    let words = match &given.value {
        Raw::Switch(_) => None,
        Raw::Typed(_) if given.switch().is_ok() => None,
        _ => Some(given.list()?),
    };
    match words {
        Some(words) => super::devices::read(&words)
            .map_err(|word| given.bad(word, "it is one of serial, camera, gpu; or true, or false")),
        None if given.switch()? => Ok(DeviceKind::ALL.into()),
        None => Ok(BTreeSet::new()),
    }
}

fn labels(given: &Given<'_>) -> Result<Labels, ConfigError> {
    given
        .list()?
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(given.bad(text, "a label is written name=value")),
        })
        .collect()
}

/// Why a text is not a node to ask first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not an address or a name, with or without a port")]
pub struct BadJoinAddr;

impl std::str::FromStr for JoinAddr {
    type Err = BadJoinAddr;

    fn from_str(text: &str) -> Result<JoinAddr, BadJoinAddr> {
        let (host, port) = if let Ok(address) = text.parse::<SocketAddr>() {
            (address.ip().to_string(), address.port())
        } else if text.parse::<IpAddr>().is_ok() {
            (text.to_owned(), AGENT_PORT)
        } else if let Some((host, port)) = text.rsplit_once(':') {
            (host.to_owned(), port.parse().map_err(|_| BadJoinAddr)?)
        } else {
            (text.to_owned(), AGENT_PORT)
        };
        if port == 0 || !(is_host_name(&host) || host.parse::<IpAddr>().is_ok()) {
            return Err(BadJoinAddr);
        }
        Ok(JoinAddr { host, port })
    }
}

/// Would a resolver accept this name: labels of letters, digits, - and _ with dots between them? A
/// text of digits and dots that is no address is a mistyped address.
fn is_host_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=63).contains(&label.len())
            && label.chars().all(legal)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = name.split('.').all(|label| label.chars().all(|c| c.is_ascii_digit()));
    name.len() <= 253 && name.split('.').all(is_label) && !is_number
}
