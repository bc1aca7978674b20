//! What `HostConfig` says of a container that is neither mount, network nor port.

use crdt_state::spec::Standalone;
use serde_json::{Value, json};

use super::{Fields, bad, list, number, text};
use crate::container_spec::Seccomp;
use crate::state::BadSpec;

/// Nanoseconds between the first restarts: Docker's.
const RESTART_DELAY_NS: u64 = 100_000_000;

/// Fields that have no effect here, and the flags of `docker run` that set them.
const FLAGS: [(&str, &str); 39] = [
    ("BlkioDeviceReadBps", "--device-read-bps"),
    ("BlkioDeviceReadIOps", "--device-read-iops"),
    ("BlkioDeviceWriteBps", "--device-write-bps"),
    ("BlkioDeviceWriteIOps", "--device-write-iops"),
    ("BlkioWeight", "--blkio-weight"),
    ("BlkioWeightDevice", "--blkio-weight-device"),
    ("CgroupParent", "--cgroup-parent"),
    ("CgroupnsMode", "--cgroupns"),
    ("CpuCount", "--cpu-count"),
    ("CpuPercent", "--cpu-percent"),
    ("CpuPeriod", "--cpu-period without --cpu-quota"),
    ("CpuRealtimePeriod", "--cpu-rt-period"),
    ("CpuRealtimeRuntime", "--cpu-rt-runtime"),
    ("CpuShares", "--cpu-shares"),
    ("CpusetCpus", "--cpuset-cpus"),
    ("CpusetMems", "--cpuset-mems"),
    ("DeviceCgroupRules", "--device-cgroup-rule"),
    ("DeviceRequests", "--gpus"),
    ("Domainname", "--domainname"),
    ("IOMaximumBandwidth", "--io-maxbandwidth"),
    ("IOMaximumIOps", "--io-maxiops"),
    ("IpcMode", "--ipc"),
    ("KernelMemory", "--kernel-memory"),
    ("KernelMemoryTCP", "--kernel-memory-tcp"),
    ("GwPriority", "--network gw-priority"),
    ("LinkLocalIPs", "--link-local-ip"),
    ("Links", "--link"),
    ("MacAddress", "--mac-address"),
    ("MaskedPaths", "--security-opt systempaths"),
    ("OomKillDisable", "--oom-kill-disable"),
    ("PidMode", "--pid"),
    ("ReadonlyPaths", "--security-opt systempaths"),
    ("Runtime", "--runtime"),
    ("StorageOpt", "--storage-opt"),
    ("UTSMode", "--uts"),
    ("VolumeDriver", "--volume-driver"),
    ("VolumesFrom", "--volumes-from"),
    ("Isolation", "--isolation"),
    ("Annotations", "--annotation"),
];

/// The flag that sets a field; the field's name if there is none.
pub(super) fn flag_of(field: &str) -> &str {
    FLAGS.iter().find(|(name, _)| *name == field).map_or(field, |(_, flag)| flag)
}

/// Is it what holds anyway?
pub(super) fn asks_for_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => match name {
            "IpcMode" | "CgroupnsMode" => matches!(text.as_str(), "" | "private"),
            "Isolation" => matches!(text.as_str(), "" | "default"),
            // The file is written by the client.
            "ContainerIDFile" => true,
            _ => text.is_empty(),
        },
        // The size of the client's terminal: it says it again when the container runs.
        Value::Array(items) => items.is_empty() || name == "ConsoleSize",
        Value::Object(fields) => fields.iter().all(|(name, value)| asks_for_nothing(name, value)),
        Value::Bool(true) => false,
    }
}

/// Takes what belongs into the container's spec.
pub(super) fn into_container(host: &mut Fields, container: &mut Value) -> Result<(), BadSpec> {
    for (theirs, ours) in [
        ("Init", "Init"),
        ("ReadonlyRootfs", "ReadOnly"),
        ("CapAdd", "CapabilityAdd"),
        ("CapDrop", "CapabilityDrop"),
        ("GroupAdd", "Groups"),
        ("Sysctls", "Sysctls"),
        ("Ulimits", "Ulimits"),
        ("OomScoreAdj", "OomScoreAdj"),
    ] {
        if let Some(value) = host.remove(theirs).filter(|value| !value.is_null()) {
            container[ours] = value;
        }
    }
    let mut dns = json!({});
    for (theirs, ours) in
        [("Dns", "Nameservers"), ("DnsSearch", "Search"), ("DnsOptions", "Options")]
    {
        dns[ours] = json!(list(host.remove(theirs), "Dns")?);
    }
    container["DNSConfig"] = dns;
    let hosts = list(host.remove("ExtraHosts"), "ExtraHosts")?;
    let hosts = hosts.iter().map(|line| host_line(line)).collect::<Result<Vec<_>, _>>()?;
    container["Hosts"] = json!(hosts);
    let users = text(host, "UsernsMode");
    if !["", "host"].contains(&users.as_str()) {
        let hint = "a container made by hand has the ids of its node; leave --userns out, or make \
                    it a service: edgectl service create --userns auto";
        return Err(bad("HostConfig.UsernsMode", &users, hint));
    }
    let security = security(host)?;
    container["Privileges"] = security.privileges;
    let devices = host.remove("Devices").filter(|devices| !devices.is_null());
    container["Edge"] = json!({
        "Devices": devices.unwrap_or_else(|| json!([])),
        "Privileged": super::flag(host, "Privileged"),
        "AppArmorProfile": security.app_armor,
    });
    Ok(())
}

