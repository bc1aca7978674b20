//! The environment that a program has when it starts.

use crdt_state::spec::Template;
use crdt_state::task::Exit;

use crate::host::{Host, is_root, program, shell, start};

#[test]
fn a_program_gets_its_own_environment_directory_and_arguments() {
    let mut host = Host::new();
    let mut order = start(Template {
        command: vec!["sh".to_owned(), "-c".to_owned()],
        args: vec!["pwd; echo $0 $1; env".to_owned(), "zero".to_owned(), "one two".to_owned()],
        env: vec!["GREETING=hello world".to_owned()],
        dir: Some("/usr".to_owned()),
        hostname: Some("till-3".to_owned()),
        ..Template::default()
    });
    order.template.stop_grace_ms = 1_000;
    host.run(&order);
    assert_eq!(host.exit(order.run), Exit::Code(0));
    let said = host.said(order.run);
    assert!(said.starts_with("/usr\nzero one two\n"), "{said}");
    for line in ["GREETING=hello world\n", "HOSTNAME=till-3\n", "EDGECTL_RUN="] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(!said.contains("CARGO"), "the agent's environment leaks: {said}");
}

#[test]
fn a_program_inherits_nothing_from_the_agent() {
    let mut host = Host::new();
    // A descriptor that the agent forgot to close at an exec.
    let leak = nix::unistd::dup(std::io::stderr()).expect("there is room for one");
    let order = shell(
        "ls -l /proc/self/fd; grep -E 'Sig(Ign|Blk)' /proc/self/status; \
         cat /proc/self/oom_score_adj; umask; cut -d' ' -f1,5,6 /proc/$$/stat",
    );
    let pid = host.run(&order);
    host.exit(order.run);
    drop(leak);
    let said = host.said(order.run);
    let descriptors = said.lines().filter(|line| line.contains(" -> ")).count();
    // The three descriptors of every program, and the folder that ls reads.
    assert_eq!(descriptors, 4, "{said}");
    assert!(said.contains("0 -> /dev/null"), "{said}");
    assert!(said.contains("SigBlk:\t0000000000000000"), "{said}");
    // 32 and 33 are the C library's own and cannot be set through it.
    let ignored = said.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).expect("told");
    let ignored = u64::from_str_radix(ignored, 16).expect("a mask");
    assert_eq!(ignored & !(0b11 << 31), 0, "{said}");
    assert!(said.contains("\n0\n0022\n"), "{said}");
    assert!(said.contains(&format!("\n{pid} {pid} {pid}\n")), "own session and group: {said}");
}

#[test]
fn a_program_runs_as_the_user_it_asks_for() {
    if !is_root("a task of another user") {
        return;
    }
    let mut host = Host::new();
    for (user, expected) in
        [("daemon", "1 1 1 /usr/sbin"), ("2:3", "2 3 3 /bin"), ("54321", "54321 54321 54321 /")]
    {
        let mut order = shell("echo $(id -u) $(id -g) $(id -G) $HOME; echo ok > /dev/stderr");
        order.template.user = Some(user.to_owned());
        host.run(&order);
        assert_eq!(host.exit(order.run), Exit::Code(0), "{user}: {}", host.said(order.run));
        let said = host.said(order.run);
        assert!(said.contains(&format!("{expected}\n")), "{user}: {said}");
        assert!(said.contains("ok\n"), "it may open its own output: {said}");
    }
}

#[test]
fn a_program_is_found_relative_to_its_directory() {
    let mut host = Host::new();
    let mut order = program(&["./true"]);
    order.template.dir = Some("/bin".to_owned());
    host.run(&order);
    assert_eq!(host.exit(order.run), Exit::Code(0));
}

#[test]
fn every_way_to_end_is_told_apart() {
    let mut host = Host::new();
    for (line, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 255", Exit::Code(255)),
        ("kill -9 $$", Exit::Signal(9)),
        ("kill -40 $$", Exit::Signal(40)),
    ] {
        let order = shell(line);
        host.run(&order);
        assert_eq!(host.exit(order.run), exit, "{line}");
    }
}
