//! Behaviour that only containers have, the same with each runtime: a view of the machine of their
//! own, an image, a runtime, and cleanup of all three.

use std::fs;
use std::time::Duration;

use crdt_state::spec::HealthCheck;
use crdt_state::task::{Exit, Health, RunEvent};
use nix::sys::signal::Signal;
use oci_spec::image::{ConfigBuilder, ImageConfiguration};
use runtime::cgroup::mounts;
use runtime::{Driver, run_dir};

use crate::host::{Host, kill, lives, until};
use crate::test_images::{TestImages, container, shell};

fn test_images(host: &Host) -> &TestImages {
    host.test_images.as_ref().expect("it runs containers")
}

fn image(config: ConfigBuilder) -> ImageConfiguration {
    let mut image = ImageConfiguration::default();
    image.set_config(Some(config.build().expect("every field has a default")));
    image
}

#[track_caller]
fn says(host: &Host, order: &crdt_state::task::TaskStart, lines: &[&str]) {
    let said = host.said(order.run);
    for line in lines {
        assert!(said.lines().any(|told| told == *line), "{line:?} in {said}");
    }
}

fn a_container_is_what_its_image_and_its_service_say(host: &mut Host) {
    let config = ConfigBuilder::default()
        .env(["OF_IMAGE=1".to_owned(), "OF_BOTH=image".to_owned()])
        .entrypoint(["sh".to_owned(), "-c".to_owned()])
        .cmd(["echo cmd".to_owned()])
        .user("shop".to_owned())
        .working_dir("/made/for/it".to_owned());
    test_images(host).change("busybox", |order| order.config = image(config));
    let mut order = container(&["env; pwd; id -u; id -g; id -G; echo host $(hostname); echo $$"]);
    order.template.env = vec!["OF_BOTH=service".to_owned()];
    host.run(&order);
    assert_eq!(host.exit(order.run), Exit::Code(0), "{}", host.said(order.run));
    let own = ["/made/for/it", "900", "901", "901 50", "host till-3", "1"];
    says(host, &order, &["OF_IMAGE=1", "OF_BOTH=service", "HOME=/srv"]);
    says(host, &order, &own);
    let by_itself = container(&[]);
    host.run(&by_itself);
    host.exit(by_itself.run);
    says(host, &by_itself, &["cmd"]);
}

fn a_container_is_confined_as_users_of_docker_expect(host: &mut Host) {
    let order = shell(
        "grep -E '^(Seccomp|CapEff|CapBnd|SigIgn|SigBlk):' /proc/self/status; ls -d /proc/[0-9]*; mount -t tmpfs none /tmp || echo denied; touch /written; ls -l /proc/self/fd",
    );
    host.run(&order);
    host.exit(order.run);
    let docker =
        ["Seccomp:\t2", "CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb", "denied"];
    says(host, &order, &docker);
    says(host, &order, &["SigBlk:\t0000000000000000", "/proc/1"]);
    let said = host.said(order.run);
    let ignored = said.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).expect("told");
    let ignored = u64::from_str_radix(ignored, 16).expect("a mask");
    // 32 and 33 are the C library's own and cannot be set through it.
    assert_eq!(ignored & !(0b11 << 31), 0, "{said}");
    // The three descriptors of every program, and the folder that ls reads.
    assert!(said.matches(" -> ").count() <= 4, "no descriptor of ours: {said}");
    assert!(said.matches("/proc/").count() < 8, "it sees its own processes only: {said}");
    let layer = test_images(host).path().join("busybox/written");
    assert!(!layer.exists(), "layers are never written to");
}

/// The filter is set while a process is still permitted to; none of that permission may be left
/// when the program runs.
fn a_container_has_its_capabilities_and_no_others(host: &mut Host) {
    const DEFAULT: u64 = 0xa804_25fb;
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let cases = [
        ("0", vec![], vec![], DEFAULT, DEFAULT),
        ("1000:1000", vec![], vec![], 0, DEFAULT),
        ("0", vec![], vec!["ALL"], 0, 0),
        ("1000", vec!["NET_ADMIN"], vec!["ALL"], 0, 1 << 12),
        ("0", vec!["SYS_ADMIN"], vec!["ALL"], 1 << 21, 1 << 21),
    ];
    for (user, add, drop, held, bound) in cases {
        let mut order = shell("grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|Seccomp):' /proc/self/status");
        order.template.user = Some(user.to_owned());
        order.template.container.cap_add = words(&add);
        order.template.container.cap_drop = words(&drop);
        host.run(&order);
        host.exit(order.run);
        let said = host.said(order.run).replace(['\t', ' '], "");
        let expected = format!(
            "CapInh:{:016x}\nCapPrm:{held:016x}\nCapEff:{held:016x}\nCapBnd:{bound:016x}\n\
             CapAmb:{:016x}\nSeccomp:2\n",
            0, 0
        );
        assert_eq!(said, expected, "{user} +{add:?} -{drop:?}");
    }
    let mut order = shell("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status");
    order.template.container.no_new_privileges = true;
    host.run(&order);
    host.exit(order.run);
    assert_eq!(host.said(order.run), "NoNewPrivs:\t1\nSeccomp:\t2\n");
}

