//! Machines that lack something, and a port that somebody else has.

use std::net::UdpSocket;

use nix::libc;
use nix::mount::{MsFlags, mount};
use overlay_linux::links::Links;

use crate::lab::{Lab, addresses, inside, interface, ping, plan, task_run};

/// Lets this thread, and what it starts, open no socket of a netlink protocol: as in a kernel that
/// is built without it.
fn without_netlink(protocol: u32) {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // Where the number and the arguments of a call are in what the filter sees.
    const NUMBER: u32 = 0;
    const FAMILY: u32 = 16;
    const PROTOCOL: u32 = 32;
    let step = |code: u32, (jt, jf): (u8, u8), k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    let low = if cfg!(target_endian = "big") { 4 } else { 0 };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPROTONOSUPPORT.unsigned_abs();
    let mut steps = [
        step(LOAD, (0, 0), NUMBER),
        step(IF_EQUAL, (0, 5), u32::try_from(libc::SYS_socket).unwrap()),
        step(LOAD, (0, 0), FAMILY + low),
        step(IF_EQUAL, (0, 3), libc::AF_NETLINK.unsigned_abs()),
        step(LOAD, (0, 0), PROTOCOL + low),
        step(IF_EQUAL, (0, 1), protocol),
        step(RETURN, (0, 0), refuse),
        step(RETURN, (0, 0), libc::SECCOMP_RET_ALLOW),
    ];
    let len = u16::try_from(steps.len()).unwrap();
    let program = libc::sock_fprog { len, filter: steps.as_mut_ptr() };
    // SAFETY: the program lives during the call; it can only make calls of this thread fail.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program), 0);
    }
}

#[test]
fn a_kernel_without_nf_tables_is_said_to_be_unsupported() {
    let Some(lab) = Lab::new(1) else { return };
    let refused = inside(&lab.host(1), || {
        without_netlink(libc::NETLINK_NETFILTER.unsigned_abs());
        Links::open(&lab.directory(1)).err().unwrap()
    });
    assert!(refused.to_string().contains("load the modules nf_tables, "), "{refused}");
    let left = std::fs::read_dir(lab.directory(1)).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name()).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("probe")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn what_an_agent_that_was_killed_while_it_probed_has_left_is_removed() {
    let Some(lab) = Lab::new(1) else { return };
    let probe = lab.directory(1).join("probe");
    let leave = || {
        std::fs::create_dir_all(lab.directory(1)).unwrap();
        std::fs::write(&probe, "").unwrap();
        let namespace = Some("/proc/self/ns/net");
        mount(namespace, &probe, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    };
    leave();
    drop(lab.open(1));
    assert!(!probe.exists(), "the next agent");
    leave();
    overlay_linux::links::sweep(&lab.directory(1)).unwrap();
    assert!(!lab.directory(1).exists(), "the end of the lab");
}

#[test]
fn a_program_that_has_the_port_of_vxlan_is_told_and_what_it_does_not_hinder_works() {
    let Some(lab) = Lab::new(2) else { return };
    let taken = inside(&lab.host(1), || UdpSocket::bind("0.0.0.0:4789").unwrap());
    let mut links = lab.open(1);
    let applied = links.apply(&plan(1, 2, 2));
    let told: Vec<String> = applied.failures.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told.contains("has UDP port 4789")), "{told:?}");
    let one = links.attach(task_run(1, 0), &[interface(1, 0)]).unwrap();
    links.attach(task_run(1, 1), &[interface(1, 1)]).unwrap();
    ping(&one, &addresses(1, 1)[0].to_string()).unwrap();
    // The program goes on.
    let other = inside(&lab.host(2), || UdpSocket::bind("0.0.0.0:0").unwrap());
    other.send_to(b"x", "192.0.2.1:4789").unwrap();
    taken.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    assert_eq!(taken.recv(&mut [0; 9]).unwrap(), 1);
    drop(taken);
    let applied = links.apply(&plan(1, 2, 2));
    assert!(applied.failures.is_empty(), "{:?}", applied.failures);
    let mut there = lab.open(2);
    crate::lab::apply(&mut there, &plan(2, 2, 1));
    there.attach(task_run(2, 0), &[interface(2, 0)]).unwrap();
    ping(&one, &addresses(2, 0)[0].to_string()).unwrap();
}
