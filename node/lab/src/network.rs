//! The lab's network as root: a namespace per node, a bridge in a further namespace, and rules that
//! drop packets.
//!
//! Packets are dropped where they arrive, in the input hook. A drop at the sender would return an
//! error to it (EPERM), which a cut cable does not do. This module must never touch a link, a rule
//! or a namespace whose name does not begin with the lab's.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::state::LabState;

/// Where `ip netns` keeps the named namespaces.
const NAMESPACES: &str = "/run/netns";

/// The prefix of the names of all namespaces of a lab.
fn prefix(lab: &str) -> String {
    format!("edgelab-{lab}-")
}

/// Creates all namespaces, the bridge and the links.
pub(super) fn create(state: &LabState) -> Result<()> {
    let switch = format!("{}switch", prefix(&state.name));
    ip(&["netns", "add", &switch])?;
    ip(&["-n", &switch, "link", "add", "bridge0", "type", "bridge"])?;
    quiet(&switch, "bridge0")?;
    ip(&["-n", &switch, "link", "set", "bridge0", "up"])?;
    for (at, node) in state.nodes.iter().enumerate() {
        plug_in(&switch, &state.namespace(at), &node.name, node.address)?;
    }
    let addresses: Vec<Ipv4Addr> = state.nodes.iter().map(|node| node.address).collect();
    for at in 0..state.nodes.len() {
        introduce(&state.namespace(at), &addresses)?;
    }
    Ok(())
}

/// Creates one node's namespace, with its link to the switch.
fn plug_in(switch: &str, namespace: &str, port: &str, address: Ipv4Addr) -> Result<()> {
    ip(&["netns", "add", namespace])?;
    ip(&["-n", namespace, "link", "set", "lo", "up"])?;
    let (near, far) = (["link", "add", "eth0", "address"], ["name", port, "netns", switch]);
    let (own, veth) = (link_address(address), ["type", "veth", "peer"]);
    ip(&[&["-n", namespace], &near[..], &[own.as_str()], &veth[..], &far[..]].concat())?;
    quiet(namespace, "eth0")?;
    quiet(switch, port)?;
    ip(&["-n", switch, "link", "set", port, "master", "bridge0", "up"])?;
    ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
    ip(&["-n", namespace, "link", "set", "eth0", "up"])
}

