//! Real containers made from the rules' bundles: a small root of busybox, run by runc and by crun.
//!
//! Needs root, busybox-static, runc and crun (`cargo xtask setup` installs them); without root
//! every test here prints that it is skipped, and passes.

mod boxed;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use boxed::{everywhere, first_device};
use crdt_state::spec::{
    Container, Device, Dns, Labels, Mount, MountSource, NetworkMode, Resources, Template, Ulimit,
};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn of(container: Container) -> Template {
    Template { container, ..Template::default() }
}

#[test]
fn root_has_dockers_capabilities_and_others_have_none() {
    everywhere(|boxed| {
        let script = "grep ^Cap /proc/self/status";
        let root = boxed.run(Template::default(), script).text();
        assert!(root.contains("CapEff:\t00000000a80425fb"), "{root}");
        assert!(root.contains("CapBnd:\t00000000a80425fb"), "{root}");
        assert!(root.contains("CapAmb:\t0000000000000000"), "{root}");
        let user = Template { user: Some("shop".to_owned()), ..Template::default() };
        let user = boxed.run(user, script).text();
        assert!(user.contains("CapEff:\t0000000000000000"), "{user}");
        assert!(user.contains("CapBnd:\t00000000a80425fb"), "{user}");
        let cap_drop = words(&["all"]);
        let one = of(Container { cap_add: words(&["KILL"]), cap_drop, ..Container::default() });
        assert!(boxed.run(one, script).text().contains("CapEff:\t0000000000000020"));
    });
}

#[test]
fn a_system_call_that_is_not_listed_fails_and_the_filter_can_be_left_out() {
    everywhere(|boxed| {
        // A user namespace needs no capability: only the filter can refuse it.
        let script = "grep ^Seccomp: /proc/self/status; unshare -U echo made";
        let ended = boxed.run(Template::default(), script);
        assert!(ended.stdout.contains("Seccomp:\t2"), "{ended:?}");
        assert!(ended.stderr.contains("Operation not permitted"), "{ended:?}");
        assert_ne!(ended.code, Some(0));
        let free = Container { seccomp_unconfined: true, ..Container::default() };
        let ended = boxed.run(of(free), script);
        assert!(ended.stdout.contains("Seccomp:\t0") && ended.stdout.contains("made"), "{ended:?}");
    });
}

#[test]
fn a_profile_of_ones_own_takes_the_place_of_the_filter() {
    everywhere(|boxed| {
        let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}"#;
        let mut template = Template::default();
        template.extension.seccomp = Some(profile.to_owned());
        let script = "grep ^Seccomp: /proc/self/status; mkdir /made; touch /x && echo touched; \
                      unshare -U echo apart";
        let ended = boxed.run(template.clone(), script);
        assert!(ended.stdout.contains("Seccomp:\t2\ntouched\napart\n"), "{ended:?}");
        assert!(ended.stderr.contains("/made': Permission denied"), "{ended:?}");
        // As with Docker, also for a privileged container.
        template.container.privileged = true;
        let ended = boxed.run(template, script);
        assert!(ended.stderr.contains("/made': Permission denied"), "{ended:?}");
    });
}

#[test]
fn a_read_only_root_is_read_only_and_its_mounts_are_not() {
    everywhere(|boxed| {
        let mount = Mount {
            source: MountSource::Tmpfs { size_bytes: 1 << 20, mode: 0o700 },
            target: "/cache".to_owned(),
            read_only: false,
        };
        let container = Container { read_only: true, mounts: vec![mount], ..Container::default() };
        let script = "touch /x; touch /cache/x && df -k /cache | tail -1; stat -c %a /cache; \
                      dd if=/dev/zero of=/cache/y bs=1k count=2000";
        let ended = boxed.run(of(container), script);
        assert!(ended.stderr.contains("/x: Read-only file system"), "{ended:?}");
        assert!(ended.stdout.contains(" 1024 "), "{ended:?}");
        assert!(ended.stdout.ends_with("\n700\n"), "{ended:?}");
        assert!(ended.stderr.contains("No space left on device"), "{ended:?}");
    });
}

#[test]
fn limits_of_processes_and_of_the_whole_container_are_set() {
    everywhere(|boxed| {
        let ulimit = |name: &str, soft, hard| Ulimit { name: name.to_owned(), soft, hard };
        let ulimits = vec![ulimit("nofile", 512, 1024), ulimit("core", 0, 0)];
        let limits = Resources {
            memory_bytes: 64 << 20,
            pids: 33,
            nano_cpus: 500_000_000,
            ..Default::default()
        };
        let template = Template {
            limits,
            container: Container { ulimits, ..Container::default() },
            ..Template::default()
        };
        let script = "ulimit -Sn; ulimit -Hn; ulimit -c; cd /sys/fs/cgroup; \
                      cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us \
                          memory.max pids.max cpu.max 2>/dev/null; true";
        let text = boxed.run(template, script).text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["512", "1024", "0"], "{text}");
        assert!(lines.contains(&"67108864") && lines.contains(&"33"), "{text}");
        assert!(lines.iter().any(|line| line.starts_with("50000")), "{text}");
    });
}

#[test]
fn users_and_groups_are_those_of_the_image() {
    everywhere(|boxed| {
        let template = Template {
            user: Some("shop".to_owned()),
            container: Container { groups: words(&["video", "4711"]), ..Container::default() },
            ..Template::default()
        };
        let text = boxed.run(template, "id -u; id -g; id -G; echo $HOME; pwd").text();
        assert_eq!(text, "900\n901\n901 20 44 4711\n/srv/shop\n/\n");
    });
}

