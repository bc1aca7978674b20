//! Throughput and new connections per second: ways from a client to a server, measured in turn.
//!
//! Every round measures every way once, and the median of the rounds' ratios counts: the speed of a
//! shared machine changes from minute to minute, and both sides of a ratio must see the same one.

use super::by_hand::ByHand;
use super::report::{Measured, Report};
use super::shop::{IDLE, Shop};
use crate::bench::figures::median;
use crate::fleet::place::{Place, Running};
use crate::load::connections::Connections;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Rounds of throughput, and of connections.
const ROUNDS: usize = 7;
/// The port of iperf3, and the one that it is published as.
const PORT: u16 = 5201;
const PUBLISHED: u16 = 8201;
/// The ports of the servers that take connections, for the virtual address and for the task's own.
///
/// A client that reaches one port by both would measure something else: the kernel's translation
/// changes the source port where the task's own address has the same one, and the server, which
/// remembers that port with another clock, lets the client wait for a second.
const ACCEPT: [u16; 2] = [5301, 5302];
/// The encrypted network.
const SECRET: &str = "secret";

/// A way from a client to a server.
pub struct Way {
    from: Place,
    address: IpAddr,
    port: u16,
}

impl Way {
    /// To the port of iperf3 at an address.
    pub fn of_throughput(from: &Place, address: IpAddr) -> Way {
        Way { from: from.clone(), address, port: PORT }
    }
}

/// A figure whose value is the ratio of one way to another.
pub struct Ratio {
    /// Its name.
    pub figure: &'static str,
    /// What it is compared with.
    pub what: &'static str,
    /// The way that is measured.
    pub own: Way,
    /// The one that it is compared with.
    pub baseline: Way,
}

/// Measures the figures of throughput that are wanted.
pub fn throughput(shop: &Shop, wanted: &[&str], report: &mut Report) -> Result<()> {
    let [first, second, third] = [0, 1, 2].map(|at| &shop.fleet.nodes[at]);
    let client = shop.client(first)?;
    let published = format!("{PUBLISHED}:{PORT}");
    let constraint = ["--constraint", "node.hostname==n2"];
    shop.create("server", &[&constraint[..], &["--publish", &published]].concat(), &IDLE)?;
    let server = Place::of_task(&shop.running("server", 1)?[0]);
    let by_hand = ByHand::join(&shop.fleet, [first, second])?;
    let mut servers = vec![iperf3_server(&server)?, iperf3_server(&by_hand.ends[1])?];
    let task = shop.resolve(&client, "server.1")?;
    let virtual_address = shop.resolve(&client, "server")?;
    let mut ratios = Vec::new();
    let mut ratio = |figure, what, own, baseline| {
        if wanted.contains(&figure) {
            ratios.push(Ratio { figure, what, own, baseline });
        }
    };
    let direct = || Way::of_throughput(&client, task);
    ratio(
        "overlay_ratio",
        "by hand",
        direct(),
        Way::of_throughput(&by_hand.ends[0], by_hand.address),
    );
    ratio("vip_ratio", "direct", Way::of_throughput(&client, virtual_address), direct());
    let mesh = |address: &str| -> Result<Way> {
        Ok(Way { from: client.clone(), address: address.parse()?, port: PUBLISHED })
    };
    ratio("mesh_ratio", "direct", mesh(&first.address)?, direct());
    ratio("mesh_far_ratio", "direct", mesh(&third.address)?, direct());
    let mut encrypted = None;
    if wanted.contains(&"encrypted_ratio") {
        match secret(shop) {
            Ok((from, to, address)) => {
                servers.push(iperf3_server(&to)?);
                let own = Way::of_throughput(&from, address);
                ratio("encrypted_ratio", "direct", own, direct());
            }
            Err(error) => encrypted = Some(format!("not built: {error:#}")),
        }
    }
    for (figure, measured) in throughputs(&ratios)? {
        report.add(figure, measured);
    }
    if let Some(why) = encrypted {
        report.add("encrypted_ratio", Measured::absent(why));
    }
    drop(servers);
    shop.remove("server")
}

