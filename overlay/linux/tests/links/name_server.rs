//! The name server of a task and a program that listens at the same port of all addresses.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use overlay_linux::balancing::{NAME_SERVER, NAME_SERVER_PORT};
use overlay_linux::links::TaskNamespace;

use crate::lab::{Lab, addresses, apply, inside, interface, plan, run_in, task_run};

const AT_ONCE: Duration = Duration::from_secs(2);

/// What somebody who asks by UDP hears; from another address or port it hears nothing.
fn ask_by_udp(from: &Path, server: impl Into<SocketAddr>) -> std::io::Result<u8> {
    let socket = inside(from, || UdpSocket::bind("0.0.0.0:0").unwrap());
    socket.connect(server.into())?;
    socket.set_read_timeout(Some(AT_ONCE))?;
    socket.send(b"?")?;
    let mut heard = [0];
    socket.recv(&mut heard).map(|_| heard[0])
}

fn ask_by_tcp(from: &Path, server: impl Into<SocketAddr>) -> std::io::Result<u8> {
    let server = server.into();
    let mut stream = inside(from, || TcpStream::connect_timeout(&server, AT_ONCE))?;
    stream.set_read_timeout(Some(AT_ONCE))?;
    let mut heard = [0];
    stream.read_exact(&mut heard).map(|()| heard[0])
}

/// Says this byte to everybody who asks, until the test ends.
fn say(byte: u8, udp: UdpSocket, tcp: TcpListener) {
    std::thread::spawn(move || {
        while let Ok((_, from)) = udp.recv_from(&mut [0; 9]) {
            let _ = udp.send_to(&[byte], from);
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            let _ = (&stream).write_all(&[byte]);
        }
    });
}

fn serve(namespace: &Path, byte: u8, at: (Ipv4Addr, u16)) {
    let bind = || (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap());
    let (udp, tcp) = inside(namespace, bind);
    say(byte, udp, tcp);
}

#[test]
fn a_task_listens_at_port_53_of_all_addresses_and_has_its_name_server() {
    let Some(lab) = Lab::new(1) else { return };
    let mut links = lab.open(1);
    apply(&mut links, &plan(1, 1, 2));
    let [task, other] =
        [0, 1].map(|task| links.attach(task_run(1, task), &[interface(1, task)]).unwrap());
    let namespace = TaskNamespace::at(task.clone());
    // Twice: an agent that starts finds the rules.
    for _ in 0..2 {
        namespace.lead_to_name_server().unwrap();
        let rules = run_in(&task, "nft list table inet edgectl");
        assert_eq!(rules.matches(" set ").count(), 5, "{rules}");
    }
    let asked = (NAME_SERVER, 53);
    for refused in [ask_by_udp(&task, asked), ask_by_tcp(&task, asked)] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused, "nobody listens yet");
    }
    serve(&task, b'n', (NAME_SERVER, NAME_SERVER_PORT));
    serve(&task, b'p', (Ipv4Addr::UNSPECIFIED, 53));
    for (from, server, said) in [
        (&task, asked.into(), b'n'),
        (&task, SocketAddr::from(([127, 0, 0, 1], 53)), b'p'),
        (&task, (addresses(1, 0)[0], 53).into(), b'p'),
        (&other, (addresses(1, 0)[0], 53).into(), b'p'),
    ] {
        assert_eq!(ask_by_udp(from, server).unwrap(), said, "UDP {server}");
        assert_eq!(ask_by_tcp(from, server).unwrap(), said, "TCP {server}");
    }
    let flows = run_in(&task, "cat /proc/sys/net/netfilter/nf_conntrack_count");
    assert_eq!(flows.trim(), "0", "the kernel keeps no list of the task's flows");
}

#[test]
fn a_name_server_is_asked_also_where_the_task_itself_has_a_list_of_flows() {
    let Some(lab) = Lab::new(1) else { return };
    let mut links = lab.open(1);
    apply(&mut links, &plan(1, 1, 1));
    let task = links.attach(task_run(1, 0), &[interface(1, 0)]).unwrap();
    TaskNamespace::at(task.clone()).lead_to_name_server().unwrap();
    run_in(&task, "nft add table ip own");
    for hook in ["input", "output"] {
        run_in(
            &task,
            &format!("nft add chain ip own {hook} {{ type filter hook {hook} priority 0; }}"),
        );
        run_in(&task, &format!("nft add rule ip own {hook} ct state invalid drop"));
    }
    let asked = (NAME_SERVER, 53);
    serve(&task, b'n', (NAME_SERVER, NAME_SERVER_PORT));
    assert_eq!(ask_by_udp(&task, asked).unwrap(), b'n');
    assert_eq!(ask_by_tcp(&task, asked).unwrap(), b'n');
}