fn every_way_to_end_is_told_apart(host: &mut Host) {
    for (line, exit) in [("exit 0", Exit::Code(0)), ("exit 255", Exit::Code(255))] {
        let order = shell(line);
        host.run(&order);
        assert_eq!(host.exit(order.run), exit, "{line}");
    }
    let order = shell("trap 'exit 11' QUIT; echo ready; while :; do sleep 0.01; done");
    host.run(&order);
    host.hear(order.run, "ready");
    assert_eq!(host.stop(order.run, Some("quit"), 10_000), Exit::Code(11));
}

fn what_the_image_lacks_is_refused_for_good(host: &mut Host) {
    let layer = test_images(host).layer("empty");
    test_images(host).put("empty", &[layer]);
    let mut order = shell("true");
    order.template.image = "empty".to_owned();
    let (permanent, reason) = host.refusal(&order);
    assert!(permanent && reason.contains("\"sh\"") && reason.contains("--entrypoint"), "{reason}");
    let mut order = shell("true");
    order.template.user = Some("nobody-of-this-name".to_owned());
    let (permanent, reason) = host.refusal(&order);
    assert!(permanent && reason.contains("nobody-of-this-name"), "{reason}");
    let layer = test_images(host).layer("broken");
    fs::write(layer.join("tool"), "no program").expect("writable");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(layer.join("tool"), executable).expect("ours");
    test_images(host).put("broken", &[test_images(host).path().join("busybox"), layer]);
    let mut order = container(&["/tool"]);
    order.template.image = "broken".to_owned();
    host.driver().start(&order);
    match host.next().1 {
        RunEvent::Refused { permanent: true, reason } => {
            assert!(reason.contains("neither a program"), "{reason}");
        }
        // runc notices it only when its sole way to report it is the container's own output.
        RunEvent::Started { .. } => assert_ne!(host.exit(order.run), Exit::Code(0)),
        other => panic!("{other:?}"),
    }
}

fn what_the_kernel_refuses_is_said_without_the_rest(host: &mut Host) {
    let mut order = shell("true");
    order.template.container.sysctls.insert("kernel.msgmax".to_owned(), "many".to_owned());
    let (_, reason) = host.refusal(&order);
    assert!(reason.contains("msgmax"), "{reason}");
    assert!(!reason.contains("could not delete"), "{reason}");
}

fn what_the_node_lacks_is_refused_for_now(host: &mut Host) {
    let mut order = shell("true");
    order.template.image = "unknown".to_owned();
    let (permanent, reason) = host.refusal(&order);
    assert!(!permanent && reason.contains("unknown"), "{reason}");
    let gone = test_images(host).path().join("gone");
    test_images(host).put("gone", &[gone]);
    let mut order = shell("true");
    order.template.image = "gone".to_owned();
    let (permanent, reason) = host.refusal(&order);
    assert!(!permanent && reason.contains("layer"), "{reason}");
}

fn health_is_asked_for_inside(host: &mut Host) {
    let check = HealthCheck {
        test: vec!["CMD-SHELL".to_owned(), "test -e /flag && test $$ -ne 1".to_owned()],
        interval_ms: 20,
        timeout_ms: 5_000,
        retries: 1,
        start_period_ms: 0,
        start_interval_ms: 0,
    };
    // The image's health check is used, unless the service has its own.
    test_images(host).change("busybox", |order| order.health = Some(check.clone()));
    let order = shell("sleep 0.3; touch /flag; exec sleep 1000");
    host.run(&order);
    let health = |health| (order.run, RunEvent::HealthChanged(health));
    for verdict in [Health::Starting, Health::Unhealthy, Health::Healthy] {
        assert_eq!(host.next(), health(verdict));
    }
    let state = host.dir(order.run).join("oci").join(run_dir::name(order.run));
    let kept = || fs::read_dir(&state).map_or(0, Iterator::count);
    assert!(kept() <= 4, "checks leave files behind: {}", kept());
    host.stop(order.run, None, 0);

    let mut order = shell("exec sleep 1000");
    let line = "echo $$ > /pid; grep Seccomp: /proc/self/status > /filter; exec sleep 1000";
    let test = vec!["CMD-SHELL".to_owned(), line.to_owned()];
    order.template.health = Some(HealthCheck { test, timeout_ms: 500, ..check });
    host.run(&order);
    let upper = host.dir(order.run).join("upper");
    let filter = || fs::read_to_string(upper.join("filter")).ok();
    let filter = until("the check", || filter().filter(|filter| filter.ends_with('\n')));
    assert_eq!(filter, "Seccomp:\t2\n", "a check is confined like the rest");
    assert_eq!(host.next(), (order.run, RunEvent::HealthChanged(Health::Unhealthy)));
    let sleeps = || {
        let node = host.cgroup_node.clone().unwrap_or_default();
        let name = run_dir::name(order.run);
        let mut members = Vec::new();
        for found in mounts::detect() {
            let file = found.root.join(format!("edgectl/{node}/{name}/cgroup.procs"));
            let text = fs::read_to_string(file).unwrap_or_default();
            members.extend(text.lines().map(str::to_owned));
        }
        members.sort();
        members.dedup();
        members.len()
    };
    // At most the one that has just started, and its parent.
    assert!(sleeps() <= 4, "checks that hang are ended: {}", sleeps());
}

