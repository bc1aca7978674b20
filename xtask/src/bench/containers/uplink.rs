//! A thin uplink: a registry in a namespace of its own, connected to the lab's switch, that sends
//! at most 10 MB/s.
//!
//! The link itself counts the bytes, with all headers. Packets leave in batches of up to 64 KiB
//! with one header each, as on a link with segmentation in hardware. The namespace has a name of
//! the lab's, so that it is removed together with the lab.

use crate::fleet::Fleet;
use crate::repo;
use crate::step::succeed;
use anyhow::{Context, Result, ensure};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Bytes that it sends in a second.
pub const BYTES_PER_S: f64 = 10_000_000.0;
/// The same in the syntax of tc: 80 million bits. A bucket of 256 KiB holds some batches.
const SHAPE: [&str; 6] = ["rate", "80mbit", "burst", "256kb", "latency", "400ms"];
/// Its address in the lab's network.
const HOST: u8 = 250;
const PORT: u16 = 5000;

/// The registry runs as long as this value exists.
pub struct Uplink {
    namespace: String,
    address: Ipv4Addr,
    registry: Child,
}

impl Uplink {
    /// Creates the namespace, the link and the registry, and allows the fleet's agents to use it
    /// without TLS.
    pub fn lay(fleet: &Fleet) -> Result<Uplink> {
        let prefix = format!("edgelab-{}", fleet.name());
        let (namespace, switch) = (format!("{prefix}-uplink"), format!("{prefix}-switch"));
        let first: Ipv4Addr = fleet.nodes[0].address.parse().context("a node's address")?;
        let [a, b, c, _] = first.octets();
        let address = Ipv4Addr::new(a, b, c, HOST);
        ip(&["netns", "add", &namespace])?;
        let in_it = |words: &[&str]| ip(&[&["-n", &namespace], words].concat());
        in_it(&["link", "set", "lo", "up"])?;
        in_it(&[
            "link", "add", "eth0", "type", "veth", "peer", "name", "uplink", "netns", &switch,
        ])?;
        ip(&["-n", &switch, "link", "set", "uplink", "master", "bridge0", "up"])?;
        in_it(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        in_it(&["link", "set", "eth0", "up"])?;
        let mut shape = Command::new("tc");
        shape.args(["-n", &namespace, "qdisc", "add", "dev", "eth0", "root", "tbf"]).args(SHAPE);
        succeed(&mut shape)?;
        let registry = registry(&namespace, &fleet.dir.join("registry"))?;
        let uplink = Uplink { namespace, address, registry };
        fleet.wait("the registry answers", Duration::from_secs(20), || uplink.answers())?;
        fleet.configure(&format!("insecure_registries = [\"{address}:{PORT}\"]"))?;
        Ok(uplink)
    }

    fn answers(&self) -> Result<bool> {
        let url = format!("http://127.0.0.1:{PORT}/v2/");
        let mut ask = within(&self.namespace, "curl");
        let status = ask.args(["--silent", "--fail", &url]).stdout(Stdio::null()).status()?;
        Ok(status.success())
    }

    /// Puts an archive's image into the registry, from the registry's side of the uplink; returns
    /// its reference.
    pub fn offer(&self, archive: &Path, name: &str) -> Result<String> {
        let from = format!("docker-archive:{}", archive.display());
        let to = format!("docker://127.0.0.1:{PORT}/{name}");
        let mut copy = within(&self.namespace, "skopeo");
        copy.args(["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", &from, &to]);
        succeed(&mut copy)?;
        Ok(format!("{}:{PORT}/{name}", self.address))
    }

    /// Bytes that were sent to the fleet since the link was made.
    pub fn sent_bytes(&self) -> Result<f64> {
        let mut ask = within(&self.namespace, "cat");
        let output = ask.arg("/proc/net/dev").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:"));
        let sent = line.and_then(|numbers| numbers.split_whitespace().nth(8)?.parse().ok());
        sent.context("eth0 has no counters")
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        let _ = self.registry.kill();
        let _ = self.registry.wait();
    }
}

/// Debian's registry in the namespace; it ends with this process.
fn registry(namespace: &str, folder: &Path) -> Result<Child> {
    std::fs::create_dir_all(folder)?;
    let config = folder.join("config.yml");
    let text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
         http:\n  addr: 0.0.0.0:{PORT}\n",
        folder.join("data").display()
    );
    std::fs::write(&config, text)?;
    let log = std::fs::File::create(folder.join("log"))?;
    let program: PathBuf = repo::program("docker-registry").context("no docker-registry")?;
    let mut serve = within(namespace, "setpriv");
    serve.args(["--pdeathsig", "KILL", "--"]).arg(program).arg("serve").arg(&config);
    serve.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    serve.spawn().context("cannot start docker-registry")
}

/// A program that runs in the namespace.
fn within(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).args(["--", program]);
    command
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output().context("cannot start ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", words.join(" "), said.trim());
    Ok(())
}
