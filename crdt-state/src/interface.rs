//! The interfaces of a task: part of what a runtime is told when it starts one.

mod options;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::id::NetworkId;

pub use options::{BadOption, InterfaceOptions};

/// One interface of a task, as its runtime needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInterface {
    /// The network.
    pub network: NetworkId,
    /// The name of the interface: `eth0`.
    pub name: String,
    /// Its addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// The link address, six bytes.
    pub mac: [u8; 6],
    /// The gateways of the network, at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// The subnets that are reached by this interface.
    pub subnets: Vec<IpNet>,
    /// Does the default route lead here?
    pub is_default: bool,
    /// Settings of the kernel for this interface.
    #[serde(default)]
    pub settings: Vec<Setting>,
}

/// A setting of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its path below `/proc/sys/net`: `ipv4/conf/eth0/log_martians`.
    pub path: String,
    /// What is written there.
    pub value: String,
}
