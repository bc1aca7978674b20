//! Commands in a task, with and without a terminal, and their end.

use std::fs;
use std::io::Write;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::exec::frame::{CHUNK_BYTES, Frame, Kind};
use runtime::exec::{ExecOrder, Fault, Size};

use super::host::{Host, is_root, lives, shell, until};
use super::session::{Session, run_of};

fn words(words: &[&str]) -> ExecOrder {
    ExecOrder {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..ExecOrder::default()
    }
}

fn sh(line: &str) -> ExecOrder {
    words(&["/bin/sh", "-c", line])
}

#[test]
fn a_command_runs_in_the_circumstances_of_its_task() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let order = ExecOrder {
        env: vec!["SIZE=2".to_owned()],
        ..sh("pwd; echo $COLOUR $SIZE $EDGECTL_RUN; echo oops >&2; exit 3")
    };
    let said = Session::exec(&host, run, order).finish();
    assert_eq!(said.text(), format!("/usr\nblue 2 {}\n", runtime::run_dir::name(run)));
    assert_eq!(said.stderr, b"oops\n");
    assert_eq!(said.code, Some(3));
    let elsewhere = ExecOrder { dir: Some("/tmp".to_owned()), ..words(&["pwd"]) };
    assert_eq!(Session::exec(&host, run, elsewhere).finish().text(), "/tmp\n");
}

#[test]
fn a_command_is_in_the_groups_of_its_task() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let pid = {
        let status: runtime::run_dir::Status =
            runtime::run_dir::read(&host.dir(run), runtime::run_dir::STATUS)
                .expect("read")
                .expect("it runs");
        status.program.pid
    };
    let of_task = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("readable");
    let said = Session::exec(&host, run, words(&["cat", "/proc/self/cgroup"])).finish();
    assert_eq!(said.text(), of_task);
}

#[test]
fn another_user_is_taken_on() {
    if !is_root("exec as another user") {
        return;
    }
    let mut host = Host::new();
    let run = run_of(&mut host);
    let order = ExecOrder {
        user: Some("1234:5678".to_owned()),
        ..sh("id -u; id -g; echo x > /dev/stdout")
    };
    assert_eq!(Session::exec(&host, run, order).finish().text(), "1234\n5678\nx\n");
    let unknown = ExecOrder { user: Some("nobody-here".to_owned()), ..sh("true") };
    let refusal = Session::exec(&host, run, unknown).finish().refusal.expect("refused");
    assert_eq!(refusal.code, 126);
    assert!(refusal.message.contains("nobody-here"), "{}", refusal.message);
}

#[test]
fn exit_codes_are_those_of_a_shell() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let code = |order| {
        let said = Session::exec(&host, run, order).finish();
        said.code.or(said.refusal.map(|refusal| refusal.code))
    };
    assert_eq!(code(sh("true")), Some(0));
    assert_eq!(code(sh("exit 3")), Some(3));
    assert_eq!(code(words(&["/etc/passwd"])), Some(126));
    assert_eq!(code(words(&["no-such-program"])), Some(127));
    assert_eq!(code(words(&["/no/such/program"])), Some(127));
    assert_eq!(code(sh("kill -KILL $$")), Some(137));
}

#[test]
fn what_goes_in_comes_out_whole() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let order = ExecOrder { stdin: true, ..words(&["cat"]) };
    let mut session = Session::exec(&host, run, order);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut writer = session.socket.try_clone().expect("a copy");
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || {
        for chunk in bytes.chunks(CHUNK_BYTES) {
            writer.write_all(&Frame::new(Kind::Stdin, chunk).to_bytes()).expect("taken");
        }
        writer.write_all(&Frame::new(Kind::End, []).to_bytes()).expect("taken");
    });
    session.started();
    let said = session.finish();
    writing.join().expect("all was written");
    assert_eq!(said.code, Some(0));
    assert!(said.stdout == sent, "{} bytes of {}", said.stdout.len(), sent.len());
}

/// A helper that comes late finds all of the input, takes as much as it may hold, and the command takes
/// all of that at once: what is left was received already, so that nothing new arrives for it.
#[test]
fn input_that_fills_the_room_to_the_last_byte_is_not_the_last_that_is_taken() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let order = ExecOrder { stdin: true, ..sh("wc -c") };
    let mut session = Session::exec(&host, run, order);
    let helper = parent_of(session.started());
    kill(helper, Signal::SIGSTOP).expect("it is ours");
    let mut bytes = Vec::new();
    for _ in 0..72 {
        bytes.extend(Frame::new(Kind::Stdin, [7; 1_024]).to_bytes());
    }
    bytes.extend(Frame::new(Kind::End, []).to_bytes());
    session.socket.write_all(&bytes).expect("the socket holds it");
    kill(helper, Signal::SIGCONT).expect("it is ours");
    let said = session.finish();
    assert_eq!((said.text().trim(), said.code), ("73728", Some(0)));
}

