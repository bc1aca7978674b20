//! Real containers with user and group ids of their own, the same with each runtime: what they are
//! on the node, whose their files are, and what they do not get.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crdt_state::SecretId;
use crdt_state::file::SecretFile;
use crdt_state::secret::Plaintext;
use crdt_state::spec::{
    Device, HealthCheck, Labels, Mount, MountSource, NetworkMode, UserNamespace,
};
use crdt_state::task::{Exit, Health, Run, RunEvent, TaskStart};
use runtime::copy::PutOrder;
use runtime::exec::frame::Kind;
use runtime::exec::{ExecOrder, ExecRequest, Size};
use runtime::run_dir;
use runtime::user_range::{IDS, UserRange};
use runtime::volume::Volumes;

use crate::host::{Host, until};
use crate::session::Session;
use crate::test_images::shell;

fn with_own_users(line: &str) -> TaskStart {
    let mut start = shell(line);
    start.template.extension.users = Some(UserNamespace::Own);
    start
}

fn range(host: &Host, run: Run) -> UserRange {
    let order = fs::read(host.dir(run).join(run_dir::ORDER)).expect("it is there");
    let order = run_dir::parse_order(&order).expect("an order");
    order.container.and_then(|container| container.users).expect("it has one")
}

fn owner(path: impl AsRef<Path>) -> (u32, u32) {
    let found = fs::symlink_metadata(path).expect("it is there");
    (found.uid(), found.gid())
}

fn its_root_is_nobody_on_the_node(host: &mut Host) {
    let line = "cat /proc/self/uid_map /proc/self/gid_map; id -u; \
                stat -c '%u %g' / /etc/group /bin/busybox /etc/hosts | sort -u; \
                rm /etc/passwd && echo no accounts; mkdir -p /srv/mine; echo x > /srv/mine/file; \
                chown 5:6 /srv/mine/file; stat -c '%u:%g' /srv/mine/file; \
                mv /etc/group /srv/group; echo y >> /srv/group; test -e /etc/group || echo moved; \
                mount -t tmpfs none /mnt 2>/dev/null || echo no mounts; \
                (echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo no settings; \
                echo up; exec sleep 1000";
    let first = with_own_users(line);
    let pid = host.run(&first);
    host.hear(first.run, "up\n");
    let own = range(host, first.run);
    let map: Vec<String> = host
        .said(first.run)
        .lines()
        .take(2)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(map, [format!("0 {} {IDS}", own.first), format!("0 {} {IDS}", own.first)]);
    assert!(own.first > 524_288);
    let said: Vec<String> = host.said(first.run).lines().skip(2).map(str::to_owned).collect();
    let words = ["0", "0 0", "no accounts", "5:6", "moved", "no mounts", "no settings", "up"];
    assert_eq!(said, words);
    assert_eq!(owner(format!("/proc/{pid}")), (own.first, own.first));
    let layer = host.test_images.as_ref().expect("containers").path().join("busybox");
    assert_eq!(owner(layer.join("etc/passwd")), (0, 0), "the image is as it was");

    let mut second = with_own_users("id -u; echo up > /dev/stdout; exec sleep 1000");
    second.template.user = Some("shop".to_owned());
    let pid = host.run(&second);
    host.hear(second.run, "900\nup\n");
    let other = range(host, second.run);
    assert!(own.first.abs_diff(other.first) >= IDS, "{own:?} {other:?}");
    assert_eq!(owner(format!("/proc/{pid}")), (other.first + 900, other.first + 901));
    for run in [first.run, second.run] {
        assert_eq!(host.stop(run, None, 0), Exit::Signal(9));
    }
    assert_eq!(owner("/dev/null"), (0, 0), "the node's");
}

fn its_terminal_is_its_own(host: &mut Host) {
    let mut start = with_own_users("tty; echo x > $(tty) && echo written; exec sleep 1000");
    start.template.container.tty = true;
    start.template.user = Some("shop".to_owned());
    host.run(&start);
    host.hear(start.run, "written");
    let order = ExecOrder {
        words: ["sh", "-c", "echo x > $(tty) && echo typed"].map(str::to_owned).to_vec(),
        terminal: Some(Size { rows: 24, columns: 80 }),
        ..ExecOrder::default()
    };
    let said = Session::exec(host, start.run, order).finish();
    assert!(said.text().contains("typed"), "{said:?}");
    assert_eq!(host.stop(start.run, None, 0), Exit::Signal(9));
    assert_eq!(owner("/dev/null"), (0, 0), "the node's");
}

fn its_health_command_is_run_by_its_users(host: &mut Host) {
    let mut start = with_own_users("exec sleep 1000");
    start.template.health = Some(HealthCheck {
        test: vec!["CMD-SHELL".to_owned(), "tr -s ' ' < /proc/self/uid_map > /health".to_owned()],
        interval_ms: 100,
        timeout_ms: 5_000,
        retries: 3,
        start_period_ms: 0,
        start_interval_ms: 100,
    });
    let pid = host.run(&start);
    let own = range(host, start.run);
    let file = PathBuf::from(format!("/proc/{pid}/root/health"));
    let said =
        until("the command", || fs::read_to_string(&file).ok().filter(|text| !text.is_empty()));
    assert_eq!(said, format!(" 0 {} {IDS}\n", own.first));
    assert_eq!(owner(&file), (own.first, own.first));
    assert_eq!(host.next(), (start.run, RunEvent::HealthChanged(Health::Healthy)));
    assert_eq!(host.stop(start.run, None, 0), Exit::Signal(9));
}

