//! Tests of the embedded runtime alone, or of behaviour that does not depend on the runtime.

use std::fs;
use std::path::Path;

use crdt_state::task::Exit;
use runtime::{Driver, run_dir};

use crate::host::{Host, until};
use crate::test_images::{TestImages, container, shell};

fn test_images(host: &Host) -> &TestImages {
    host.test_images.as_ref().expect("it runs containers")
}

#[test]
fn a_runtime_that_is_not_installed_is_said_to_be_missing() {
    let Some(mut host) = Host::containers("embedded") else { return };
    let missing = "/no/such/runc".parse().expect("a path");
    test_images(&host).change("busybox", |order| order.runtime = missing);
    let (permanent, reason) = host.refusal(&shell("true"));
    assert!(!permanent && reason.contains("/no/such/runc"), "{reason}");
    assert!(reason.contains("oci_runtime = \"embedded\""), "{reason}");
}

/// A folder that overlayfs cannot write to, because it is an overlay itself; unmounted on drop.
struct Awkward(std::path::PathBuf);

impl Awkward {
    fn new(folder: &Path, within: &Path) -> Awkward {
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| within.join(name));
        for made in [&lower, &upper, &work] {
            fs::create_dir(made).expect("writable");
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        let (kind, none) = (Some("overlay"), nix::mount::MsFlags::empty());
        nix::mount::mount(kind, folder, kind, none, Some(&*options)).expect("overlayfs is there");
        Awkward(folder.to_owned())
    }
}

impl Drop for Awkward {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn an_image_is_copied_where_overlayfs_cannot_be_mounted() {
    let Some(mut host) = Host::containers("embedded") else { return };
    let top = test_images(&host).layer("top");
    fs::write(top.join("word"), "copied").expect("writable");
    test_images(&host).put("copied", &[test_images(&host).path().join("busybox"), top]);
    let within = tempfile::tempdir().expect("a folder");
    let awkward = Awkward::new(&host.runs, within.path());
    let mut order = shell("cat /word; touch /written");
    order.template.image = "copied".to_owned();
    host.run(&order);
    let status: run_dir::Status =
        run_dir::read(&host.dir(order.run), run_dir::STATUS).expect("readable").expect("it runs");
    assert!(status.warnings.iter().any(|told| told.contains("overlayfs")), "{status:?}");
    assert_eq!(host.exit(order.run), Exit::Code(0));
    assert_eq!(host.said(order.run), "copied");
    assert!(!test_images(&host).path().join("top/written").exists());
    host.driver().forget(order.run);
    let dir = host.dir(order.run);
    until("the folder to go", || (!dir.exists()).then_some(()));
    drop(host);
    drop(awkward);
}

#[test]
fn a_first_process_of_ours_reaps_forwards_and_ends_with_its_program() {
    let Some(mut host) = Host::containers("embedded") else { return };
    let mut order = shell(
        "echo pid $$; (setsid true &); trap 'exit 6' USR1; echo ready; while :; do sleep 0.01; done",
    );
    order.template.container.init = true;
    host.run(&order);
    host.hear(order.run, "ready");
    assert!(host.said(order.run).contains("pid 2\n"), "{}", host.said(order.run));
    assert_eq!(host.stop(order.run, Some("USR1"), 10_000), Exit::Code(6));
    let mut order = container(&["sleep", "1000"]);
    order.template.container.init = true;
    host.run(&order);
    assert_eq!(host.stop(order.run, None, 10_000), Exit::Code(128 + 15), "sleep alone is deaf");
    let mut order = container(&["/etc/passwd"]);
    order.template.container.init = true;
    let (permanent, reason) = host.refusal(&order);
    assert!(permanent, "{reason}");
}

#[test]
fn a_monitor_of_a_container_is_small() {
    let Some(mut host) = Host::containers("embedded") else { return };
    let order = container(&["sleep", "1000"]);
    let pid = host.run(&order);
    let monitor = host.monitor(order.run);
    let pss = |pid: u32| -> u64 {
        let rollup =
            fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("smaps_rollup"));
        let rollup = rollup.expect("it runs");
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).expect("it is told");
        line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
    };
    let anonymous = |pid: u32| -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it runs");
        let line = rollup.lines().find(|line| line.starts_with("Anonymous:")).expect("told");
        line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
    };
    let own = anonymous(monitor);
    eprintln!("monitor: {own} KiB of its own, PSS {} KiB; sleep: PSS {}", pss(monitor), pss(pid));
    assert!(own < 1024, "{own} KiB");
}
