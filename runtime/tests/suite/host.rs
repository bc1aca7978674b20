//! A driver in a folder of its own, and the guard that ends whatever a test started.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crdt_state::id::{ServiceId, TaskId};
use crdt_state::spec::{Template, TemplateVersion};
use crdt_state::task::{AdoptedRun, Exit, Run, RunEvent, Slot, TaskStart};
use runtime::logs::{LogReader, ReadFrom};
use runtime::{Driver, Prepare, ProcessConfig, ProcessDriver, RunEvents};

use crate::test_images::TestImages;

/// Longer than anything takes on a busy machine; a test that reaches it has failed.
const DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(2);

static HOSTS: AtomicU32 = AtomicU32::new(0);

/// One agent's worth of runtime.
pub struct Host {
    agent: Option<(ProcessDriver, RunEvents)>,
    pub runs: PathBuf,
    pub cgroup_node: Option<String>,
    pub test_images: Option<Arc<TestImages>>,
    pub making_ms_max: u64,
    _dir: tempfile::TempDir,
}

impl Host {
    pub fn new() -> Host {
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        Host::with(Some(format!("test-{}-{number}", std::process::id())), None)
    }

    /// One that runs containers with this runtime; `None` where it cannot, which is said.
    pub fn containers(runtime: &str) -> Option<Host> {
        let there = runtime == "embedded" || Path::new("/usr/bin").join(runtime).exists();
        let there = there || Path::new("/usr/sbin").join(runtime).exists();
        if !there {
            eprintln!("SKIPPED without {runtime}");
            return None;
        }
        if !is_root("containers") {
            return None;
        }
        let mut host = Host::new();
        host.crash();
        host.test_images = Some(Arc::new(TestImages::new(runtime)));
        host.open();
        Some(host)
    }

    /// Are its containers crun's?
    pub fn has_crun(&self) -> bool {
        self.test_images.as_ref().is_some_and(|test_images| test_images.is_crun())
    }

    /// On a machine without cgroups.
    pub fn without_cgroups() -> Host {
        Host::with(None, None)
    }

    fn with(cgroup_node: Option<String>, test_images: Option<Arc<TestImages>>) -> Host {
        let dir = tempfile::tempdir().expect("a folder");
        let runs = dir.path().join("runs");
        let making_ms_max = runtime::run_dir::making_ms_max();
        let mut host =
            Host { agent: None, runs, cgroup_node, test_images, making_ms_max, _dir: dir };
        host.open();
        host
    }

    fn open(&mut self) {
        let mut config = ProcessConfig::new(self.runs.clone(), "");
        config.cgroup_node = self.cgroup_node.clone();
        config.monitor = PathBuf::from(env!("CARGO_BIN_EXE_runtime-monitor"));
        config.containers =
            self.test_images.clone().map(|test_images| test_images as Arc<dyn Prepare>);
        config.making_ms_max = self.making_ms_max;
        self.agent = Some(ProcessDriver::open(config).expect("the driver opens"));
    }

    /// The agent dies, as by SIGKILL: no run is forgotten or stopped.
    pub fn crash(&mut self) {
        self.agent = None;
    }

    /// An agent comes up and looks around.
    pub fn adopt(&mut self) -> Vec<AdoptedRun> {
        self.crash();
        self.open();
        self.driver().adopt()
    }

    pub fn driver(&mut self) -> &mut ProcessDriver {
        &mut self.agent.as_mut().expect("the agent runs").0
    }

    /// The next event of any run, but for notes.
    pub fn next(&mut self) -> (Run, RunEvent) {
        loop {
            match self.next_of_all() {
                (_, RunEvent::Noted { .. }) => {}
                other => return other,
            }
        }
    }

    /// The same, also what is only a note.
    pub fn next_of_all(&mut self) -> (Run, RunEvent) {
        let events = &mut self.agent.as_mut().expect("the agent runs").1;
        until("an event", || events.try_recv().ok())
    }

    /// Nothing is reported for so long.
    pub fn is_quiet_for(&mut self, time: Duration) -> bool {
        std::thread::sleep(time);
        self.agent.as_mut().expect("the agent runs").1.try_recv().is_err()
    }

    /// Starts a template and expects it to run; returns its process id.
    pub fn run(&mut self, start: &TaskStart) -> u32 {
        self.driver().start(start);
        match self.next() {
            (run, RunEvent::Started { pid }) if run == start.run => pid,
            other => panic!("it does not start: {other:?}"),
        }
    }

