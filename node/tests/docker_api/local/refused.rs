//! Flags of `docker run`: those that do something, and those that are refused by their name.

use super::*;

/// Flags of `docker run`; BIND is a folder that the test makes.
const FLAGS: &str = "run -d --name one --network none --hostname box -e A=1 -w /tmp -u 5:6 -v BIND -v data:/data \
    --tmpfs /run:size=1m -m 64m --memory-swap -1 --cpus 0.5 --pids-limit 50 --cap-drop ALL \
    --init --read-only --add-host db:10.0.0.7 --dns 10.0.0.1 --ulimit nofile=100:200 --sysctl \
    net.ipv4.ip_forward=1 --security-opt no-new-privileges --label k=v --stop-signal INT \
    --stop-timeout 3 --health-cmd true --log-opt max-size=1m --shm-size 1m";

#[test]
fn flags_of_docker_run_reach_the_container() {
    let Some(local) = Local::start(170, 1) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let bind = format!("{}:/in:ro", dir.path().display());
    std::fs::write(dir.path().join("f"), "bound").expect("written");
    let flags: Vec<&str> =
        FLAGS.split_whitespace().map(|word| if word == "BIND" { &bind } else { word }).collect();
    let flags = [&flags[..], &[IMAGE, "sleep", "1000"]].concat();
    let done = local.try_docker(&flags);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let sh = |line: &str| local.docker(&["exec", "one", "sh", "-c", line]);
    assert_eq!(sh("busybox cat /in/f; echo; pwd; hostname; busybox id -u; echo $A"), {
        "bound\n/tmp\nbox\n5\n1"
    });
    assert!(
        sh("busybox cat /etc/hosts").contains("10.0.0.7\tdb")
            || sh("busybox cat /etc/hosts").contains("10.0.0.7 db")
    );
    assert_eq!(sh("ulimit -n"), "100");
    assert!(sh("echo x >/f || echo no").contains("no"));
    assert!(sh("busybox df -k /dev/shm").contains(" 1024 "));
    assert_eq!(
        local.of("one", "{{index .Config.Labels \"k\"}} {{.HostConfig.Memory}}"),
        "v 67108864"
    );
    local.docker(&["rm", "-f", "one"]);
    assert_eq!(local.docker(&["volume", "ls", "-q"]), "data", "a named volume stays");
}

#[test]
fn a_flag_without_effect_is_refused_by_its_name_and_makes_nothing() {
    let Some(local) = Local::start(171, 1) else { return };
    for (flags, words) in [
        (&["--cpu-shares", "512"][..], "--cpu-shares"),
        (&["--cpuset-cpus", "0"], "--cpuset-cpus"),
        (&["--pid", "host"], "--pid"),
        (&["--ipc", "host"], "--ipc"),
        (&["--uts", "host"], "--uts"),
        (&["--volumes-from", "db"], "--volumes-from"),
        (&["--oom-kill-disable"], "--oom-kill-disable"),
        (&["--gpus", "all"], "--gpus"),
        (&["--runtime", "kata"], "--runtime"),
        (&["--blkio-weight", "100"], "--blkio-weight"),
        (&["--cgroup-parent", "/x"], "--cgroup-parent"),
        (&["--device-cgroup-rule", "c 1:3 r"], "--device-cgroup-rule"),
        (&["--storage-opt", "size=1g"], "--storage-opt"),
        (&["--network", "container:x"], "put both on one network"),
        (&["--network", "nosuch"], "network nosuch not found"),
        (&["-p", "127.0.0.1:80:80"], "leave the address out"),
        (&["--log-driver", "syslog"], "json-file, local"),
        (
            &["--security-opt", "seccomp=unconfined", "--security-opt", "label=user:x"],
            "label=disable",
        ),
        (&["--platform", "linux/s390x"], "leave --platform out"),
        (&["--name", "a.b"], "not a service name"),
    ] {
        let (said, _) = local.refusal(&[&["create"], flags, &[IMAGE]].concat());
        assert!(said.contains(words), "{flags:?}: {said}");
    }
    let (said, _) = local.refusal(&["create", "--pull", "never", "registry.invalid/no:1"]);
    assert!(said.contains("No such image: registry.invalid/no:1"), "{said}");
    let (said, _) = local.refusal(&["update", "--memory", "64m", "one"]);
    assert!(said.contains("one"), "{said}");
    assert_eq!(local.docker(&["ps", "-a", "-q"]), "");
}
