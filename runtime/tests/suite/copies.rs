//! Files into a task and out of it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use runtime::copy::PutOrder;
use runtime::exec::frame::{CHUNK_BYTES, Kind};
use runtime::exec::{ExecRequest, Fault};

use super::host::Host;
use super::session::{Session, run_of};

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("sub/empty")).expect("folders");
    fs::write(dir.join("sub/run.sh"), "#!/bin/sh\n").expect("a file");
    fs::set_permissions(dir.join("sub/run.sh"), fs::Permissions::from_mode(0o4751))
        .expect("a mode");
    fs::hard_link(dir.join("sub/run.sh"), dir.join("again")).expect("a link");
    symlink("sub/run.sh", dir.join("link")).expect("a link");
    symlink("/no/where", dir.join("broken")).expect("a link");
    let long = "n".repeat(180);
    fs::write(dir.join(long), vec![7; 100_000]).expect("a file");
    nix::unistd::mkfifo(&dir.join("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o640))
        .expect("a pipe");
}

#[test]
fn a_tree_travels_with_its_links_modes_and_times() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let dir = tempfile::tempdir().expect("a folder");
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    tree(&from);
    fs::create_dir(&to).expect("a folder");
    let said =
        Session::open(&host, run, &ExecRequest::Get { path: from.display().to_string() }).finish();
    assert_eq!(said.stat.expect("told first").name, "from");
    assert_eq!(said.code, Some(0));
    let order = PutOrder { path: to.display().to_string(), keep_kinds: true, own: false };
    let put = |bytes: &[u8]| {
        let mut session = Session::open(&host, run, &ExecRequest::Put(order.clone()));
        for chunk in bytes.chunks(CHUNK_BYTES) {
            session.send(Kind::Stdin, chunk);
        }
        session.send(Kind::End, &[]);
        session.finish()
    };
    // Twice: existing files are replaced.
    for _ in 0..2 {
        let said = put(&said.stdout);
        assert_eq!((said.code, said.refusal), (Some(0), None));
    }
    let mut diff = Command::new("diff");
    let compared = diff.args(["-r", "--no-dereference"]).arg(&from).arg(to.join("from")).output();
    let compared = String::from_utf8(compared.expect("diff runs").stdout).expect("text");
    assert!(compared.lines().all(|line| line.contains("fifo")), "{compared}");
    let meta = |path: &str| fs::symlink_metadata(to.join("from").join(path)).expect(path);
    assert_eq!(meta("sub/run.sh").mode() & 0o7777, 0o4751);
    assert_eq!(meta("again").ino(), meta("sub/run.sh").ino());
    assert_eq!(fs::read_link(to.join("from/broken")).expect("a link"), Path::new("/no/where"));
    let before = fs::metadata(from.join("sub")).expect("there").mtime();
    assert_eq!(meta("sub").mtime(), before);
}

#[test]
fn paths_that_are_not_there_and_names_that_lead_out_are_refused() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let dir = tempfile::tempdir().expect("a folder");
    let get = ExecRequest::Get { path: "/no/such/path".to_owned() };
    let refusal = Session::open(&host, run, &get).finish().refusal.expect("refused");
    assert_eq!(refusal.fault, Fault::Missing);
    let put = |path: &Path, name: &str| {
        let order = PutOrder { path: path.display().to_string(), keep_kinds: true, own: false };
        let mut session = Session::open(&host, run, &ExecRequest::Put(order));
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(b"00000000000\0");
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].copy_from_slice(b"        ");
        header[156] = b'0';
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        session.send(Kind::Stdin, &header);
        session.send(Kind::Stdin, &[0; 1024]);
        session.send(Kind::End, &[]);
        session.finish()
    };
    let inside = dir.path().join("inside");
    fs::create_dir(&inside).expect("a folder");
    let refusal = put(&inside, "../outside").refusal.expect("refused");
    assert_eq!(refusal.fault, Fault::Bad);
    assert!(!dir.path().join("outside").exists());
    assert_eq!(put(&inside, "/absolute/x").code, Some(0));
    assert!(inside.join("absolute/x").exists(), "an absolute name stays inside");
    fs::create_dir(inside.join("folder")).expect("a folder");
    assert!(put(&inside, "folder").refusal.expect("refused").message.contains("folder"));
    assert_eq!(put(&inside.join("absolute/x"), "y").refusal.expect("refused").fault, Fault::Bad);
    assert_eq!(put(&dir.path().join("none"), "y").refusal.expect("refused").fault, Fault::Missing);
}

#[test]
fn an_archive_that_is_cut_leaves_no_half_file() {
    let mut host = Host::new();
    let run = run_of(&mut host);
    let dir = tempfile::tempdir().expect("a folder");
    let order = PutOrder { path: dir.path().display().to_string(), keep_kinds: true, own: false };
    let mut source = tempfile::NamedTempFile::new().expect("a file");
    source.write_all(&vec![1; 200_000]).expect("written");
    let get = ExecRequest::Get { path: source.path().display().to_string() };
    let archive = Session::open(&host, run, &get).finish().stdout;
    let mut session = Session::open(&host, run, &ExecRequest::Put(order));
    for chunk in archive[..100_000].chunks(CHUNK_BYTES) {
        session.send(Kind::Stdin, chunk);
    }
    drop(session);
    let left: Vec<_> = fs::read_dir(dir.path()).expect("readable").collect();
    assert!(left.is_empty(), "{left:?}");
}
