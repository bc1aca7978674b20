//! Commands in a running container, through each runtime's own `exec`.

use crdt_state::spec::HealthCheck;
use crdt_state::task::{Health, RunEvent};
use runtime::exec::{ExecOrder, Size};

use crate::host::{Host, count_of, unique_sleep, until};
use crate::session::Session;
use crate::test_images;

/// Prints the confinement of the process that runs it.
const CONFINED: &str = "grep -E '^(Seccomp|CapEff|CapBnd):' /proc/self/status | tr -d '\\t '";

fn words(words: &[&str]) -> ExecOrder {
    ExecOrder {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..ExecOrder::default()
    }
}

fn sh(line: &str) -> ExecOrder {
    words(&["sh", "-c", line])
}

fn run_of(host: &mut Host) -> crdt_state::task::Run {
    let mut order = test_images::shell("echo $$ > /tmp/pid; echo ready; exec sleep 1000");
    order.template.env = vec!["COLOUR=blue".to_owned(), "SIZE=1".to_owned()];
    order.template.dir = Some("/tmp".to_owned());
    host.run(&order);
    host.hear(order.run, "ready");
    order.run
}

fn a_command_runs_inside_and_is_confined_like_the_rest(host: &mut Host) {
    let run = run_of(host);
    let order = ExecOrder {
        env: vec!["SIZE=2".to_owned()],
        ..sh(&format!("pwd; echo $COLOUR $SIZE; cat pid; hostname; {CONFINED}; exit 3"))
    };
    let said = Session::exec(host, run, order).finish();
    let expected = "/tmp\nblue 2\n1\ntill-3\n\
                    CapEff:00000000a80425fb\nCapBnd:00000000a80425fb\nSeccomp:2\n";
    assert_eq!((said.text().as_str(), said.code), (expected, Some(3)));
    let groups = |pid: &str| format!("cat /proc/{pid}/cgroup");
    let both = Session::exec(host, run, sh(&format!("{}; echo; {}", groups("1"), groups("self"))));
    let both = both.finish().text();
    let (of_task, own) = both.split_once("\n\n").expect("two lists");
    assert_eq!(of_task.trim(), own.trim(), "it counts as the container's");
}

fn another_user_is_one_of_the_image(host: &mut Host) {
    let run = run_of(host);
    let line = format!("id -u; id -g; id -G; {CONFINED}; echo x > /dev/stdout");
    let order = ExecOrder { user: Some("shop".to_owned()), ..sh(&line) };
    let said = Session::exec(host, run, order).finish();
    let expected = "900\n901\n901 50\n\
                    CapEff:0000000000000000\nCapBnd:00000000a80425fb\nSeccomp:2\nx\n";
    assert_eq!(said.text(), expected);
    let unknown = ExecOrder { user: Some("nobody-here".to_owned()), ..sh("true") };
    let refusal = Session::exec(host, run, unknown).finish().refusal.expect("refused");
    assert!(refusal.message.contains("nobody-here"), "{}", refusal.message);
}

fn a_privileged_command_has_every_capability(host: &mut Host) {
    let run = run_of(host);
    let order = ExecOrder { privileged: true, ..sh("grep CapEff: /proc/self/status") };
    let said = Session::exec(host, run, order).finish().text();
    let held = u64::from_str_radix(said.trim_start_matches("CapEff:").trim(), 16).expect(&said);
    assert!(held & (1 << 21) != 0, "it may administer: {said}");
}

fn a_command_that_is_not_there_is_told_as_a_shell_does(host: &mut Host) {
    let run = run_of(host);
    for (program, code) in
        [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126)]
    {
        let said = Session::exec(host, run, words(&[program])).finish();
        let told = said.code.or(said.refusal.as_ref().map(|refusal| refusal.code));
        assert_eq!(told, Some(code), "{program}: {:?}", said.refusal.map(|why| why.message));
    }
}

fn a_terminal_is_one(host: &mut Host) {
    let run = run_of(host);
    let order = ExecOrder {
        terminal: Some(Size { rows: 33, columns: 101 }),
        ..sh("tty; echo $TERM; exit 4")
    };
    let said = Session::exec(host, run, order).finish();
    assert!(said.text().contains("/dev/") && said.text().contains("xterm"), "{}", said.text());
    assert_eq!(said.code, Some(4));
}

/// Both for the container's program and for a session: without this, a terminal that a runtime
/// opened belongs to root.
fn a_terminal_belongs_to_whoever_runs_on_it(host: &mut Host) {
    let mut order = test_images::shell("echo by name > /dev/stdout; exec sleep 1000");
    order.template.user = Some("shop".to_owned());
    order.template.container.tty = true;
    host.run(&order);
    host.hear(order.run, "by name");
    let run = order.run;
    let terminal = Some(Size { rows: 33, columns: 101 });
    for user in [None, Some("root".to_owned()), Some("50".to_owned())] {
        // crun runs the program right after opening the terminal, before its owner can be changed.
        let pause = if host.has_crun() { "sleep 0.5; " } else { "" };
        let line =
            format!("{pause}echo by name > /dev/stdout && cat < /dev/null > /dev/stderr; exit $?");
        let order = ExecOrder { terminal, user: user.clone(), ..sh(&line) };
        let said = Session::exec(host, run, order).finish();
        assert_eq!((said.code, said.text().as_str()), (Some(0), "by name\r\n"), "{user:?}");
    }
}

fn what_a_command_leaves_behind_ends_with_it(host: &mut Host) {
    let run = run_of(host);
    let seconds = unique_sleep();
    let line = format!("sleep {seconds} & (sleep {seconds} & sleep {seconds}) & echo on");
    let mut session = Session::exec(host, run, sh(&format!("{line}; exec sleep {seconds}")));
    session.hear("on");
    drop(session);
    until("all is ended with its listener", || (count_of(&seconds) == 0).then_some(()));
    // Its output is closed: otherwise the session would wait for the end of that output.
    let quiet = format!("exec > /dev/null 2>&1; {line}; exit 3");
    let said = Session::exec(host, run, sh(&quiet)).finish();
    assert_eq!(said.code, Some(3));
    until("what it left is ended", || (count_of(&seconds) == 0).then_some(()));
}

fn a_health_command_leaves_nothing_behind(host: &mut Host) {
    let seconds = unique_sleep();
    for rest in ["exec sleep", "exit 1; :"] {
        let mut order = test_images::shell("exec sleep 1000");
        let line = format!("sleep {seconds} & (sleep {seconds} &); {rest} {seconds}");
        order.template.health = Some(HealthCheck {
            test: vec!["CMD-SHELL".to_owned(), line],
            interval_ms: 1_000,
            timeout_ms: 300,
            retries: 1,
            start_period_ms: 0,
            start_interval_ms: 0,
        });
        order.template.stop_grace_ms = 100;
        host.run(&order);
        let (_, verdict) = host.next();
        assert_eq!(verdict, RunEvent::HealthChanged(Health::Unhealthy));
        until("all of it is ended", || (count_of(&seconds) == 0).then_some(()));
        host.stop(order.run, None, 0);
    }
}

every_runtime!(
    a_terminal_belongs_to_whoever_runs_on_it,
    what_a_command_leaves_behind_ends_with_it,
    a_health_command_leaves_nothing_behind,
    a_command_runs_inside_and_is_confined_like_the_rest,
    another_user_is_one_of_the_image,
    a_privileged_command_has_every_capability,
    a_command_that_is_not_there_is_told_as_a_shell_does,
    a_terminal_is_one,
);