fn with_volume(host: &Host, line: &str) -> (TaskStart, PathBuf) {
    let images = host.test_images.as_ref().expect("it runs containers");
    let volumes = Volumes::open(&images.path().join("volumes")).expect("it is made");
    let volume = volumes.create("pgdata", &Labels::new()).expect("it is made");
    images.change("busybox", |order| {
        order.volumes.insert("pgdata".to_owned(), volume.data.clone());
    });
    let mut start = with_own_users(line);
    let source =
        MountSource::Volume { name: "pgdata".to_owned(), no_copy: false, labels: Labels::new() };
    let mount = Mount { source, target: "/etc".to_owned(), read_only: false };
    start.template.container.mounts.push(mount);
    (start, volume.data)
}

fn a_volume_is_the_same_for_each_range(host: &mut Host) {
    let line = "stat -c '%u' /etc/passwd; echo rows > /etc/table; chown 900:901 /etc/table; \
                chmod 600 /etc/table; exec sleep 1000";
    let (first, data) = with_volume(host, line);
    host.run(&first);
    until("the table", || {
        (data.join("table").metadata().ok()?.mode() & 0o777 == 0o600).then_some(())
    });
    host.hear(first.run, "0\n");
    assert_eq!(owner(data.join("table")), (900, 901), "on the disk as inside");
    assert_eq!(owner(data.join("passwd")), (0, 0));
    // A range that the first one still has.
    let (mut second, _) =
        with_volume(host, "cat /etc/table; echo more >> /etc/table && cat /etc/table");
    second.template.user = Some("900:901".to_owned());
    host.run(&second);
    assert_eq!(host.exit(second.run), Exit::Code(0), "{}", host.said(second.run));
    assert_eq!(host.said(second.run), "rows\nrows\nmore\n");
    assert_eq!(host.stop(first.run, None, 0), Exit::Signal(9));
}

fn its_files_and_folders_are_its_own(host: &mut Host) {
    const SECRET: SecretId = SecretId([7; 16]);
    let images = host.test_images.as_ref().expect("it runs containers");
    images.change("busybox", |order| {
        order.files.insert(SECRET.into(), Plaintext("hunter2".into()));
    });
    let folder = tempfile::tempdir().expect("a folder");
    chown(folder.path(), Some(900), Some(901)).expect("root may");
    let line = "cat /run/secrets/key; stat -c ' %u %g %a' /run/secrets/key; \
                echo x > /shared/file && echo shared; echo x > /tmp/file && echo memory; \
                cat /etc/resolv.conf > /dev/null && echo names";
    let mut start = with_own_users(line);
    start.template.user = Some("shop".to_owned());
    let (name, target) = ("key".to_owned(), "key".to_owned());
    let secret = SecretFile { id: SECRET, name, target, uid: 900, gid: 901, mode: 0o400 };
    start.template.extension.secrets = vec![secret.clone()];
    let bind = MountSource::Bind {
        path: folder.path().display().to_string(),
        propagation: String::new(),
        non_recursive: false,
        create: false,
    };
    let tmpfs = MountSource::Tmpfs { size_bytes: 0, mode: 0o1777 };
    start.template.container.mounts = [(bind, "/shared"), (tmpfs, "/tmp")]
        .map(|(source, target)| Mount { source, target: target.to_owned(), read_only: false })
        .to_vec();
    let first = ["/bin/sh", "-c", "cat /run/secrets/key; echo; id -u > /dev/stdout"];
    start.template.extension.pre_start = vec![first.map(str::to_owned).to_vec()];
    host.run(&start);
    assert_eq!(host.exit(start.run), Exit::Code(0), "{}", host.said(start.run));
    let said = "hunter2\n900\nhunter2 900 901 400\nshared\nmemory\nnames\n";
    assert_eq!(host.said(start.run), said);
    assert_eq!(owner(folder.path().join("file")), (900, 901));

    let mut foreign = with_own_users("true");
    foreign.template.extension.secrets = vec![SecretFile { uid: 70_000, ..secret }];
    let (permanent, reason) = host.refusal(&foreign);
    assert!(permanent && reason.contains("and 70000 is to have"), "{reason}");
}