/// The link address of a node: locally administered, and always the same for the same node.
fn link_address(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// Makes a node's neighbours permanently known to its kernel. The kernel has one table of
/// neighbours for all namespaces, with 1,024 learned entries. 33 nodes would fill it, and then the
/// machine itself could not reach any neighbour. Permanent entries do not count.
fn introduce(namespace: &str, addresses: &[Ipv4Addr]) -> Result<()> {
    let entry = |address: &Ipv4Addr| {
        format!(
            "neigh replace {address} lladdr {} dev eth0 nud permanent\n",
            link_address(*address)
        )
    };
    let entries: String = addresses.iter().map(entry).collect();
    let mut command = Command::new("ip");
    command.args(["-n", namespace, "-batch", "-"]);
    feed(command, &entries).with_context(|| format!("ip neigh in {namespace}"))
}

/// No automatic IPv6 address: the traffic of an idle node should be the agent's only.
fn quiet(namespace: &str, link: &str) -> Result<()> {
    ip(&["-n", namespace, "link", "set", link, "addrgenmode", "none"])
}

/// The namespaces of a lab that exist.
pub(super) fn namespaces(lab: &str) -> Result<Vec<String>> {
    let prefix = prefix(lab);
    let Ok(entries) = std::fs::read_dir(NAMESPACES) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes a namespace; its links and rules go with it.
pub(super) fn remove(namespace: &str) -> Result<()> {
    ip(&["netns", "delete", namespace])
}

/// Drops packets from these addresses, in addition to earlier drops.
pub(super) fn drop_from(namespace: &str, addresses: &[Ipv4Addr]) -> Result<()> {
    let addresses: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
    let hook = "type filter hook input priority -300; policy accept;";
    nft(
        namespace,
        &format!(
            "add table inet edgelab\n\
             add chain inet edgelab cut {{ {hook} }}\n\
             add rule inet edgelab cut ip saddr {{ {} }} counter drop\n",
            addresses.join(", ")
        ),
    )
}

/// Undoes every [`drop_from`].
pub(super) fn pass_all(namespace: &str) -> Result<()> {
    nft(namespace, "add table inet edgelab\ndelete table inet edgelab\n")
}

/// Drops everything in both directions, like a machine without power. Outgoing packets too, because
/// the kernel closes the open connections of a process that dies.
pub(super) fn silence(namespace: &str) -> Result<()> {
    nft(
        namespace,
        "add table inet edgelab-dead\n\
         add chain inet edgelab-dead in { type filter hook input priority -310; policy accept; }\n\
         add chain inet edgelab-dead out { type filter hook output priority -310; policy accept; }\n\
         add rule inet edgelab-dead in iif != \"lo\" drop\n\
         add rule inet edgelab-dead out oif != \"lo\" drop\n",
    )
}

/// The network behind every router: most have the same.
const BEHIND: [&str; 2] = ["192.168.77.1/24", "192.168.77.2/24"];

/// Puts a router in place of a node, which is then behind it: the node's link to the switch becomes
/// the router's. Each flow of the node gets another port, and only answers pass. Returns the node's
/// address behind it.
pub(super) fn insert_router(node: &str, router: &str, address: Ipv4Addr) -> Result<Ipv4Addr> {
    ip(&["netns", "add", router])?;
    ip(&["-n", router, "link", "set", "lo", "up"])?;
    ip(&["-n", node, "link", "set", "eth0", "netns", router])?;
    ip(&[
        "-n", node, "link", "add", "eth0", "type", "veth", "peer", "name", "in0", "netns", router,
    ])?;
    for (namespace, link) in [(node, "eth0"), (router, "in0")] {
        quiet(namespace, link)?;
    }
    let outside = format!("{address}/24");
    let addresses =
        [(router, "eth0", outside.as_str()), (router, "in0", BEHIND[0]), (node, "eth0", BEHIND[1])];
    for (namespace, link, address) in addresses {
        ip(&["-n", namespace, "address", "add", address, "dev", link])?;
        ip(&["-n", namespace, "link", "set", link, "up"])?;
    }
    let [gateway, inner] = BEHIND.map(|net| net.split('/').next().unwrap_or(net));
    ip(&["-n", node, "route", "add", "default", "via", gateway])?;
    nft(
        router,
        "add table inet edgelab\n\
         add chain inet edgelab out { type nat hook postrouting priority srcnat; }\n\
         add chain inet edgelab through { type filter hook forward priority filter; }\n\
         add chain inet edgelab in { type filter hook input priority filter; }\n\
         add rule inet edgelab out oif \"eth0\" masquerade fully-random\n\
         add rule inet edgelab through iif \"eth0\" ct state established,related accept\n\
         add rule inet edgelab through iif \"eth0\" drop\n\
         add rule inet edgelab in iif \"eth0\" meta l4proto { tcp, udp } drop\n",
    )?;
    let mut forward = inside(router, "sysctl");
    forward.args(["-qw", "net.ipv4.ip_forward=1"]).stdin(Stdio::null());
    let output = forward.output().context("cannot start sysctl, of Debian's procps")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "sysctl in {router}: {}", said.trim());
    inner.parse().context("it is an address")
}

/// Undoes [`silence`].
pub(super) fn unsilence(namespace: &str) -> Result<()> {
    nft(namespace, "add table inet edgelab-dead\ndelete table inet edgelab-dead\n")
}

/// A program inside a namespace. It uses `nsenter`, because `ip netns exec` also remounts /sys, and
/// then a task's cgroup could not be reached.
pub(super) fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={NAMESPACES}/{namespace}")).arg("--").arg(program);
    command
}

/// The processes in a namespace; none if it does not exist.
pub(super) fn processes(namespace: &str) -> Result<Vec<u32>> {
    if !std::path::Path::new(NAMESPACES).join(namespace).exists() {
        return Ok(Vec::new());
    }
    let output = Command::new("ip").args(["netns", "pids", namespace]).output();
    let output = output.context("cannot start ip, of Debian's iproute2")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).stdin(Stdio::null()).output();
    let output = output.context("cannot start ip, of Debian's iproute2")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", words.join(" "), said.trim());
    Ok(())
}

/// Applies rules as one transaction.
fn nft(namespace: &str, rules: &str) -> Result<()> {
    let mut command = inside(namespace, "nft");
    command.args(["-f", "-"]);
    feed(command, rules).with_context(|| format!("nft in {namespace}"))
}

/// Runs a program that reads its input from `text`.
fn feed(mut command: Command, text: &str) -> Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(text.as_bytes()).with_context(|| format!("{program} does not read"))?;
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