fn parent_of(pid: u32) -> Pid {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    Pid::from_raw(line.trim().parse().expect("a number"))
}

#[test]
fn a_listener_that_does_not_listen_makes_the_command_wait() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let mut session = Session::exec(&host, run, words(&["cat", "/dev/zero"]));
    let pid = session.started();
    let written = || {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).expect("it runs");
        let line = io.lines().find(|line| line.starts_with("wchar:")).expect("it is counted");
        line["wchar:".len()..].trim().parse::<u64>().expect("a number")
    };
    // Full when two checks in a row see the same: the queue, the socket and the pipe are bounded.
    let mut last = 0;
    let stopped = until("it stands still", || {
        let (before, now) = (last, written());
        last = now;
        (now > 0 && before == now).then_some(now)
    });
    assert!(stopped < 4 << 20, "{stopped} bytes are held somewhere");
    let helper =
        fs::read_to_string(format!("/proc/{}/status", session.helper.id())).expect("it runs");
    let rss = helper.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is told");
    let rss: u64 = rss.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(rss < 32 << 10, "{rss} kB");
}

#[test]
fn a_terminal_is_one_and_changes_its_size() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let order = ExecOrder {
        terminal: Some(Size { rows: 33, columns: 101 }),
        stdin: true,
        ..sh(
            "tty; stty size; echo $TERM; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done",
        )
    };
    let mut session = Session::exec(&host, run, order);
    session.started();
    let heard = session.hear("ready");
    assert!(
        heard.contains("/dev/pts/") && heard.contains("33 101") && heard.contains("xterm"),
        "{heard}"
    );
    let resize = Frame::resize(Size { rows: 50, columns: 132 });
    session.send(resize.kind, &resize.payload);
    let said = session.finish();
    assert!(said.text().contains("50 132"), "{}", said.text());
    assert_eq!(said.code, Some(5));
}

#[test]
fn a_key_on_a_terminal_interrupts_what_is_in_front() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let order = ExecOrder {
        terminal: Some(Size::default()),
        stdin: true,
        ..sh("echo ready; exec sleep 1000")
    };
    let mut session = Session::exec(&host, run, order);
    session.started();
    session.hear("ready");
    session.send(Kind::Stdin, b"\x03");
    assert_eq!(session.finish().code, Some(130));
}

#[test]
fn a_command_ends_with_whoever_asked_and_a_detached_one_with_its_task() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let stubborn = "trap '' TERM HUP; sleep 1000 & echo on; while :; do sleep 1000; done";
    let polite = "echo on; exec sleep 1000";
    for (terminal, line) in [(None, stubborn), (Some(Size::default()), polite)] {
        let mut session = Session::exec(&host, run, ExecOrder { terminal, ..sh(line) });
        let pid = session.started();
        session.hear("on");
        drop(session);
        until("it is ended", || (!lives(pid)).then_some(()));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let beats = dir.path().join("beats");
    let count = || fs::metadata(&beats).map_or(0, |file| file.len());
    let beating =
        format!("trap '' TERM HUP; while :; do echo >> {}; sleep 0.01; done", beats.display());
    let mut session = Session::exec(&host, run, ExecOrder { detached: true, ..sh(&beating) });
    let pid = session.started();
    let socket = session.socket.try_clone().expect("a copy");
    socket.shutdown(std::net::Shutdown::Both).expect("hung up");
    let before = count();
    until("it goes on without a listener", || (count() >= before + 10).then_some(()));
    host.stop(run, None, 0);
    until("it is ended", || (!lives(pid)).then_some(()));
    drop(session);
}

#[test]
fn a_command_ends_with_its_task_and_says_so() {
    for mut host in [Host::new(), Host::without_cgroups()] {
        let run = run_of(&mut host);
        let mut session = Session::exec(&host, run, sh("echo on; sleep 1000 & sleep 1000"));
        let pid = session.started();
        session.hear("on");
        host.stop(run, None, 0);
        assert_eq!(session.finish().code, Some(137));
        assert!(!lives(pid));
    }
}

#[test]
fn a_task_that_is_over_is_not_entered() {
    let mut host = Host::new();
    let start = shell("exit 0");
    host.run(&start);
    host.exit(start.run);
    let refusal = Session::exec(&host, start.run, sh("true")).finish().refusal.expect("refused");
    assert_eq!(refusal.fault, Fault::NotRunning);
    assert!(refusal.message.contains("has ended"), "{}", refusal.message);
}
