//! A client of a name server: encodes questions, reads answers, and measures both.
//!
//! It knows of DNS only what it takes to ask for an IPv4 address. It must never use the code of the
//! server that it measures.

use super::fetch::fetch;
use super::{NAME_SERVER, now_ms};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How to ask.
#[derive(Args)]
pub struct AskArgs {
    /// The names, in turn
    names: Vec<String>,
    /// Questions in all
    #[arg(long, default_value_t = 50_000)]
    questions: usize,
    /// Questions that are unanswered at a time
    #[arg(long, default_value_t = 8)]
    unanswered: usize,
    /// Whom
    #[arg(long, default_value_t = NAME_SERVER)]
    server: SocketAddr,
}

/// What came back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Answers per second.
    pub per_second: f64,
    /// Milliseconds until the answer, in the middle.
    pub p50_ms: f64,
    /// Milliseconds until the answer, of the slowest one in a hundred.
    pub p99_ms: f64,
    /// Questions without an answer.
    pub lost: usize,
    /// Answers without an address.
    pub empty: usize,
}

/// Asks all of it.
pub fn ask(args: &AskArgs) -> Result<Asked> {
    ensure!(!args.names.is_empty(), "no names to ask for");
    let socket = socket(args.server)?;
    let mut questions: Vec<Vec<u8>> = args.names.iter().map(|name| question(0, name)).collect();
    let mut sent_at = vec![Instant::now(); 1 << 16];
    let mut send = |number: usize, sent_at: &mut [Instant]| -> std::io::Result<()> {
        let (id, count) = (number as u16, questions.len());
        let question = &mut questions[number % count];
        question[..2].copy_from_slice(&id.to_be_bytes());
        sent_at[usize::from(id)] = Instant::now();
        socket.send(question).map(drop)
    };
    let begun = Instant::now();
    for number in 0..args.unanswered {
        send(number, &mut sent_at)?;
    }
    let (mut sent, mut lost, mut empty) = (args.unanswered, 0, 0);
    let mut times = Vec::with_capacity(args.questions);
    let mut buffer = [0; 1_500];
    while times.len() + lost < args.questions {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let answer = read(&buffer[..length]).context("the answer is malformed")?;
                times.push(sent_at[usize::from(answer.id)].elapsed().as_secs_f64() * 1000.0);
                empty += usize::from(answer.address.is_none());
            }
            Err(_) => lost += 1,
        }
        if sent < args.questions {
            send(sent, &mut sent_at)?;
            sent += 1;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(!times.is_empty(), "{} does not answer", args.server);
    times.sort_by(f64::total_cmp);
    let part = |percent: usize| times[(times.len() - 1) * percent / 100];
    let per_second = times.len() as f64 / seconds;
    Ok(Asked { per_second, p50_ms: part(50), p99_ms: part(99), lost, empty })
}

/// What to wait for.
#[derive(Args)]
pub struct AwaitArgs {
    /// The name
    name: String,
    /// The port that has to answer HTTP; none: the name alone
    #[arg(long)]
    port: Option<u16>,
    /// Gives up after so many seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// When it came, on the machine's clock.
#[derive(Debug, Serialize, Deserialize)]
pub struct Awaited {
    /// The first address of the name.
    pub address: Ipv4Addr,
    /// When the name had an address.
    pub named_at_ms: f64,
    /// When the port answered there.
    pub answered_at_ms: f64,
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(3);

/// Waits for it.
pub fn wait(args: &AwaitArgs) -> Result<Awaited> {
    let deadline = Instant::now() + Duration::from_secs(args.seconds);
    let socket = socket(NAME_SERVER)?;
    let address = loop {
        if let Ok(Some(address)) = resolve(&socket, &args.name) {
            break address;
        }
        if Instant::now() > deadline {
            bail!("{} has no address after {} s", args.name, args.seconds);
        }
        sleep(PAUSE);
    };
    let named_at_ms = now_ms();
    let Some(port) = args.port else {
        return Ok(Awaited { address, named_at_ms, answered_at_ms: named_at_ms });
    };
    while fetch(SocketAddr::new(address.into(), port)).is_err() {
        if Instant::now() > deadline {
            bail!("{} does not answer at {address} after {} s", args.name, args.seconds);
        }
        sleep(PAUSE);
    }
    Ok(Awaited { address, named_at_ms, answered_at_ms: now_ms() })
}

/// A socket that asks this server.
pub fn socket(server: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(server).with_context(|| server.to_string())?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    Ok(socket)
}

/// The first address of a name, if it has one.
pub fn resolve(socket: &UdpSocket, name: &str) -> std::io::Result<Option<Ipv4Addr>> {
    // The time gives the number, so that a late answer is not taken for this one's.
    let id = now_ms() as u64 as u16;
    socket.send(&question(id, name))?;
    let mut buffer = [0; 1_500];
    loop {
        let length = socket.recv(&mut buffer)?;
        if let Some(answer) = read(&buffer[..length]).filter(|answer| answer.id == id) {
            return Ok(answer.address);
        }
    }
}

/// A question for the IPv4 addresses of a name.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    // A question, recursion is desired; one question, nothing else.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        message.push(label.len() as u8);
        message.extend(label);
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// What an answer says.
struct Answer {
    id: u16,
    address: Option<Ipv4Addr>,
}

fn read(message: &[u8]) -> Option<Answer> {
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let (id, flags, questions, answers) = (number(0)?, number(2)?, number(4)?, number(6)?);
    let mut address = None;
    if flags & 15 == 0 {
        let mut at = 12;
        for _ in 0..questions {
            at = behind_name(message, at)? + 4;
        }
        for _ in 0..answers {
            at = behind_name(message, at)?;
            let (kind, length) = (number(at)?, usize::from(number(at + 8)?));
            let data = message.get(at + 10..at + 10 + length)?;
            if kind == 1 && address.is_none() {
                address = Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?));
            }
            at += 10 + length;
        }
    }
    Some(Answer { id, address })
}

/// The place behind a name that begins at `at`.
fn behind_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            // The rest of the name is written elsewhere.
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_is_found_behind_an_alias() {
        let mut message = question(7, "web.back");
        message[7] = 2;
        message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 3, 1, b'x', 0]);
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 0, 0, 9]);
        let answer = read(&message).unwrap();
        assert_eq!((answer.id, answer.address), (7, Some(Ipv4Addr::new(10, 0, 0, 9))));
        message[3] = 3;
        assert_eq!(read(&message).unwrap().address, None, "there is no such name");
    }

    #[test]
    fn an_answer_that_ends_too_early_is_none() {
        let mut message = question(7, "web");
        message[7] = 1;
        assert!(read(&message).is_none());
        assert!(read(&[]).is_none());
    }
}