#[test]
fn a_device_is_usable_if_it_was_given_and_otherwise_not() {
    let Some((host, major, minor)) = first_device(&["/dev/loop-control", "/dev/fuse", "/dev/tty0"])
    else {
        return eprintln!("skipped: this machine has none of the devices");
    };
    everywhere(|boxed| {
        let script = format!("mknod /own c {major} {minor} && : </own && echo opened");
        let ended = boxed.run(Template::default(), &script);
        assert!(ended.stderr.contains("Operation not permitted"), "{ended:?}");
        let device = Device {
            host: host.clone(),
            container: "/dev/given".to_owned(),
            permissions: "rw".to_owned(),
        };
        let container = Container { devices: vec![device], ..Container::default() };
        let ended = boxed.run(of(container), ": </dev/given && echo opened");
        assert_eq!(ended.text(), "opened\n");
    });
}

#[test]
fn names_are_what_the_service_says() {
    everywhere(|boxed| {
        let dns = Dns { nameservers: words(&["192.0.2.53"]), ..Dns::default() };
        let hosts = words(&["192.0.2.7 db"]);
        let container = Container { dns, hosts, ..Container::default() };
        let script = "hostname; cat /etc/hostname /etc/hosts; grep nameserver /etc/resolv.conf; \
                      echo more >>/etc/hosts && echo written";
        let text = boxed.run(of(container), script).text();
        assert!(text.starts_with("box-1\nbox-1\n"), "{text}");
        assert!(text.contains("192.0.2.7\tdb\n") && text.contains("\tbox-1\n"), "{text}");
        assert!(text.ends_with("nameserver 192.0.2.53\nwritten\n"), "{text}");
    });
}

#[test]
fn kernel_parameters_are_set_in_its_own_namespaces() {
    everywhere(|boxed| {
        let pairs = [("kernel.shmmni", "123"), ("net.ipv4.ip_default_ttl", "77")];
        let sysctls: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let container = Container { sysctls, network: NetworkMode::None, ..Container::default() };
        let script = "cd /proc/sys; cat kernel/shmmni net/ipv4/ip_default_ttl \
                      net/ipv4/ip_unprivileged_port_start; ls /sys/class/net";
        let text = boxed.run(of(container), script).text();
        assert!(text.starts_with("123\n77\n0\n"), "{text}");
        assert!(!text.contains("eth0") && text.contains("lo"), "{text}");
        assert_ne!(fs::read_to_string("/proc/sys/kernel/shmmni").expect("Linux").trim(), "123");
    });
}

#[test]
fn the_node_is_hidden_and_cannot_be_changed() {
    everywhere(|boxed| {
        let script = "ls /sys/firmware | wc -l; cat /proc/keys 2>&- | wc -c; echo $$; \
                      procs=/sys/fs/cgroup/memory/cgroup.procs; \
                      test -e $procs || procs=/sys/fs/cgroup/cgroup.procs; echo 1 >$procs; \
                      echo 1 >/proc/sys/vm/swappiness; mkdir /sys/kernel/x; \
                      mount -t tmpfs none /mnt";
        let ended = boxed.run(Template::default(), script);
        assert_eq!(ended.stdout, "0\n0\n1\n", "{ended:?}");
        assert!(ended.stderr.matches("Read-only file system").count() >= 3, "{ended:?}");
        assert_ne!(ended.code, Some(0), "{ended:?}");
        let privileged = Container { privileged: true, ..Container::default() };
        let script = "mount -t tmpfs none /mnt && test -w /proc/sys/vm/swappiness && echo may";
        assert_eq!(boxed.run(of(privileged), script).text(), "may\n");
    });
}

#[test]
fn folders_and_volumes_of_the_node_are_mounted() {
    everywhere(|boxed| {
        let shared = boxed.folder("shared");
        fs::write(shared.join("note"), "from the node").expect("writable");
        let volume = boxed.folder("pgdata");
        boxed.volumes.insert("pgdata".to_owned(), volume.clone());
        let bind = MountSource::Bind {
            path: shared.display().to_string(),
            propagation: String::new(),
            non_recursive: false,
            create: false,
        };
        let named = MountSource::Volume {
            name: "pgdata".to_owned(),
            no_copy: false,
            labels: Labels::new(),
        };
        let mounts = vec![
            Mount { source: bind, target: "/shared".to_owned(), read_only: true },
            Mount { source: named, target: "/var/lib/pg".to_owned(), read_only: false },
        ];
        let container = Container { mounts, ..Container::default() };
        let script = "cat /shared/note; touch /shared/x; echo row >/var/lib/pg/table";
        let ended = boxed.run(of(container), script);
        assert_eq!(ended.stdout, "from the node", "{ended:?}");
        assert!(ended.stderr.contains("Read-only file system"), "{ended:?}");
        assert_eq!(fs::read_to_string(volume.join("table")).expect("written"), "row\n");
    });
}

#[test]
fn nothing_gains_privileges_where_that_is_asked() {
    everywhere(|boxed| {
        let script = "grep NoNewPrivs /proc/self/status";
        let container = Container { no_new_privileges: true, ..Container::default() };
        assert!(boxed.run(of(container), script).text().ends_with("\t1\n"));
        assert!(boxed.run(Template::default(), script).text().ends_with("\t0\n"));
    });
}

#[test]
fn the_environment_is_the_images_and_the_services() {
    everywhere(|boxed| {
        let template = Template {
            env: words(&["COLOUR=red"]),
            dir: Some("/srv/new/dir".to_owned()),
            ..Template::default()
        };
        let text = boxed.run(template, "echo $COLOUR $FROM_IMAGE; pwd; test -d .").text();
        assert_eq!(text, "red yes\n/srv/new/dir\n");
        assert!(Path::new(&boxed.rootfs()).join("srv/new/dir").is_dir());
    });
}
