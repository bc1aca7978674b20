//! Lists of a container: `create` sets them, `update` adds to them and removes from them.

use clap::Args;

use super::change::{change_list, change_map};
use super::files::{FileChanges, NewFiles};
use super::networks::{KnownNetworks, NetworkChanges, NewNetworks};
use crate::failure::Failure;
use crate::value::{self, Pair};
use node_docker::container_spec::{ContainerSpec, DeviceMapping, Mount, Ulimit};
use node_docker::task_spec::TaskSpec;

/// The lists of a new service.
#[derive(Debug, Default, Args)]
pub struct NewLists {
    /// Mount: type=volume|bind|tmpfs,source=…,target=…[,readonly] and options of the type
    #[arg(long, value_name = "MOUNT", value_parser = value::mount, help_heading = "Container")]
    mount: Vec<Mount>,
    #[command(flatten)]
    files: NewFiles,
    /// Device of the node: /dev/ttyUSB0[:/dev/modem][:rwm]
    #[arg(long, value_name = "DEVICE", value_parser = value::device, help_heading = "Container")]
    device: Vec<DeviceMapping>,
    /// Further group of the user, by name or number
    #[arg(long, value_name = "GROUP", help_heading = "Container")]
    group: Vec<String>,
    /// Limit of each process: nofile=1024:2048
    #[arg(long, value_name = "LIMIT", value_parser = value::ulimit, help_heading = "Resources")]
    ulimit: Vec<Ulimit>,
    /// Kernel parameter of its namespaces: kernel.shmmax=67108864
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::sysctl, help_heading = "Container")]
    sysctl: Vec<Pair>,
    #[command(flatten)]
    pub networks: NewNetworks,
    /// Name for /etc/hosts: printer:10.0.0.7
    #[arg(long, value_name = "NAME:IP", value_parser = value::extra_host, help_heading = "Network")]
    host: Vec<String>,
    /// Name server [default: the node's]
    #[arg(long, value_name = "IP", value_parser = value::address, help_heading = "Network")]
    dns: Vec<String>,
    /// Option of the resolver: ndots:2
    #[arg(long, value_name = "OPTION", help_heading = "Network")]
    dns_option: Vec<String>,
    /// Domain that is searched
    #[arg(long, value_name = "DOMAIN", value_parser = value::domain, help_heading = "Network")]
    dns_search: Vec<String>,
}

impl NewLists {
    /// Sets the lists.
    pub fn apply(&self, task: &mut TaskSpec) -> Result<(), Failure> {
        self.networks.apply(&mut task.networks)?;
        let container = task.container_spec.get_or_insert_default();
        container.mounts.clone_from(&self.mount);
        self.files.apply(container);
        container.groups.clone_from(&self.group);
        container.ulimits.clone_from(&self.ulimit);
        container.hosts.clone_from(&self.host);
        container.sysctls =
            self.sysctl.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect();
        if !self.device.is_empty() {
            container.edge.get_or_insert_default().devices.clone_from(&self.device);
        }
        if !(self.dns.is_empty() && self.dns_option.is_empty() && self.dns_search.is_empty()) {
            let dns = container.dns_config.get_or_insert_default();
            dns.nameservers.clone_from(&self.dns);
            dns.options.clone_from(&self.dns_option);
            dns.search.clone_from(&self.dns_search);
        }
        Ok(())
    }
}

