//! A virtual machine with Debian, systemd and only cgroup v2: limits are read back, and networks are
//! tried on a distribution's kernel, beside its firewall and its network manager.
//!
//! debootstrap makes it once below `target/vm`, from the network. qemu boots it without any
//! acceleration, so that it works wherever the two programs are: some ten minutes. It is not part
//! of `cargo xtask test`. It must leave nothing running: the machine ends by itself, or together
//! with this program.

use crate::repo::{self, Account};
use crate::step::{Steps, succeed};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Debian's name of the release that is booted.
const SUITE: &str = "bookworm";
const PACKAGES: &str = "systemd,systemd-sysv,udev,dbus,busybox-static,kmod,initramfs-tools,procps,\
                        linux-image-cloud-amd64,iproute2,nftables,iptables,ufw,tcpdump";
/// What a container of the check runs, all by busybox.
const PROGRAMS: [&str; 8] = ["sh", "sleep", "dd", "cat", "ping", "nslookup", "wget", "httpd"];
/// The script that runs in it, and its part about networks.
const CHECK: &str = include_str!("vm/check.sh");
const CHECK_OVERLAY: &str = include_str!("vm/overlay.sh");
const UNIT: &str = "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\n\
                    ExecStart=/usr/local/sbin/check\n[Install]\nWantedBy=graphical.target\n";
/// No login on the console: it is used by the check.
const GETTY: &str = "etc/systemd/system/serial-getty@ttyS0.service";
const CONFIG: &str =
    "fleet = \"vm\"\ndata_dir = \"/var/lib/edgectl\"\nlisten = \"127.0.0.1:7946\"\n";
/// Three times the duration on two busy cores.
const DEADLINE: Duration = Duration::from_secs(1800);

/// Boots it and checks, or says why it cannot.
pub fn run() -> Result<()> {
    let tools = ["qemu-system-x86_64", "debootstrap", "mke2fs", "busybox"];
    let missing: Vec<&str> =
        tools.into_iter().filter(|tool| repo::program(tool).is_none()).collect();
    if !missing.is_empty() || repo::account() != Account::Root || !cfg!(target_arch = "x86_64") {
        eprintln!(
            "vm: skipped; it needs root on x86_64 and {}: apt install qemu-system-x86 debootstrap \
             e2fsprogs busybox-static",
            tools.join(", ")
        );
        return Ok(());
    }
    let work = repo::root().join("target/vm");
    fs::create_dir_all(&work)?;
    let mut steps = Steps::default();
    steps.run("build", || succeed(repo::cargo().args(["build", "-q", "-p", "node"])))?;
    steps.run("image", || image(&work))?;
    steps.run("check", || boot(&work))?;
    steps.summary();
    Ok(())
}

/// A disk with everything that is needed; the system itself is kept from the last run.
fn image(work: &Path) -> Result<()> {
    let root = work.join("root");
    // Written when everything is there.
    let (made, of) = (work.join("packages"), format!("{SUITE} {PACKAGES}"));
    if fs::read_to_string(&made).ok().as_ref() != Some(&of) {
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let include = format!("--include={PACKAGES}");
        let arguments = ["--variant=minbase", &include, SUITE];
        succeed(Command::new("debootstrap").args(arguments).arg(&root))?;
        fs::write(&made, of)?;
    }
    let put = |name: &str, bytes: &[u8], mode: u32| -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let path = root.join(name);
        fs::create_dir_all(path.parent().context("it is below the root")?)?;
        fs::write(&path, bytes)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    };
    let unit = fs::read(repo::root().join("examples/edgectl.service"))?;
    put("usr/local/bin/edgectl", &fs::read(repo::root().join("target/debug/edgectl"))?, 0o755)?;
    succeed(Command::new("strip").arg(root.join("usr/local/bin/edgectl")))?;
    put("usr/local/sbin/check", CHECK.as_bytes(), 0o755)?;
    put("usr/local/sbin/check-overlay", CHECK_OVERLAY.as_bytes(), 0o644)?;
    put("etc/systemd/system/edgectl.service", &unit, 0o644)?;
    put("etc/systemd/system/check.service", UNIT.as_bytes(), 0o644)?;
    put("etc/edgectl/edge.toml", CONFIG.as_bytes(), 0o644)?;
    put("etc/fstab", b"/dev/vda / ext4 defaults 0 1\n", 0o644)?;
    let wants = "etc/systemd/system/graphical.target.wants";
    fs::create_dir_all(root.join(wants))?;
    link("../check.service", &root.join(wants).join("check.service"))?;
    link("/dev/null", &root.join(GETTY))?;
    put("root/bb/bin/busybox", &fs::read(root.join("bin/busybox"))?, 0o755)?;
    fs::create_dir_all(root.join("root/bb/tmp"))?;
    for name in PROGRAMS {
        link("busybox", &root.join("root/bb/bin").join(name))?;
    }
    let (tar, content) = (root.join("root/root.tar"), root.join("root/bb"));
    succeed(Command::new("tar").arg("-C").arg(content).arg("-cf").arg(tar).arg("."))?;
    let disk = work.join("disk.img");
    let _ = fs::remove_file(&disk);
    let mut make = Command::new("mke2fs");
    succeed(make.args(["-q", "-t", "ext4", "-d"]).arg(root).arg(disk).arg("3G"))
}

/// Makes a link that may exist from the last run.
fn link(target: &str, path: &Path) -> Result<()> {
    match std::os::unix::fs::symlink(target, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// Ends the machine when this value is dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn boot(work: &Path) -> Result<()> {
    let console = work.join("console.log");
    let _ = fs::remove_file(&console);
    let file = |start: &str| -> Result<String> {
        let found = fs::read_dir(work.join("root/boot"))?.flatten().map(|entry| entry.path());
        let name =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = found.filter(|path| name(path).starts_with(start)).max();
        Ok(path.with_context(|| format!("no {start} in its boot folder"))?.display().to_string())
    };
    let disk =
        format!("file={},format=raw,if=virtio,cache=unsafe", work.join("disk.img").display());
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"])
        .args(["-display", "none", "-nic", "none", "-no-reboot", "-drive", &disk])
        .args(["-serial", &format!("file:{}", console.display())])
        .args(["-kernel", &file("vmlinuz-")?, "-initrd", &file("initrd.img-")?])
        .args(["-append", "root=/dev/vda rw quiet systemd.show_status=0 console=ttyS0"]);
    let mut machine = Machine(qemu.spawn().context("qemu does not start")?);
    let begun = Instant::now();
    let mut shown = 0;
    loop {
        let said = fs::read(&console).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().filter_map(finding).collect();
        lines[shown..].iter().for_each(|line| eprintln!("    {line}"));
        shown = lines.len();
        if said.contains("@@end ") {
            ensure!(said.contains("@@end 0@@"), "something does not hold; see above");
            return Ok(());
        }
        if machine.0.try_wait()?.is_some() || begun.elapsed() > DEADLINE {
            bail!("it did not come to an end; see {}", console.display());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The check's part of a line of the console, if the line is complete.
fn finding(line: &str) -> Option<&str> {
    let line = line.trim_end();
    ["ok    ", "FAIL  "].iter().find_map(|mark| line.find(mark).map(|at| &line[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told_from_the_rest_of_the_console() {
        assert_eq!(finding("\u{1b}[0mok    pids.max\r"), Some("ok    pids.max"));
        assert_eq!(finding("Debian GNU/Linux 12 guest ttyS0"), None);
    }
}
