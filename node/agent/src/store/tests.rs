//! The store when its file is cut, its process killed, or its disk refuses.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::time::Duration;

use crdt_state::Kind;

use super::*;

fn key(n: u32) -> RecordKey {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    RecordKey { kind: Kind::SERVICE, id }
}

fn put(store: &Store, n: u32, bytes: &[u8]) {
    let mut batch = Batch::default();
    batch.fold(vec![(key(n), bytes.to_vec())], Vec::new());
    store.write(&batch).expect("written");
}

fn writer(store: Store) -> (StoreWriter, mpsc::Receiver<StoreEvent>) {
    let (reports, events) = mpsc::channel();
    let writer = StoreWriter::spawn(store, move |event| {
        let _ = reports.send(event);
    });
    (writer.expect("a thread"), events)
}

#[test]
fn a_store_gives_back_what_it_was_given_under_the_same_id() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Store::open(dir.path(), None).expect("a new store");
    assert_eq!(first.records, []);
    let (writer, events) = writer(first.store);
    writer.persist(1, vec![(key(1), b"one".to_vec()), (key(2), b"two".to_vec())], Vec::new());
    writer.persist(2, vec![(key(1), b"other".to_vec())], vec![key(2)]);
    while events.recv().expect("an answer") != (StoreEvent::Persisted { seq: 2 }) {}
    drop(writer);
    let again = Store::open(dir.path(), None).expect("the same store");
    assert_eq!(again.id, first.id);
    assert_eq!(again.records, [(key(1), b"other".to_vec())]);
    assert_eq!(again.set_aside, None);
}

#[test]
fn a_store_in_use_is_a_clear_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let _first = Store::open(dir.path(), None).expect("a new store");
    let error = Store::open(dir.path(), None).err().expect("in use");
    assert!(error.to_string().contains("another agent uses"), "{error}");
}

#[test]
fn a_file_cut_anywhere_opens_or_is_set_aside() {
    let dir = tempfile::tempdir().expect("a directory");
    let whole = {
        let opened = Store::open(dir.path(), None).expect("a new store");
        (0..40).for_each(|n| put(&opened.store, n, &[n as u8; 700]));
        drop(opened.store);
        std::fs::read(dir.path().join(STORE_FILE)).expect("the file")
    };
    let lengths = (0..64).chain((64..whole.len()).step_by(whole.len() / 60)).chain([whole.len()]);
    for length in lengths {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(STORE_FILE), &whole[..length]).expect("a cut file");
        let opened =
            Store::open(dir.path(), None).unwrap_or_else(|error| panic!("{length}: {error}"));
        if let Some(aside) = &opened.set_aside {
            assert_eq!(std::fs::read(&aside.path).expect("kept"), &whole[..length]);
            assert_eq!(opened.records, []);
        } else if length > 0 {
            assert_eq!(opened.records.len(), 40, "cut at {length}");
        }
        put(&opened.store, 99, b"goes on");
    }
}

#[test]
fn a_file_with_damage_anywhere_opens_or_is_set_aside() {
    let dir = tempfile::tempdir().expect("a directory");
    let whole = {
        let opened = Store::open(dir.path(), None).expect("a new store");
        (0..40).for_each(|n| put(&opened.store, n, &[n as u8; 700]));
        drop(opened.store);
        std::fs::read(dir.path().join(STORE_FILE)).expect("the file")
    };
    for offset in (0..whole.len()).step_by(whole.len() / 50 + 37) {
        let mut damaged = whole.clone();
        let end = (offset + 512).min(damaged.len());
        damaged[offset..end].fill(0xa5);
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(STORE_FILE), &damaged).expect("a damaged file");
        // A changed version byte reads as a newer format and is refused; in all other cases the
        // store opens.
        match Store::open(dir.path(), None) {
            Ok(_) | Err(StoreError::Newer { .. }) => {}
            Err(error) => panic!("{offset}: {error}"),
        }
    }
}

#[test]
fn a_replaced_store_is_another_writer() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Store::open(dir.path(), None).expect("a new store").id;
    std::fs::write(dir.path().join(STORE_FILE), b"junk").expect("overwritten");
    let second = Store::open(dir.path(), None).expect("a new store");
    assert_ne!(second.id, first);
    let aside = second.set_aside.expect("kept");
    assert_eq!(aside.path, dir.path().join("state.redb.unreadable-1"));
}

#[test]
fn an_unwritable_directory_is_a_clear_error() {
    let error = Store::open(Path::new("/proc/no-such-directory"), None).err().expect("no store");
    assert!(error.to_string().contains("--data-dir DIR"), "{error}");
}