/// Measures new connections per second through the virtual address.
pub fn connections(shop: &Shop, report: &mut Report) -> Result<()> {
    let client = shop.client(&shop.fleet.nodes[0])?;
    shop.create("server", &["--constraint", "node.hostname==n2"], &IDLE)?;
    let server = Place::of_task(&shop.running("server", 1)?[0]);
    let accept = |port: u16| server.start_load(&["accept", &port.to_string()]);
    let _servers = [accept(ACCEPT[0])?, accept(ACCEPT[1])?];
    let way = |name: &str, port: u16| -> Result<Way> {
        let address = shop.resolve(&client, name)?;
        Ok(Way { from: client.clone(), address, port })
    };
    let (own, baseline) = (way("server", ACCEPT[0])?, way("server.1", ACCEPT[1])?);
    for way in [&own, &baseline] {
        shop.fleet.wait("the server accepts", Duration::from_secs(5), || {
            connections_once(way).map(|_| true)
        })?;
    }
    let ratio = Ratio { figure: "vip_connections_ratio", what: "direct", own, baseline };
    for (figure, measured) in in_turn(&[ratio], "1/s", connections_once)? {
        report.add(figure, measured);
    }
    shop.remove("server")
}

/// Two tasks on an encrypted network: the client's and the server's place, and its address.
fn secret(shop: &Shop) -> Result<(Place, Place, IpAddr)> {
    shop.network(SECRET, &["--opt", "encrypted"])?;
    let flags = |node| ["--network", SECRET, "--constraint", node];
    shop.create("from", &flags("node.hostname==n1"), &IDLE)?;
    shop.create("to", &flags("node.hostname==n2"), &IDLE)?;
    let from = Place::of_task(&shop.running("from", 1)?[0]);
    let to = Place::of_task(&shop.running("to", 1)?[0]);
    let address = shop.resolve(&from, "to.1")?;
    Ok((from, to, address))
}

/// Measures the throughput of both ways of every ratio.
pub fn throughputs(ratios: &[Ratio]) -> Result<Vec<(&'static str, Measured)>> {
    in_turn(ratios, "Gbit/s", throughput_once)
}

/// Measures both ways of every ratio in every round.
fn in_turn(
    ratios: &[Ratio],
    unit: &'static str,
    once: impl Fn(&Way) -> Result<f64>,
) -> Result<Vec<(&'static str, Measured)>> {
    let mut rounds = vec![(Vec::new(), Vec::new()); ratios.len()];
    for round in 0..ROUNDS {
        for (ratio, values) in ratios.iter().zip(&mut rounds) {
            // Who goes first changes, so that a trend of the machine favours nobody.
            if round % 2 == 0 {
                values.0.push(once(&ratio.own)?);
                values.1.push(once(&ratio.baseline)?);
            } else {
                values.1.push(once(&ratio.baseline)?);
                values.0.push(once(&ratio.own)?);
            }
        }
    }
    let measured = |(ratio, (own, baseline)): (&Ratio, (Vec<f64>, Vec<f64>))| {
        let each = own.iter().zip(&baseline).map(|(own, baseline)| own / baseline);
        let value = Measured::value(median(each.collect()));
        let pair = (median(own), median(baseline));
        (ratio.figure, value.against(ratio.what, unit, pair))
    };
    Ok(ratios.iter().zip(rounds).map(measured).collect())
}

/// Starts iperf3 as a server.
pub fn iperf3_server(place: &Place) -> Result<Running> {
    place.start(&["sh", "-c", &format!("exec iperf3 -s -p {PORT} > /dev/null")])
}

/// One stream for a second, in Gbit/s.
fn throughput_once(way: &Way) -> Result<f64> {
    let (address, port) = (way.address.to_string(), way.port.to_string());
    let words = ["iperf3", "-c", &address, "-p", &port, "-t", "1", "-J"];
    let mut last = None;
    // A server that has just served refuses for a moment, as does one that has just started.
    for _ in 0..50 {
        match way.from.run(&words) {
            Ok(said) => {
                let said: Value = serde_json::from_str(&said).context("iperf3 printed no JSON")?;
                if let Some(bits) = said["end"]["sum_received"]["bits_per_second"].as_f64() {
                    return Ok(bits / 1e9);
                }
                // With JSON it ends well also when nobody listens yet.
                last = Some(anyhow!("iperf3: {}", said["error"]));
            }
            Err(error) => last = Some(error),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(last.context("it was tried")?)
}

fn connections_once(way: &Way) -> Result<f64> {
    let address = SocketAddr::new(way.address, way.port).to_string();
    let seen: Connections = way.from.load(&["connect", &address])?;
    ensure!(seen.failed == 0, "{} connections to {address} failed", seen.failed);
    Ok(seen.per_second)
}
