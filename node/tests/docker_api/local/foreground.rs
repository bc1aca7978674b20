//! `docker run` without `-d`: output, input, terminal and exit code are the container's.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::super::fleet::DEADLINE;
use super::*;

#[test]
fn output_and_exit_code_are_the_container_s_and_nothing_is_left() {
    let Some(local) = Local::start(166, 1) else { return };
    let run = |words: &[&str]| local.try_docker(&[&["run", "--rm", IMAGE], words].concat());
    let done = run(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(text(&done.stdout), "out\n");
    assert!(text(&done.stderr).ends_with("err\n"), "{}", text(&done.stderr));
    assert_eq!(done.status.code(), Some(7));
    for (program, code) in [("nosuch", 127), ("/bin/nosuch", 127), ("/tmp", 126), ("true", 0)] {
        assert_eq!(run(&["busybox", "sh", "-c", "true"]).status.code(), Some(0));
        let program = if program == "true" { "/bin/sh" } else { program };
        assert_eq!(run(&[program]).status.code(), Some(code), "{program}");
    }
    // The end of the last line is not waited for, and no byte is lost.
    let many = run(&["busybox", "seq", "1", "200000"]);
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(text(&many.stdout) == expected, "{} bytes", many.stdout.len());
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(run(&["sh", "-c", "exit 0"]).status.code(), Some(0));
    }
    eprintln!("docker run --rm IMAGE true: {} ms", begun.elapsed().as_millis() / 5);
    assert_eq!(local.docker(&["ps", "-a", "-q"]), "");
    assert_eq!(local.runs(), [""; 0]);
}

#[test]
fn a_slow_client_misses_nothing_however_little_the_log_may_keep() {
    let Some(local) = Local::start(173, 1) else { return };
    let socket = format!("unix://{}", local.fleet.socket(1).display());
    let small = ["--log-opt", "max-size=50k", "--log-opt", "max-file=1"];
    let client = Command::new("docker")
        .args(["-H", &socket, "run", "--rm"])
        .args(small)
        .args([IMAGE, "busybox", "seq", "1", "300000"])
        .env("DOCKER_CONFIG", local.fleet.dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Docker's client runs");
    std::thread::sleep(std::time::Duration::from_secs(7));
    let done = client.wait_with_output().expect("it ends");
    let expected: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
    assert!(text(&done.stdout) == expected, "{} bytes of {}", done.stdout.len(), expected.len());
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(local.runs(), [""; 0]);
}

#[test]
fn input_reaches_the_container_and_ends_with_the_client_s() {
    let Some(local) = Local::start(167, 1) else { return };
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let socket = format!("unix://{}", local.fleet.socket(1).display());
    let mut client = Command::new("docker")
        .args(["-H", &socket, "run", "-i", "--rm", IMAGE, "busybox", "cat"])
        .env("DOCKER_CONFIG", local.fleet.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Docker's client runs");
    let mut stdin = client.stdin.take().expect("piped");
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || stdin.write_all(&bytes).expect("taken"));
    let done = client.wait_with_output().expect("it ends");
    writing.join().expect("all was written");
    assert!(done.stdout == sent, "{} bytes: {}", done.stdout.len(), text(&done.stderr));
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(local.runs(), [""; 0]);
}

/// Reads until these words have come.
fn read_until(stream: &mut UnixStream, words: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0; 256];
    while !text(&read).contains(words) {
        match stream.read(&mut byte) {
            Ok(count) if count > 0 => read.extend_from_slice(&byte[..count]),
            other => panic!("{words:?} did not come: {other:?}, {:?}", text(&read)),
        }
    }
    text(&read)
}

fn attach(local: &Local, container: &str) -> UnixStream {
    let mut stream = UnixStream::connect(local.fleet.socket(1)).expect("the agent listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("set");
    let path = format!("/v1.47/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1");
    let head = "Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n";
    write!(stream, "POST {path} HTTP/1.1\r\n{head}").expect("sent");
    let answer = read_until(&mut stream, "\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    stream
}

#[test]
fn a_terminal_shows_prompts_takes_input_and_has_the_client_s_size() {
    let Some(local) = Local::start(168, 1) else { return };
    let line = "printf 'name? '; read name; echo hello $name; read x; stty size; exit 4";
    let words = ["create", "-i", "-t", "--name", "one", IMAGE, "sh", "-c"];
    local.docker(&[&words[..], &[&line.replace("stty", "busybox stty")]].concat());
    let mut stream = attach(&local, "one");
    local.docker(&["start", "one"]);
    assert!(read_until(&mut stream, "name? ").ends_with("name? "), "it does not wait for a line");
    stream.write_all(b"fleet\n").expect("sent");
    read_until(&mut stream, "hello fleet\r\n");
    let resized = local.fleet.ask(1, "POST", "/containers/one/resize?h=33&w=99", "");
    assert_eq!(resized.status, 200);
    // Who detaches ends nothing, and may attach again.
    let mut second = attach(&local, "one");
    second.write_all(b"\x10\x11").expect("sent");
    second.read_to_string(&mut String::new()).expect("it ends");
    assert_eq!(local.status("one"), "running");
    stream.write_all(b"\n").expect("sent");
    read_until(&mut stream, "33 99\r\n");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("it ends with the container");
    assert_eq!(local.docker(&["wait", "one"]), "4");
    assert!(local.docker(&["logs", "one"]).contains("hello fleet"));
}

#[test]
fn a_client_attaches_to_what_runs_and_detaching_ends_nothing() {
    let Some(local) = Local::start(169, 1) else { return };
    let line = "echo early; while read x; do echo got $x; done; echo over";
    local.docker(&["run", "-d", "-i", "--name", "one", IMAGE, "sh", "-c", line]);
    local.fleet.until("it spoke", || local.docker(&["logs", "one"]) == "early");
    let socket = format!("unix://{}", local.fleet.socket(1).display());
    let attach = |input: &str| {
        let mut client = Command::new("docker")
            .args(["-H", &socket, "attach", "one"])
            .env("DOCKER_CONFIG", local.fleet.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Docker's client runs");
        client.stdin.as_mut().expect("piped").write_all(input.as_bytes()).expect("taken");
        local.fleet.until("it was heard", || {
            local.docker(&["logs", "one"]).lines().last() == Some(&format!("got {}", input.trim()))
        });
        client.kill().expect("it is there");
        text(&client.wait_with_output().expect("it ended").stdout)
    };
    let first = attach("one\n");
    assert!(!first.contains("early"), "what was said before is not repeated: {first}");
    attach("two\n");
    assert_eq!(local.status("one"), "running");
    assert_eq!(local.docker(&["logs", "one"]), "early\ngot one\ngot two");
}