/// `db:10.0.0.7` becomes a line of `/etc/hosts`.
fn host_line(line: &str) -> Result<String, BadSpec> {
    let (name, address) = line.split_once([':', '=']).unwrap_or((line, ""));
    if address == "host-gateway" {
        let hint = "there is no such address here; name the address of the node";
        return Err(bad("HostConfig.ExtraHosts", line, hint));
    }
    Ok(format!("{} {name}", address.trim_matches(['[', ']'])))
}

struct Security {
    privileges: Value,
    app_armor: String,
}

/// `--security-opt`. Of `seccomp=FILE` Docker's client sends what is in the file.
fn security(host: &mut Fields) -> Result<Security, BadSpec> {
    let (mut privileges, mut app_armor) = (json!({}), String::new());
    for option in list(host.remove("SecurityOpt"), "SecurityOpt")? {
        match option.split_once(['=', ':']).unwrap_or((&option, "")) {
            ("no-new-privileges", "" | "true") => privileges["NoNewPrivileges"] = json!(true),
            ("seccomp", "unconfined") => privileges["Seccomp"] = json!(Seccomp::unconfined()),
            ("seccomp", profile) if profile.starts_with('{') => {
                privileges["Seccomp"] = json!(Seccomp::custom(profile));
            }
            // What they take off is never on here.
            ("no-new-privileges", "false")
            | ("apparmor", "unconfined")
            | ("label", "disable")
            | ("seccomp", "builtin") => {}
            ("apparmor", profile) if !profile.is_empty() => app_armor = profile.to_owned(),
            _ => {
                let hint = "there are no-new-privileges, seccomp=FILE, seccomp=unconfined, \
                            apparmor=PROFILE, apparmor=unconfined and label=disable \
                            (--security-opt)";
                return Err(bad("HostConfig.SecurityOpt", &option, hint));
            }
        }
    }
    Ok(Security { privileges, app_armor })
}

/// Limits, and what is reserved.
pub(super) fn resources(host: &mut Fields) -> Result<Value, BadSpec> {
    let memory = number(host, "Memory");
    let (period, quota) = (number(host, "CpuPeriod"), number(host, "CpuQuota"));
    let mut nano_cpus = number(host, "NanoCpus");
    if quota > 0 {
        // Without a period it is the kernel's, a tenth of a second.
        let period = i128::from(if period > 0 { period } else { 100_000 });
        nano_cpus = i64::try_from(i128::from(quota) * 1_000_000_000 / period).unwrap_or(i64::MAX);
    } else if period > 0 {
        host.insert("CpuPeriod".to_owned(), json!(period));
    }
    let pids = number(host, "PidsLimit").max(0);
    let mut resources = json!({
        "Limits": {"MemoryBytes": memory, "NanoCPUs": nano_cpus, "Pids": pids},
        "Reservations": {"MemoryBytes": number(host, "MemoryReservation")},
    });
    match number(host, "MemorySwap") {
        0 => {}
        -1 => resources["SwapBytes"] = json!(-1),
        total if memory > 0 && total >= memory => resources["SwapBytes"] = json!(total - memory),
        total => {
            let hint = "it is memory and swap together, at least as much as --memory; -1: as much \
                        swap as the node has (--memory-swap)";
            return Err(bad("HostConfig.MemorySwap", &total.to_string(), hint));
        }
    }
    match host.remove("MemorySwappiness").and_then(|value| value.as_i64()) {
        None | Some(-1) => {}
        Some(value) => resources["MemorySwappiness"] = json!(value),
    }
    Ok(resources)
}

/// Docker's restart policy. `unless-stopped` and `always` mean the same here, and keep their names.
pub(super) fn restart(host: &mut Fields, standalone: &mut Standalone) -> Result<Value, BadSpec> {
    let mut sent = super::object(host, "RestartPolicy")?;
    let (name, times) = (text(&mut sent, "Name"), number(&mut sent, "MaximumRetryCount"));
    let condition = match name.as_str() {
        "" | "no" => "none",
        "on-failure" => "on-failure",
        "always" => "any",
        "unless-stopped" => {
            standalone.unless_stopped = true;
            "any"
        }
        other => {
            let hint = "there are no, on-failure[:TIMES], always and unless-stopped (--restart)";
            return Err(bad("HostConfig.RestartPolicy.Name", other, hint));
        }
    };
    if standalone.auto_remove && condition != "none" {
        let hint = "a container that is removed when it ends (--rm) cannot be restarted; leave one \
                    of --rm and --restart out";
        return Err(bad("HostConfig.RestartPolicy.Name", &name, hint));
    }
    Ok(json!({"Condition": condition, "MaxAttempts": times.max(0), "Delay": RESTART_DELAY_NS}))
}

pub(super) fn log_driver(host: &mut Fields) -> Value {
    let sent = host.remove("LogConfig").unwrap_or_default();
    json!({"Name": sent["Type"].as_str().unwrap_or(""), "Options": match &sent["Config"] {
        Value::Object(options) => json!(options),
        _ => json!({}),
    }})
}
