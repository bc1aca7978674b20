//! Sessions in containers, the same with each runtime: commands in their namespaces, files in their
//! root, and nothing of either outside.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crdt_state::task::Run;
use nix::libc;
use runtime::copy::PutOrder;
use runtime::exec::frame::{Frame, Kind};
use runtime::exec::{ExecOrder, ExecRequest, Fault, Size};
use runtime::run_request::{RunReply, RunRequest, handle_run_request};

use crate::host::{Host, lives, until};
use crate::session::Session;
use crate::test_images::shell;

fn words(words: &[&str]) -> ExecOrder {
    ExecOrder {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..ExecOrder::default()
    }
}

fn sh(line: &str) -> ExecOrder {
    words(&["sh", "-c", line])
}

fn waiting(host: &mut Host) -> Run {
    let mut start = shell("ln -s / /tmp/root; echo up; exec sleep 1000");
    start.template.env = vec!["COLOUR=blue".to_owned()];
    start.template.stop_grace_ms = 100;
    host.run(&start);
    host.hear(start.run, "up");
    start.run
}

fn a_command_is_in_the_container(host: &mut Host) {
    let run = waiting(host);
    let order = ExecOrder {
        env: vec!["SIZE=2".to_owned()],
        user: Some("shop".to_owned()),
        dir: Some("/tmp".to_owned()),
        ..sh("pwd; id -u; echo $COLOUR $SIZE; hostname; echo oops >&2; exit 3")
    };
    let said = Session::exec(host, run, order).finish();
    assert_eq!(said.text(), "/tmp\n900\nblue 2\ntill-3\n", "{:?}", said.refusal);
    assert_eq!((said.stderr.as_slice(), said.code), (&b"oops\n"[..], Some(3)));
    let code = |order| {
        let said = Session::exec(host, run, order).finish();
        said.code.or(said.refusal.map(|refusal| refusal.code))
    };
    assert_eq!(code(words(&["/etc/passwd"])), Some(126));
    assert_eq!(code(words(&["no-such-program"])), Some(127));
    assert_eq!(code(sh("kill -KILL $$")), Some(137));
    let sent = vec![b'x'; 1_000_000];
    let mut session = Session::exec(host, run, ExecOrder { stdin: true, ..words(&["cat"]) });
    let mut writer = session.socket.try_clone().expect("a copy");
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || {
        for chunk in bytes.chunks(10_000) {
            let frame = Frame::new(Kind::Stdin, chunk).to_bytes();
            std::io::Write::write_all(&mut writer, &frame).expect("taken");
        }
        let end = Frame::new(Kind::End, []).to_bytes();
        std::io::Write::write_all(&mut writer, &end).expect("taken");
    });
    session.started();
    let said = session.finish();
    writing.join().expect("all was written");
    assert_eq!((said.code, said.stdout.len()), (Some(0), sent.len()));
    assert!(said.stdout == sent);
}

fn a_terminal_in_it_is_one(host: &mut Host) {
    let run = waiting(host);
    let order = ExecOrder {
        terminal: Some(Size { rows: 33, columns: 101 }),
        stdin: true,
        ..sh(
            "test -t 0 && echo terminal; busybox stty size; echo $TERM; read line; echo \"<$line>\"; exec sleep 1000",
        )
    };
    let mut session = Session::exec(host, run, order);
    session.started();
    let heard = session.hear("xterm");
    assert!(heard.contains("terminal") && heard.contains("33 101"), "{heard}");
    session.send(Kind::Stdin, b"word\r");
    session.hear("<word>");
    session.send(Kind::Stdin, b"\x03");
    assert_eq!(session.finish().code, Some(130));
}

fn a_command_ends_with_its_container_and_with_its_listener(host: &mut Host) {
    let run = waiting(host);
    let mut session = Session::exec(host, run, sh("echo on; exec sleep 1000"));
    let pid = session.started();
    session.hear("on");
    drop(session);
    until("it is ended", || (!lives(pid)).then_some(()));
    let mut session = Session::exec(host, run, sh("echo on; exec sleep 1000"));
    let pid = session.started();
    session.hear("on");
    host.stop(run, None, 0);
    assert_eq!(session.finish().code, Some(137));
    assert!(!lives(pid));
}