/// What changes in the lists of a service.
#[derive(Debug, Default, Args)]
pub struct ListChanges {
    /// Add a mount, or change the one with its target
    #[arg(long, value_name = "MOUNT", value_parser = value::mount, help_heading = "Container")]
    mount_add: Vec<Mount>,
    /// Remove a mount, by its target
    #[arg(long, value_name = "TARGET", help_heading = "Container")]
    mount_rm: Vec<String>,
    #[command(flatten)]
    files: FileChanges,
    /// Add a device of the node
    #[arg(long, value_name = "DEVICE", value_parser = value::device, help_heading = "Container")]
    device_add: Vec<DeviceMapping>,
    /// Remove a device, by its path on the node
    #[arg(long, value_name = "PATH", help_heading = "Container")]
    device_rm: Vec<String>,
    /// Add a group of the user
    #[arg(long, value_name = "GROUP", help_heading = "Container")]
    group_add: Vec<String>,
    /// Remove a group of the user
    #[arg(long, value_name = "GROUP", help_heading = "Container")]
    group_rm: Vec<String>,
    /// Add or change a limit of each process
    #[arg(long, value_name = "LIMIT", value_parser = value::ulimit, help_heading = "Resources")]
    ulimit_add: Vec<Ulimit>,
    /// Remove a limit of each process
    #[arg(long, value_name = "NAME", help_heading = "Resources")]
    ulimit_rm: Vec<String>,
    /// Add or change a kernel parameter
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::sysctl, help_heading = "Container")]
    sysctl_add: Vec<Pair>,
    /// Remove a kernel parameter
    #[arg(long, value_name = "NAME", help_heading = "Container")]
    sysctl_rm: Vec<String>,
    #[command(flatten)]
    pub networks: NetworkChanges,
    /// Add a name to /etc/hosts
    #[arg(long, value_name = "NAME:IP", value_parser = value::extra_host, help_heading = "Network")]
    host_add: Vec<String>,
    /// Remove a name from /etc/hosts
    #[arg(long, value_name = "NAME[:IP]", help_heading = "Network")]
    host_rm: Vec<String>,
    /// Add a name server
    #[arg(long, value_name = "IP", value_parser = value::address, help_heading = "Network")]
    dns_add: Vec<String>,
    /// Remove a name server
    #[arg(long, value_name = "IP", help_heading = "Network")]
    dns_rm: Vec<String>,
    /// Add an option of the resolver
    #[arg(long, value_name = "OPTION", help_heading = "Network")]
    dns_option_add: Vec<String>,
    /// Remove an option of the resolver
    #[arg(long, value_name = "OPTION", help_heading = "Network")]
    dns_option_rm: Vec<String>,
    /// Add a domain that is searched
    #[arg(long, value_name = "DOMAIN", value_parser = value::domain, help_heading = "Network")]
    dns_search_add: Vec<String>,
    /// Remove a domain that is searched
    #[arg(long, value_name = "DOMAIN", help_heading = "Network")]
    dns_search_rm: Vec<String>,
}

impl ListChanges {
    /// Makes the changes.
    pub fn apply(&self, task: &mut TaskSpec, known: &KnownNetworks) -> Result<(), Failure> {
        self.networks.apply(&mut task.networks, known)?;
        let container = task.container_spec.get_or_insert_default();
        let mount = |mount: &Mount| mount.target.trim_end_matches('/').to_owned();
        let mount_rm: Vec<String> =
            self.mount_rm.iter().map(|target| target.trim_end_matches('/').to_owned()).collect();
        change_list(&mut container.mounts, &self.mount_add, &mount_rm, mount);
        self.files.apply(container);
        let limit = |limit: &Ulimit| limit.name.clone();
        change_list(&mut container.ulimits, &self.ulimit_add, &self.ulimit_rm, limit);
        change_list(&mut container.groups, &self.group_add, &self.group_rm, String::clone);
        change_map(&mut container.sysctls, &self.sysctl_add, &self.sysctl_rm);
        self.change_devices(container);
        self.change_hosts(&mut container.hosts);
        self.change_dns(container);
        Ok(())
    }

    fn change_devices(&self, container: &mut ContainerSpec) {
        if self.device_add.is_empty() && self.device_rm.is_empty() {
            return;
        }
        let path = |device: &DeviceMapping| device.path_on_host.clone();
        let devices = &mut container.edge.get_or_insert_default().devices;
        change_list(devices, &self.device_add, &self.device_rm, path);
    }

    /// A name may have several addresses; `NAME` removes them all, `NAME:IP` one.
    fn change_hosts(&self, hosts: &mut Vec<String>) {
        for removed in &self.host_rm {
            let line = value::extra_host(removed).ok();
            hosts.retain(|held| match &line {
                Some(line) => held != line,
                None => !held.split_whitespace().skip(1).any(|name| name == removed),
            });
        }
        change_list(hosts, &self.host_add, &[], String::clone);
    }

    fn change_dns(&self, container: &mut ContainerSpec) {
        let mut dns = container.dns_config.take().unwrap_or_default();
        for (list, add, remove) in [
            (&mut dns.nameservers, &self.dns_add, &self.dns_rm),
            (&mut dns.options, &self.dns_option_add, &self.dns_option_rm),
            (&mut dns.search, &self.dns_search_add, &self.dns_search_rm),
        ] {
            change_list(list, add, remove, String::clone);
        }
        container.dns_config = Some(dns).filter(|dns| *dns != Default::default());
    }
}