    /// Expects the end of a run.
    pub fn exit(&mut self, run: Run) -> Exit {
        match self.next() {
            (ended, RunEvent::Exited { exit, .. }) if ended == run => exit,
            other => panic!("it does not exit: {other:?}"),
        }
    }

    /// Starts a template and expects it to be refused.
    pub fn refusal(&mut self, start: &TaskStart) -> (bool, String) {
        self.driver().start(start);
        match self.next() {
            (run, RunEvent::Refused { permanent, reason }) if run == start.run => {
                (permanent, reason)
            }
            other => panic!("it is not refused: {other:?}"),
        }
    }

    /// Stops a run and expects it to end.
    pub fn stop(&mut self, run: Run, signal: Option<&str>, grace_ms: u64) -> Exit {
        self.driver().stop(run, signal, grace_ms);
        self.exit(run)
    }

    pub fn dir(&self, run: Run) -> PathBuf {
        runtime::run_dir::path(&self.runs, run)
    }

    /// All that a run wrote to both streams.
    pub fn said(&self, run: Run) -> String {
        let mut reader =
            LogReader::open(&self.dir(run), ReadFrom::default()).expect("it has a log");
        let mut said = String::new();
        while let Some(entry) = reader.next_entry().expect("readable") {
            said.push_str(&String::from_utf8_lossy(&entry.bytes));
        }
        said
    }

    /// Waits until a run has said something.
    pub fn hear(&self, run: Run, word: &str) {
        until(word, || self.said(run).contains(word).then_some(()));
    }

    /// The process id of a run's monitor.
    pub fn monitor(&self, run: Run) -> u32 {
        let status: runtime::run_dir::Status =
            runtime::run_dir::read(&self.dir(run), runtime::run_dir::STATUS)
                .expect("readable")
                .expect("it runs");
        status.monitor.pid
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A test may have broken a folder; what runs is found by its environment too.
        for adopted in self.adopt() {
            self.driver().forget(adopted.start.run);
        }
        let is_run = |entry: &fs::DirEntry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| runtime::run_dir::parse_name(name).is_some())
        };
        let runs = || fs::read_dir(&self.runs).into_iter().flatten().flatten().any(|e| is_run(&e));
        let deadline = Instant::now() + DEADLINE;
        while runs() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        self.crash();
    }
}

/// A run of the shell.
pub fn shell(line: &str) -> TaskStart {
    program(&["/bin/sh", "-c", line])
}

/// A run of a program.
pub fn program(words: &[&str]) -> TaskStart {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    start(Template { command, stop_grace_ms: 5_000, ..Template::default() })
}

/// A run of a template; each call is another task.
pub fn start(template: Template) -> TaskStart {
    static TASKS: AtomicU32 = AtomicU32::new(1);
    let number = TASKS.fetch_add(1, Ordering::Relaxed);
    let mut id = [0; 16];
    id[..4].copy_from_slice(&std::process::id().to_be_bytes());
    id[4..8].copy_from_slice(&number.to_be_bytes());
    TaskStart {
        run: Run { task: TaskId(id), attempt: 1 },
        service: ServiceId([1; 16]),
        service_name: format!("service-{number}"),
        slot: Slot::Number(number),
        template_version: TemplateVersion(7),
        template,
        interfaces: Vec::new(),
    }
}

/// Polls a condition, with a deadline.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// How many processes of this machine have this as a whole word of their command.
pub fn count_of(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").expect("readable").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_word = |pid: &u32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|found| found == word.as_bytes())
    };
    pids.filter(has_word).count()
}

/// A number of seconds for `sleep` that only this test's processes have in their command.
pub fn unique_sleep() -> String {
    format!("9{:07}", std::process::id())
}

/// Does a process with this id exist, and has not ended?
pub fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|s| s != 'Z')
}

/// Kills a process of a test.
pub fn kill(pid: u32, signal: nix::sys::signal::Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), signal);
}

/// Tests of what only root may do say so and are skipped.
pub fn is_root(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED without root: {what}");
    }
    root
}

/// A file's process id, once somebody has written it.
pub fn pid_in(path: &Path) -> u32 {
    until("a process id", || fs::read_to_string(path).ok()?.trim().parse().ok())
}

/// How often a process has waited for something.
pub fn wakes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt")).expect("it is told");
    line.split_whitespace().nth(1).and_then(|count| count.parse().ok()).expect("a number")
}
