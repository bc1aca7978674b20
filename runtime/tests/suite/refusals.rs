//! A refused start reports what, why and what to do, and whether waiting can help.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crdt_state::spec::{HealthCheck, Runtime, Template};
use crdt_state::task::TaskStart;

use crate::host::{Host, is_root, program, start};

#[track_caller]
fn permanent(host: &mut Host, order: &TaskStart, words: &[&str]) {
    let (permanent, reason) = host.refusal(order);
    assert!(permanent, "{reason}");
    for word in words {
        assert!(reason.contains(word), "{word:?} in {reason:?}");
    }
}

#[test]
fn programs_that_cannot_run_are_refused_for_good() {
    let mut host = Host::new();
    let plain = host.runs.join("plain");
    fs::write(&plain, "hello").expect("writable");
    let plain = plain.display().to_string();
    let wrong = host.runs.join("wrong");
    fs::write(&wrong, "#!/no/such/interpreter\n").expect("writable");
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o755)).expect("ours");
    let wrong = wrong.display().to_string();
    permanent(
        &mut host,
        &program(&["no-such-program"]),
        &["no-such-program", "/usr/bin", "install it"],
    );
    permanent(&mut host, &program(&["/no/such/program"]), &["/no/such/program", "no such file"]);
    permanent(&mut host, &program(&[&plain]), &["not executable", "chmod +x"]);
    permanent(&mut host, &program(&[&wrong]), &["interpreter"]);
    permanent(&mut host, &program(&["/bin"]), &["not executable"]);
    permanent(&mut host, &program(&[]), &["no command"]);
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).expect("ours");
    permanent(&mut host, &program(&[&plain]), &["neither a program of this machine nor a script"]);
}

#[test]
fn circumstances_that_are_not_there_are_refused_for_good() {
    let mut host = Host::new();
    let mut order = program(&["true"]);
    order.template.user = Some("nobody-of-this-name".to_owned());
    permanent(&mut host, &order, &["nobody-of-this-name", "useradd"]);
    let mut order = program(&["true"]);
    order.template.user = Some("root:no-such-group".to_owned());
    permanent(&mut host, &order, &["no-such-group", "groupadd"]);
    let mut order = program(&["true"]);
    order.template.dir = Some("/no/such/folder".to_owned());
    permanent(&mut host, &order, &["/no/such/folder", "create it"]);
}

type Change = fn(&mut Template);

#[test]
fn malformed_templates_are_refused_for_good() {
    let mut host = Host::new();
    let changes: [(&str, Change); 5] = [
        ("SIGNOPE", |t| t.stop_signal = Some("SIGNOPE".to_owned())),
        ("NAME=value", |t| t.env = vec!["NAME".to_owned()]),
        ("NUL", |t| t.args = vec!["a\0b".to_owned()]),
        ("max-size", |t| drop(t.log_options.insert("max-size".to_owned(), "lots".to_owned()))),
        ("CMD-SHELL", |t| {
            let test = vec!["curl".to_owned()];
            let (interval_ms, timeout_ms, retries, start_period_ms, start_interval_ms) =
                (0, 0, 0, 0, 0);
            t.health = Some(HealthCheck {
                test,
                interval_ms,
                timeout_ms,
                retries,
                start_period_ms,
                start_interval_ms,
            });
        }),
    ];
    for (word, change) in changes {
        let mut order = program(&["true"]);
        change(&mut order.template);
        permanent(&mut host, &order, &[word]);
    }
}

#[test]
fn containers_are_refused_until_there_is_a_driver_for_them() {
    let mut host = Host::new();
    let image = "nginx:1".to_owned();
    let order = start(Template { runtime: Runtime::Container, image, ..Template::default() });
    permanent(&mut host, &order, &["nginx:1", "--runtime process"]);
    assert!(!host.dir(order.run).exists());
}

#[test]
fn a_limit_of_processes_is_no_fault_of_the_template() {
    if !is_root("a user's limit of processes") {
        return;
    }
    let mut host = Host::new();
    let mut limit = nix::libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both structures are valid; root itself is exempt from this limit.
    unsafe {
        nix::libc::getrlimit(nix::libc::RLIMIT_NPROC, &raw mut limit);
        limit.rlim_cur = 0;
        nix::libc::setrlimit(nix::libc::RLIMIT_NPROC, &raw const limit);
    }
    // A user that runs nothing else.
    let user = (100_000 + std::process::id()).to_string();
    let order = || {
        let mut order = program(&["sleep", "1000"]);
        order.template.user = Some(user.clone());
        order
    };
    host.run(&order());
    let (permanent, reason) = host.refusal(&order());
    assert!(!permanent && reason.contains("limit of processes"), "{reason}");
}

#[test]
fn a_folder_that_takes_nothing_is_no_fault_of_the_template() {
    let mut host = Host::new();
    fs::remove_dir_all(&host.runs).expect("removable");
    fs::write(&host.runs, "in the way").expect("writable");
    let (permanent, reason) = host.refusal(&program(&["true"]));
    fs::remove_file(&host.runs).expect("removable");
    assert!(!permanent && reason.contains("cannot write the run's folder"), "{reason}");
}

/// A small disk, unmounted on drop.
struct Disk(std::path::PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_refuses_for_now_and_starts_again_when_there_is_room() {
    if !is_root("a disk of 64 KiB") {
        return;
    }
    let mut host = Host::new();
    let (kind, options) = (Some("tmpfs"), Some("size=64k"));
    let flags = nix::mount::MsFlags::empty();
    if nix::mount::mount(kind, &host.runs, kind, flags, options).is_err() {
        eprintln!("SKIPPED where nothing can be mounted: a full disk");
        return;
    }
    let disk = Disk(host.runs.clone());
    let filler = host.runs.join("filler");
    let _ = fs::write(&filler, vec![0; 1 << 20]);
    let (permanent, reason) = host.refusal(&program(&["true"]));
    assert!(!permanent && reason.contains("free some space"), "{reason}");
    fs::remove_file(&filler).expect("removable");
    let order = program(&["sleep", "1000"]);
    host.run(&order);
    let _ = fs::write(&filler, vec![0; 1 << 20]);
    // The final status cannot be written any more, but the run ends, and the end is reported.
    host.stop(order.run, None, 0);
    drop(disk);
}