#[test]
fn a_disk_that_refuses_is_reported_once_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(STORE_FILE);
    let opened = Store::open(dir.path(), None).expect("a new store");
    // After a failed write the database is closed; opening it again fails while the file is away.
    let away = dir.path().join("away");
    std::fs::rename(&path, &away).expect("moved");
    let (reports, events) = mpsc::channel();
    let (requests, inbox) = mpsc::channel();
    let worker = writer::Worker::without_store(opened.store, inbox, move |event| {
        let _ = reports.send(event);
    });
    let thread = std::thread::spawn(move || worker.run());
    requests.send(writer::Request::put(1, key(1), b"one")).expect("sent");
    assert!(matches!(events.recv().expect("a report"), StoreEvent::Refused { .. }));
    std::fs::rename(&away, &path).expect("back");
    requests.send(writer::Request::put(2, key(2), b"two")).expect("sent");
    assert_eq!(events.recv().expect("a report"), StoreEvent::Recovered);
    assert_eq!(events.recv().expect("a report"), StoreEvent::Persisted { seq: 2 });
    drop(requests);
    thread.join().expect("ended");
    assert_eq!(Store::open(dir.path(), None).expect("a store").records.len(), 2);
}

const CHILD_DIR: &str = "EDGECTL_TEST_STORE_CHILD";

/// Not a test of its own: the process that the next test kills.
#[test]
fn a_child_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let opened = Store::open(Path::new(&dir), None).expect("a store");
    let (writer, events) = writer(opened.store);
    for seq in 1.. {
        writer.persist(seq, vec![(key(seq as u32), vec![7; 300])], Vec::new());
        let answer = events.recv_timeout(Duration::from_secs(20)).expect("an answer");
        assert_eq!(answer, StoreEvent::Persisted { seq });
        println!("acknowledged {seq}");
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["store::tests::a_child_writes_until_it_is_killed", "--exact", "--nocapture"])
        .env(CHILD_DIR, dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let acknowledged = lines
        .map_while(Result::ok)
        .filter_map(|line| line.rsplit_once("acknowledged ")?.1.parse::<u32>().ok())
        .find(|seq| *seq >= 25)
        .expect("it writes");
    child.kill().expect("killed");
    child.wait().expect("gone");
    let opened = Store::open(dir.path(), None).expect("the store opens");
    assert_eq!(opened.set_aside, None);
    for seq in 1..=acknowledged {
        assert!(opened.records.iter().any(|(found, _)| *found == key(seq)), "{seq} is lost");
    }
}

#[test]
fn a_sealed_store_is_read_by_its_key_alone_and_shows_nothing_of_its_records() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(STORE_FILE);
    let shows = || std::fs::read(&path).expect("a file").windows(7).any(|part| part == b"hunter2");
    let store_key = |byte| Some(SealingKey::new(&[byte; 32]));
    let opened = Store::open(dir.path(), None).expect("a new store");
    opened.store.note_boot(4).expect("noted");
    put(&opened.store, 1, b"hunter2 is in it");
    let (writer, events) = writer(opened.store);
    assert!(shows(), "it is not sealed yet");
    writer.persist(1, vec![(key(2), b"more of hunter2".to_vec())], Vec::new());
    writer.reseal(store_key(1));
    writer.persist(2, vec![(key(3), b"and hunter2".to_vec())], Vec::new());
    drop(writer);
    let told: Vec<StoreEvent> = events.iter().collect();
    assert!(told.contains(&StoreEvent::Resealed(Ok(Sealing::Sealed))), "{told:?}");
    assert!(!shows(), "a row that was written before or afterwards can be read");
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!path.with_extension("redb.new").exists());

    let refused = Store::open(dir.path(), None).err().expect("it is sealed");
    assert!(matches!(refused, StoreError::Sealed { .. }), "{refused}");
    let again = Store::open(dir.path(), store_key(1)).expect("the same store");
    assert_eq!((again.id, again.records.len()), (opened.id, 3));
    assert_eq!(again.records[0].1, b"hunter2 is in it");
    assert_eq!(again.store.note_boot(5).expect("noted"), Copied::No);

    // Opened for good, and sealed at the next start, as after a start that was interrupted.
    let Ok(open) = again.store.reseal(None) else { panic!("not unsealed") };
    assert!(shows());
    drop(open);
    let sealed = Store::open(dir.path(), store_key(2)).expect("a store");
    assert_eq!((sealed.records.len(), sealed.not_rewritten), (3, None));
    assert!(!shows());
    drop(sealed.store);
    let other = Store::open(dir.path(), store_key(3)).expect("an empty store in its place");
    assert!(other.set_aside.is_some() && other.records.is_empty(), "nothing is overwritten");
}

#[test]
fn a_store_that_cannot_be_rewritten_goes_on_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let opened = Store::open(dir.path(), None).expect("a new store");
    put(&opened.store, 1, b"kept");
    // What cannot be removed stands in for a disk that is full.
    std::fs::create_dir_all(dir.path().join("state.redb.new/in-the-way")).expect("made");
    let Err((store, why)) = opened.store.reseal(Some(SealingKey::new(&[1; 32]))) else {
        panic!("it cannot be written")
    };
    assert!(!why.is_empty());
    put(&store, 2, b"goes on");
    drop(store);
    assert_eq!(Store::open(dir.path(), None).expect("a store").records.len(), 2);
}