fn sessions_are_those_of_its_users(host: &mut Host) {
    let start = with_own_users("mkdir -p /srv/in; echo up; exec sleep 1000");
    host.run(&start);
    host.hear(start.run, "up");
    let exec = |host: &Host, user: Option<&str>, line: &str| {
        let order = ExecOrder {
            words: ["sh", "-c", line].map(str::to_owned).to_vec(),
            user: user.map(str::to_owned),
            ..ExecOrder::default()
        };
        let said = Session::exec(host, start.run, order).finish();
        assert_eq!((said.code, &said.stderr[..]), (Some(0), &b""[..]), "{said:?}");
        said.text()
    };
    let own = range(host, start.run);
    let line = "id -u; echo out > /dev/stdout; tr -s ' ' < /proc/self/uid_map";
    let map = format!("out\n 0 {} {IDS}\n", own.first);
    assert_eq!(exec(host, None, line), format!("0\n{map}"));
    assert_eq!(exec(host, Some("shop"), line), format!("900\n{map}"));

    let from = tempfile::tempdir().expect("a folder");
    fs::write(from.path().join("file"), "copied\n").expect("writable");
    chown(from.path().join("file"), Some(900), Some(901)).expect("root may");
    let mut archive = Vec::new();
    runtime::copy::pack_here(&from.path().join("file"), "file", &mut archive).expect("packed");
    let order = PutOrder { path: "/srv/in".to_owned(), keep_kinds: true, own: false };
    let mut put = Session::open(host, start.run, &ExecRequest::Put(order));
    put.send(Kind::Stdin, &archive);
    put.send(Kind::End, &[]);
    let said = put.finish();
    assert_eq!((said.code, said.refusal), (Some(0), None));
    assert_eq!(
        exec(host, None, "cat /srv/in/file; ls -ln /srv/in/file | cut -c1-10; rm /srv/in/file"),
        "copied\n-rw-r--r--\n"
    );
    exec(host, None, "echo back > /srv/out; chown 5:6 /srv/out; chmod 600 /srv/out");
    let get = ExecRequest::Get { path: "/srv/out".to_owned() };
    let said = Session::open(host, start.run, &get).finish();
    assert_eq!(said.code, Some(0), "{said:?}");
    let mut archive = tar::Archive::new(&said.stdout[..]);
    let entry = archive.entries().expect("an archive").next().expect("a file").expect("whole");
    assert_eq!((entry.header().uid().ok(), entry.header().gid().ok()), (Some(5), Some(6)));
    assert_eq!(host.stop(start.run, None, 0), Exit::Signal(9));
}

/// A network namespace, while its process lives.
struct Network(Child);

impl Network {
    fn new() -> Network {
        let child = Command::new("unshare").args(["-n", "sleep", "1000"]).spawn();
        let network = Network(child.expect("unshare is installed"));
        let own = fs::read_link("/proc/self/ns/net").expect("it has one");
        until("a namespace", || fs::read_link(network.path()).ok().filter(|found| *found != own));
        network
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn low_ports_are_open_in_each_network_of_its_own(host: &mut Host) {
    let network = Network::new();
    let line = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls /sys/class/net; \
                nc -l -p 80 & sleep 0.3; kill -0 $! && echo listens; kill $!; \
                cat /proc/sys/net/ipv4/ping_group_range";
    for joined in [None, Some(network.path())] {
        let images = host.test_images.as_ref().expect("it runs containers");
        images.change("busybox", |order| order.network.clone_from(&joined));
        let mut start = with_own_users(line);
        start.template.container.network = NetworkMode::None;
        host.run(&start);
        assert_eq!(host.exit(start.run), Exit::Code(0), "{}", host.said(start.run));
        // Groups beyond its own are shown as nobody.
        let groups = if joined.is_some() { "65534\t65534" } else { "0\t65535" };
        assert_eq!(host.said(start.run), format!("0\nlo\nlistens\n{groups}\n"));
    }
}

fn what_it_cannot_have_is_refused_and_nothing_is_left(host: &mut Host) {
    let mut start = with_own_users("true");
    start.template.container.devices = vec![Device {
        host: "/dev/null".to_owned(),
        container: "/dev/mine".to_owned(),
        permissions: "rw".to_owned(),
    }];
    let (permanent, reason) = host.refusal(&start);
    assert!(permanent && reason.contains("take --userns host"), "{reason}");
    let mut start = with_own_users("true");
    let source = MountSource::Bind {
        path: "/proc".to_owned(),
        propagation: String::new(),
        non_recursive: true,
        create: false,
    };
    let mount = Mount { source, target: "/mnt".to_owned(), read_only: true };
    start.template.container.mounts.push(mount);
    let (permanent, reason) = host.refusal(&start);
    assert!(permanent && reason.contains("/proc cannot be shown with ids"), "{reason}");
    let mut start = with_own_users("true");
    start.template.user = Some("70000".to_owned());
    let (permanent, reason) = host.refusal(&start);
    assert!(permanent && reason.contains("is to be 70000"), "{reason}");
    assert!(fs::read_dir("/run/edgectl-root").is_ok_and(|mut left| left.next().is_none()));
}

every_runtime!(
    its_root_is_nobody_on_the_node,
    its_terminal_is_its_own,
    its_health_command_is_run_by_its_users,
    a_volume_is_the_same_for_each_range,
    its_files_and_folders_are_its_own,
    sessions_are_those_of_its_users,
    low_ports_are_open_in_each_network_of_its_own,
    what_it_cannot_have_is_refused_and_nothing_is_left,
);