fn files_go_into_its_root_and_nowhere_else(host: &mut Host) {
    let run = waiting(host);
    let here = tempfile::tempdir().expect("a folder");
    fs::create_dir(here.path().join("tree")).expect("a folder");
    fs::write(here.path().join("tree/file"), "hello").expect("a file");
    let mut archive = Vec::new();
    runtime::copy::pack_here(&here.path().join("tree"), "tree", &mut archive).expect("packed");
    // Through a link that the container made: its root is its own.
    let order = PutOrder { path: "/tmp/root/tmp".to_owned(), keep_kinds: true, own: true };
    let mut session = Session::open(host, run, &ExecRequest::Put(order));
    session.send(Kind::Stdin, &archive);
    session.send(Kind::End, &[]);
    let said = session.finish();
    assert_eq!((said.code, said.refusal), (Some(0), None));
    assert!(!std::path::Path::new("/tmp/tree").exists(), "nothing outside");
    let said = Session::exec(host, run, words(&["cat", "/tmp/tree/file"])).finish();
    assert_eq!(said.text(), "hello");
    let said =
        Session::open(host, run, &ExecRequest::Stat { path: "/etc/passwd".to_owned() }).finish();
    let own = said.stat.expect("it is there").size;
    assert_ne!(own, fs::metadata("/etc/passwd").expect("ours").len(), "the image's, not ours");
    let said =
        Session::open(host, run, &ExecRequest::Get { path: "/tmp/tree".to_owned() }).finish();
    let back = here.path().join("back");
    fs::create_dir(&back).expect("a folder");
    let naming = runtime::copy::Naming::Instead("again".to_owned());
    runtime::copy::unpack_here(&back, naming, said.stdout.as_slice()).expect("unpacked");
    assert_eq!(fs::read_to_string(back.join("again/file")).expect("there"), "hello");
    assert_eq!(
        fs::metadata(back.join("again")).expect("there").uid(),
        nix::unistd::geteuid().as_raw()
    );
}

fn a_read_only_root_is_not_written_to(host: &mut Host) {
    let mut start = shell("echo up; exec sleep 1000");
    start.template.container.read_only = true;
    start.template.stop_grace_ms = 100;
    host.run(&start);
    host.hear(start.run, "up");
    let here = tempfile::NamedTempFile::new().expect("a file");
    let mut archive = Vec::new();
    runtime::copy::pack_here(here.path(), "x", &mut archive).expect("packed");
    let order = PutOrder { path: "/etc".to_owned(), keep_kinds: true, own: false };
    let mut session = Session::open(host, start.run, &ExecRequest::Put(order));
    session.send(Kind::Stdin, &archive);
    session.send(Kind::End, &[]);
    assert_eq!(session.finish().refusal.expect("refused").fault, Fault::Forbidden);
}

fn it_is_looked_at_from_outside(host: &mut Host) {
    let run = waiting(host);
    let dir = host.dir(run);
    // Its shell has said that it is up, and becomes the sleeping program a moment later.
    until("its processes are shown", || {
        let request = RunRequest::Processes { args: String::new() };
        let Ok(RunReply::Processes(found)) = handle_run_request(&dir, &request) else {
            panic!("its processes are shown");
        };
        let sleeps = |row: &Vec<String>| row.last().is_some_and(|word| word == "sleep 1000");
        found.rows.iter().any(sleeps).then_some(())
    });
    let Ok(RunReply::Stats(sample)) = handle_run_request(&dir, &RunRequest::Stats) else {
        panic!("its figures are shown")
    };
    assert!(sample.pids >= 1 && sample.memory.used > 0 && sample.cpu.total_ns > 0, "{sample:?}");
    let signal = RunRequest::Signal { signal: "KILL".to_owned() };
    assert_eq!(handle_run_request(&dir, &signal), Ok(RunReply::Delivered));
    assert_eq!(host.exit(run), crdt_state::task::Exit::Signal(libc::SIGKILL));
    assert_eq!(
        handle_run_request(&dir, &RunRequest::Stats).expect_err("over").fault,
        Fault::NotRunning
    );
}

macro_rules! with_each_runtime {
    ($($case:ident),+ $(,)?) => {
        with_each_runtime!(embedded: $($case),+);
        with_each_runtime!(runc: $($case),+);
        with_each_runtime!(crun: $($case),+);
    };
    ($runtime:ident: $($case:ident),+) => {
        mod $runtime {
            $(
                #[test]
                fn $case() {
                    let host = crate::host::Host::containers(stringify!($runtime));
                    let Some(mut host) = host else { return };
                    super::$case(&mut host);
                }
            )+
        }
    };
}

with_each_runtime!(
    a_command_is_in_the_container,
    a_terminal_in_it_is_one,
    a_command_ends_with_its_container_and_with_its_listener,
    files_go_into_its_root_and_nowhere_else,
    a_read_only_root_is_not_written_to,
    it_is_looked_at_from_outside,
);
