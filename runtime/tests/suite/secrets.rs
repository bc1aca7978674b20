//! Secrets in real containers, the same with each runtime: read-only files in memory, each with the
//! owner and the permissions that it was given, and on no disk.

use std::fs;
use std::path::Path;

use crdt_state::SecretId;
use crdt_state::file::SecretFile;
use crdt_state::secret::Plaintext;
use crdt_state::task::{Exit, TaskStart};
use runtime::run_dir;

use crate::host::{Host, until};
use crate::test_images::shell;

const SECRET: SecretId = SecretId([7; 16]);
const VALUE: &str = "hunter2-never-on-a-disk";

fn file(target: &str, (uid, gid, mode): (u32, u32, u32)) -> SecretFile {
    let (name, target) = ("key".to_owned(), target.to_owned());
    SecretFile { id: SECRET, name, target, uid, gid, mode }
}

fn with(host: &Host, line: &str, files: Vec<SecretFile>) -> TaskStart {
    let test_images = host.test_images.as_ref().expect("it runs containers");
    test_images.change("busybox", |order| {
        order.files.insert(SECRET.into(), Plaintext(VALUE.into()));
    });
    let mut order = shell(line);
    order.template.extension.secrets = files;
    order
}

/// Fails if any file below this folder has the secret in it. What goes meanwhile has nothing.
fn is_nowhere_in(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            is_nowhere_in(&path);
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            let is_in = bytes.windows(VALUE.len()).any(|part| part == VALUE.as_bytes());
            assert!(!is_in, "{}", path.display());
        }
    }
}

fn each_file_has_its_owner_and_its_permissions_and_is_on_no_disk(host: &mut Host) {
    let files = vec![
        file("key", (0, 0, 0o444)),
        file("a/b", (900, 901, 0o400)),
        file("/etc/tls/key", (7, 8, 0o640)),
    ];
    let line = "for f in /run/secrets/key /run/secrets/a/b /etc/tls/key; do \
                stat -c '%n %u %g %a' $f; test $(cat $f | wc -c) = 23 && echo whole; done; \
                echo x >> /etc/tls/key || echo kept; rm /run/secrets/key || echo there; \
                chmod 777 /run/secrets/a/b || echo strict; \
                grep -c 'tmpfs' /proc/mounts > /dev/null && echo memory; exec sleep 1000";
    let order = with(host, line, files);
    host.run(&order);
    host.hear(order.run, "memory\n");
    let said = host.said(order.run);
    let lines =
        ["/run/secrets/key 0 0 444", "/run/secrets/a/b 900 901 400", "/etc/tls/key 7 8 640"];
    for line in lines.iter().chain(&["kept", "there", "strict"]) {
        assert!(said.lines().any(|told| told == *line), "{line:?} in {said}");
    }
    assert_eq!(said.matches("whole").count(), 3, "{said}");
    let dir = host.dir(order.run);
    is_nowhere_in(&dir);
    assert_eq!(host.stop(order.run, None, 0), Exit::Signal(9));
    until("the folder to go", || (!dir.join(run_dir::SECRETS).exists()).then_some(()));
    is_nowhere_in(&dir);
}

fn a_command_before_the_start_and_a_read_only_container_have_them_too(host: &mut Host) {
    let line = "test $(cat /run/secrets/key | wc -c) = 23 && echo second";
    let mut order = with(host, line, vec![file("key", (0, 0, 0o444))]);
    order.template.container.read_only = true;
    let first = "test $(cat /run/secrets/key | wc -c) = 23 && echo first";
    order.template.extension.pre_start = vec![["/bin/sh", "-c", first].map(str::to_owned).to_vec()];
    host.run(&order);
    assert_eq!(host.exit(order.run), Exit::Code(0), "{}", host.said(order.run));
    assert_eq!(host.said(order.run), "first\nsecond\n");
}

fn a_secret_without_data_leaves_nothing(host: &mut Host) {
    let mut order = shell("true");
    order.template.extension.secrets = vec![file("/a", (0, 0, 0o444))];
    let (permanent, reason) = host.refusal(&order);
    assert!(!permanent, "{reason}");
    assert!(!host.dir(order.run).exists());
}

every_runtime!(
    each_file_has_its_owner_and_its_permissions_and_is_on_no_disk,
    a_command_before_the_start_and_a_read_only_container_have_them_too,
    a_secret_without_data_leaves_nothing,
);
