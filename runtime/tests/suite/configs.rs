//! Configs in real containers, the same with each runtime: files that are read-only, each with the
//! owner and the permissions that it was given, and gone with their run.

use std::fs;

use crdt_state::ConfigId;
use crdt_state::file::ConfigFile;
use crdt_state::secret::Plaintext;
use crdt_state::task::{Exit, TaskStart};
use runtime::run_dir;

use crate::host::{Host, until};
use crate::test_images::shell;

const CONFIG: ConfigId = ConfigId([7; 16]);

fn file(target: &str, (uid, gid, mode): (u32, u32, u32)) -> ConfigFile {
    let (name, target) = ("app.conf".to_owned(), target.to_owned());
    ConfigFile { id: CONFIG, name, target, uid, gid, mode }
}

fn with(host: &Host, line: &str, files: Vec<ConfigFile>) -> TaskStart {
    let test_images = host.test_images.as_ref().expect("it runs containers");
    test_images.change("busybox", |order| {
        order.files.insert(CONFIG.into(), Plaintext(b"level=7\n".to_vec()));
    });
    let mut order = shell(line);
    order.template.extension.configs = files;
    order
}

fn each_file_has_its_owner_and_its_permissions(host: &mut Host) {
    let files = vec![
        file("app.conf", (0, 0, 0o444)),
        file("/etc/app/strict", (900, 901, 0o400)),
        // Folders that the image has, and a file that it has.
        file("/etc/passwd", (7, 8, 0o640)),
    ];
    let line = "for f in /app.conf /etc/app/strict /etc/passwd; do stat -c '%n %u %g %a' $f; \
                cat $f; done; echo x >> /app.conf || echo kept; rm /app.conf || echo there; \
                chmod 777 /app.conf || echo strict; exec sleep 1000";
    let order = with(host, line, files);
    host.run(&order);
    host.hear(order.run, "strict\n");
    let said = host.said(order.run);
    let lines = ["/app.conf 0 0 444", "/etc/app/strict 900 901 400", "/etc/passwd 7 8 640"];
    for line in lines.iter().chain(&["kept", "there", "strict"]) {
        assert!(said.lines().any(|told| told == *line), "{line:?} in {said}");
    }
    assert_eq!(said.matches("level=7").count(), 3, "{said}");
    let dir = host.dir(order.run);
    let order_file = fs::read_to_string(dir.join(run_dir::ORDER)).expect("it is there");
    assert!(!order_file.contains("level=7"), "the data is not in the order");
    assert_eq!(host.stop(order.run, None, 0), Exit::Signal(9));
    until("the files to go", || (!dir.join(run_dir::CONFIGS).exists()).then_some(()));
}

fn a_config_lies_in_a_read_only_container_and_over_a_mount(host: &mut Host) {
    let mut order = with(
        host,
        "cat /etc/app.conf /run/app.conf",
        vec![file("/etc/app.conf", (0, 0, 0o444)), file("/run/app.conf", (0, 0, 0o444))],
    );
    order.template.container.read_only = true;
    order.template.container.mounts.push(crdt_state::spec::Mount {
        source: crdt_state::spec::MountSource::Tmpfs { size_bytes: 0, mode: 0o755 },
        target: "/run".to_owned(),
        read_only: false,
    });
    host.run(&order);
    assert_eq!(host.exit(order.run), Exit::Code(0), "{}", host.said(order.run));
    assert_eq!(host.said(order.run), "level=7\nlevel=7\n");
}

fn a_config_without_data_leaves_nothing(host: &mut Host) {
    let mut order = shell("true");
    order.template.extension.configs = vec![file("/a", (0, 0, 0o444))];
    let (permanent, reason) = host.refusal(&order);
    assert!(!permanent, "{reason}");
    assert!(!host.dir(order.run).exists());
}

every_runtime!(
    each_file_has_its_owner_and_its_permissions,
    a_config_lies_in_a_read_only_container_and_over_a_mount,
    a_config_without_data_leaves_nothing,
);
