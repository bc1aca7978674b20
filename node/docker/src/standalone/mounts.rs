//! `-v`, `--mount` and `--tmpfs`.

use serde_json::{Value, json};

use super::{Fields, bad, list, number, object};
use crate::state::BadSpec;

/// Takes all mounts out of a request. One of `--mount` takes the place of a volume that the image, or
/// `-v PATH`, declares at its target.
pub(super) fn read(sent: &mut Fields, host: &mut Fields) -> Result<Value, BadSpec> {
    let mut mounts = match host.remove("Mounts") {
        Some(Value::Array(mounts)) => mounts,
        _ => Vec::new(),
    };
    for bind in list(host.remove("Binds"), "Binds")? {
        mounts.push(of_bind(&bind)?);
    }
    for (target, options) in object(host, "Tmpfs")? {
        mounts.push(of_tmpfs(&target, options.as_str().unwrap_or(""))?);
    }
    let shared_memory = number(host, "ShmSize");
    if shared_memory > 0 {
        let options = json!({"SizeBytes": shared_memory, "Mode": 0o1777});
        mounts.push(json!({"Type": "tmpfs", "Target": "/dev/shm", "TmpfsOptions": options}));
    }
    for (target, _) in object(sent, "Volumes")? {
        if !mounts.iter().any(|mount| mount["Target"] == target) {
            mounts.push(json!({"Type": "volume", "Target": target}));
        }
    }
    Ok(json!(mounts))
}

/// `SOURCE:TARGET[:OPTIONS]`.
fn of_bind(bind: &str) -> Result<Value, BadSpec> {
    let mut parts = bind.splitn(3, ':');
    let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if target.is_empty() {
        return Err(bad("HostConfig.Binds", bind, "write it like /srv/data:/data or name:/data"));
    }
    let is_path = source.starts_with('/');
    let mut mount = json!({
        "Type": if is_path { "bind" } else { "volume" }, "Source": source, "Target": target,
    });
    if is_path {
        mount["BindOptions"] = json!({"CreateMountpoint": true});
    }
    for option in parts.next().unwrap_or_default().split(',').filter(|option| !option.is_empty()) {
        match option {
            "rw" => {}
            "ro" => mount["ReadOnly"] = json!(true),
            // Labels of SELinux, which containers do not have here.
            "z" | "Z" => {}
            "nocopy" if !is_path => mount["VolumeOptions"] = json!({"NoCopy": true}),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" if is_path => {
                mount["BindOptions"]["Propagation"] = json!(option);
            }
            _ => {
                let hint = format!("there is no option `{option}` (--volume); leave it out");
                return Err(bad("HostConfig.Binds", bind, &hint));
            }
        }
    }
    Ok(mount)
}

/// `/run:rw,size=64m,mode=1777`.
fn of_tmpfs(target: &str, options: &str) -> Result<Value, BadSpec> {
    let mut mount = json!({"Type": "tmpfs", "Target": target});
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let wrong = || {
            let hint = format!(
                "`{option}` is none of rw, ro, noexec, nosuid, nodev, size=64m and mode=1777 (--tmpfs)"
            );
            bad("HostConfig.Tmpfs", target, &hint)
        };
        match name {
            // As all of them are.
            "rw" | "noexec" | "nosuid" | "nodev" => {}
            "ro" => mount["ReadOnly"] = json!(true),
            "size" => {
                mount["TmpfsOptions"]["SizeBytes"] = json!(bytes(value).ok_or_else(wrong)?);
            }
            "mode" => {
                let mode = u32::from_str_radix(value, 8).map_err(|_| wrong())?;
                mount["TmpfsOptions"]["Mode"] = json!(mode);
            }
            _ => return Err(wrong()),
        }
    }
    Ok(mount)
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