fn all_that_is_said_is_kept(host: &mut Host) {
    let mut order = shell("echo err >&2; echo out > /dev/stdout; seq 1 5000");
    order.template.user = Some("shop".to_owned());
    host.run(&order);
    assert_eq!(host.exit(order.run), Exit::Code(0), "{}", host.said(order.run));
    says(host, &order, &["err", "out", "1", "5000"]);
    let mut order = shell("tty; echo $TERM; exec sleep 1000");
    order.template.container.tty = true;
    host.run(&order);
    host.hear(order.run, "xterm");
    assert!(host.said(order.run).contains("/dev/"), "{}", host.said(order.run));
    assert_eq!(host.stop(order.run, None, 0), Exit::Signal(9));
}

fn a_container_outlives_the_agent(host: &mut Host) {
    let line = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let order = shell(line);
    let pid = host.run(&order);
    host.hear(order.run, "ready");
    let found = host.adopt();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].start, &found[0].event), (&order, &RunEvent::Started { pid }));
    assert_eq!(host.stop(order.run, None, 10_000), Exit::Code(5));
    says(host, &order, &["ready", "bye"]);
}

fn nothing_outlives_a_monitor_that_was_killed(host: &mut Host) {
    for adopted in [false, true] {
        let order = shell("setsid sleep 1000 & echo ready; sleep 1000");
        let pid = host.run(&order);
        host.hear(order.run, "ready");
        let monitor = host.monitor(order.run);
        if adopted {
            host.crash();
            kill(monitor, Signal::SIGKILL);
            until("the monitor to die", || (!lives(monitor)).then_some(()));
            let found = host.adopt();
            assert_eq!(found[0].event, RunEvent::Exited { exit: Exit::Unknown, oom: false });
        } else {
            kill(monitor, Signal::SIGKILL);
            assert_eq!(host.exit(order.run), Exit::Unknown);
        }
        assert!(!lives(pid));
        let dir = host.dir(order.run);
        assert!(dir.join(run_dir::LOG).exists() && !dir.join("upper").exists());
        host.driver().forget(order.run);
        until("the folder to go", || (!dir.exists()).then_some(()));
        let node = host.cgroup_node.clone().expect("it has cgroups");
        let groups = mounts::detect();
        assert!(groups.iter().all(|group| !group.root.join("edgectl").join(&node).exists()));
    }
}

fn layers_lie_over_each_other(host: &mut Host) {
    let mut layers = vec![test_images(host).path().join("busybox")];
    for number in 1..127 {
        let layer = test_images(host).layer(&format!("layer-of-an-image-with-many-{number:04}"));
        fs::write(layer.join("top"), number.to_string()).expect("writable");
        fs::write(layer.join(format!("file{number}")), "x").expect("writable");
        layers.push(layer);
    }
    test_images(host).put("high", &layers);
    let mut order = shell("cat /top; echo; ls / | grep -c file");
    order.template.image = "high".to_owned();
    host.run(&order);
    host.exit(order.run);
    says(host, &order, &["126"]);
    assert_eq!(host.said(order.run), "126\n126\n");
}

fn a_wait_for_an_image_ends_when_nobody_wants_it(host: &mut Host) {
    let mut order = shell("true");
    order.template.image = "far-away".to_owned();
    host.driver().start(&order);
    let preparing = RunEvent::Preparing { message: "fetching far-away".to_owned() };
    assert_eq!(host.next(), (order.run, preparing.clone()));
    // Other runs are not held up.
    let other = shell("exit 3");
    host.run(&other);
    assert_eq!(host.exit(other.run), Exit::Code(3));
    host.driver().stop(order.run, None, 10_000);
    assert!(matches!(host.next().1, RunEvent::Refused { permanent: false, .. }));
    let mut order = shell("true");
    order.template.image = "far-away".to_owned();
    host.driver().start(&order);
    assert_eq!(host.next(), (order.run, preparing));
    host.driver().forget(order.run);
    assert!(host.is_quiet_for(Duration::from_millis(100)));
    assert!(!host.dir(order.run).exists());
}

every_runtime!(
    a_container_is_what_its_image_and_its_service_say,
    a_container_is_confined_as_users_of_docker_expect,
    a_container_has_its_capabilities_and_no_others,
    every_way_to_end_is_told_apart,
    what_the_image_lacks_is_refused_for_good,
    what_the_kernel_refuses_is_said_without_the_rest,
    what_the_node_lacks_is_refused_for_now,
    health_is_asked_for_inside,
    all_that_is_said_is_kept,
    a_container_outlives_the_agent,
    nothing_outlives_a_monitor_that_was_killed,
    layers_lie_over_each_other,
    a_wait_for_an_image_ends_when_nobody_wants_it,
);
