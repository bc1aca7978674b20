//! What others change is found and repaired; what is right is left alone.

use std::path::Path;

use overlay_linux::error::Cause;
use overlay_linux::links::Links;

use crate::lab::{
    Lab, addresses, apply, interface, ping, plan, run, run_in, task_run, try_run, try_run_in,
};

/// Two nodes with a task each.
fn start(lab: &Lab) -> [Links; 2] {
    [1, 2].map(|node| {
        let mut links = lab.open(node);
        apply(&mut links, &plan(node, 2, 1));
        links.attach(task_run(node, 0), &[interface(node, 0)]).unwrap();
        links
    })
}

fn task(lab: &Lab, node: u8) -> std::path::PathBuf {
    let run = task_run(node, 0);
    lab.directory(node).join("task").join(format!("{}.{}", run.task, run.attempt))
}

fn across(lab: &Lab) -> Result<(), String> {
    addresses(2, 0)
        .iter()
        .try_for_each(|address| ping(&task(lab, 1), &address.to_string()).map(|_| ()))
}

#[test]
fn the_same_plan_again_changes_nothing() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut one, _two] = start(&lab);
    assert_eq!(apply(&mut one, &plan(1, 2, 1)), 0);
    // Or everything would be compared for ever, to see what the last comparison has disturbed.
    one.is_disturbed();
    assert_eq!(apply(&mut one, &plan(1, 2, 1)), 0);
    assert!(!one.is_disturbed());
    drop(one);
    let mut again = lab.open(1);
    assert_eq!(apply(&mut again, &plan(1, 2, 1)), 0);
    again.attach(task_run(1, 0), &[interface(1, 0)]).unwrap();
    assert_eq!(apply(&mut again, &plan(1, 2, 1)), 0);
    across(&lab).unwrap();
}

#[test]
fn a_restart_of_the_agent_disturbs_no_packet() {
    let Some(lab) = Lab::new(2) else { return };
    drop(start(&lab));
    let words = "ping -n -i 0.002 -c 400 -W 2 10.9.2.10";
    let said = std::thread::scope(|scope| {
        let ping = scope.spawn(|| run_in(&task(&lab, 1), words));
        while !ping.is_finished() {
            for node in [1, 2] {
                let mut again = lab.open(node);
                assert_eq!(apply(&mut again, &plan(node, 2, 1)), 0);
                again.attach(task_run(node, 0), &[interface(node, 0)]).unwrap();
            }
        }
        ping.join().unwrap()
    });
    assert!(said.contains(" 0% packet loss"), "{said}");
}

#[test]
fn a_task_with_a_record_of_another_version_keeps_its_links() {
    let Some(lab) = Lab::new(2) else { return };
    drop(start(&lab));
    let record = format!("{}.json", task(&lab, 1).display());
    std::fs::write(&record, "[{}]").unwrap();
    let mut again = lab.open(1);
    assert_eq!(apply(&mut again, &plan(1, 2, 1)), 0);
    across(&lab).unwrap();
    again.attach(task_run(1, 0), &[interface(1, 0)]).unwrap();
    assert_eq!(apply(&mut lab.open(1), &plan(1, 2, 1)), 0);
    across(&lab).unwrap();
}

/// Somebody does `words` on the first node; then the plan repairs it.
fn repairs(place: impl Fn(&Lab) -> std::path::PathBuf, words: &[&str]) {
    let Some(lab) = Lab::new(2) else { return };
    let [mut one, _two] = start(&lab);
    across(&lab).unwrap();
    for words in words {
        run_in(&place(&lab), words);
    }
    assert!(apply(&mut one, &plan(1, 2, 1)) > 0);
    across(&lab).unwrap();
    ping(&lab.host(1), "10.9.1.10").unwrap();
    assert_eq!(apply(&mut one, &plan(1, 2, 1)), 0);
}

#[test]
fn a_vxlan_device_that_was_set_down_and_up_is_repaired() {
    repairs(|lab| lab.network(1), &["ip link set vxlan0 down", "ip link set vxlan0 up"]);
}

#[test]
fn flushed_routes_are_repaired() {
    repairs(|lab| lab.network(1), &["ip route flush table main", "ip -6 route flush table main"]);
}

#[test]
fn flushed_neighbours_and_forwarding_entries_are_repaired() {
    let neighbours = "ip neigh flush dev vxlan0 nud all";
    repairs(|lab| lab.network(1), &[neighbours, "bridge fdb del 02:02:02:02:02:02 dev vxlan0"]);
}

#[test]
fn a_wrong_forwarding_entry_is_repaired() {
    let add = "bridge fdb append 02:02:02:02:02:02 dev vxlan0 dst 192.0.2.77";
    let wrong = "bridge fdb replace 02:02:02:02:02:02 dev vxlan0 dst 192.0.2.78";
    repairs(|lab| lab.network(1), &[add, wrong]);
}

#[test]
fn removed_links_are_repaired() {
    repairs(|lab| lab.network(1), &["ip link del vxlan0", "ip link del uplink"]);
}

#[test]
fn a_removed_interface_of_a_task_is_repaired() {
    repairs(|lab| task(lab, 1), &["ip link del eth0"]);
}

#[test]
fn flushed_addresses_and_routes_of_a_task_are_repaired() {
    repairs(|lab| task(lab, 1), &["ip address flush dev eth0", "ip link set eth0 down"]);
}

#[test]
fn a_changed_mtu_and_setting_are_repaired() {
    let forward = "sysctl -q net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0";
    repairs(|lab| lab.network(1), &["ip link set vxlan0 mtu 1300", forward]);
}

#[test]
fn a_link_below_that_vanished_and_came_back_is_followed() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut one, _two] = start(&lab);
    run_in(&lab.host(0), "ip link del port1");
    let failures = one.apply(&plan(1, 2, 1)).failures;
    assert!(matches!(failures[0].cause, Cause::NoUnderlay(_)), "{failures:?}");
    let host = lab.host(1);
    let (switch, name) = (lab.host(0), host.file_name().unwrap().to_str().unwrap().to_string());
    run_in(&switch, &format!("ip link add port1 type veth peer name eth0 netns {name}"));
    run_in(&switch, "ip link set port1 master bridge0 up");
    lab.address(1);
    apply(&mut one, &plan(1, 2, 1));
    across(&lab).unwrap();
}

#[test]
fn a_changed_address_below_is_followed() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut one, mut two] = start(&lab);
    run_in(&lab.host(1), "ip address add 192.0.2.101/24 dev eth0");
    let (mut first, mut second) = (plan(1, 2, 1), plan(2, 2, 1));
    first.networks.values_mut().for_each(|network| {
        network.underlay = "192.0.2.101".parse().unwrap();
    });
    second.networks.values_mut().flat_map(|network| network.peers.values_mut()).for_each(|peer| {
        peer.underlay = "192.0.2.101".parse().unwrap();
    });
    apply(&mut one, &first);
    // The old forwarding entry goes, the new one comes.
    assert_eq!(apply(&mut two, &second), 2);
    across(&lab).unwrap();
}

#[test]
fn a_renumbered_task_is_reached_at_its_new_addresses_only() {
    let Some(lab) = Lab::new(2) else { return };
    let [_one, mut two] = start(&lab);
    let mut renumbered = interface(2, 0);
    renumbered.addresses = addresses(2, 50);
    two.attach(task_run(2, 0), &[renumbered]).unwrap();
    assert_eq!(apply(&mut two, &plan(2, 2, 1)), 0);
    for (old, new) in addresses(2, 0).iter().zip(addresses(2, 50)) {
        ping(&task(&lab, 1), &new.to_string()).unwrap();
        ping(&task(&lab, 1), &old.to_string()).unwrap_err();
    }
}

#[test]
fn a_block_that_moved_to_another_node_is_followed() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut one, two] = start(&lab);
    let mut moved = plan(1, 2, 1);
    let peers = &mut moved.networks.values_mut().next().unwrap().peers;
    peers.values_mut().for_each(|peer| peer.blocks.clear());
    apply(&mut one, &moved);
    across(&lab).unwrap_err();
    apply(&mut one, &plan(1, 2, 1));
    across(&lab).unwrap();
    drop(two);
}

#[test]
fn a_detached_task_leaves_nothing() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut one, _two] = start(&lab);
    one.detach(task_run(1, 0)).unwrap();
    assert!(!task(&lab, 1).exists());
    assert_eq!(apply(&mut one, &plan(1, 2, 0)), 0);
    one.detach(task_run(1, 0)).unwrap();
}

#[test]
fn a_removed_network_leaves_nothing() {
    let Some(lab) = Lab::new(2) else { return };
    let before = run_in(&lab.host(1), "ip -o link");
    let [mut one, _two] = start(&lab);
    let applied = one.remove_all();
    assert!(applied.failures.is_empty(), "{:?}", applied.failures);
    assert_eq!(run_in(&lab.host(1), "ip -o link"), before);
    let routes = "ip route show proto 236";
    assert_eq!(run_in(&lab.host(1), routes), "");
    assert!(!lab.directory(1).exists());
    assert!(!mounts().contains(lab.directory(1).to_str().unwrap()));
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

#[test]
fn a_copy_of_the_mounts_in_another_mount_namespace_keeps_no_namespace() {
    let Some(lab) = Lab::new(1) else { return };
    let mut links = lab.open(1);
    apply(&mut links, &plan(1, 1, 1));
    links.attach(task_run(1, 0), &[interface(1, 0)]).unwrap();
    let mut other = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "cat"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let seen = format!("/proc/{}/mountinfo", other.id());
    let directory = lab.directory(1);
    let copied =
        |path: &Path| std::fs::read_to_string(&seen).unwrap().contains(path.to_str().unwrap());
    let own = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    while std::fs::read_link(format!("/proc/{}/ns/mnt", other.id())).unwrap() == own {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(copied(&directory));
    let _ = links.remove_all();
    let left = copied(&directory);
    drop(other.stdin.take());
    other.wait().unwrap();
    assert!(!left);
}

#[test]
fn two_agents_on_one_machine_cannot_have_one_vni() {
    let Some(lab) = Lab::new(1) else { return };
    let mut one = lab.open(1);
    apply(&mut one, &plan(1, 1, 0));
    let second = lab.directory(1).join("second");
    let mut two = crate::lab::inside(&lab.host(1), || Links::open(&second).unwrap());
    let applied = two.apply(&plan(1, 1, 0));
    let said: Vec<String> = applied.failures.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|said| said.contains("already has VNI 5000")), "{said:?}");
    let _ = two.remove_all();
    assert_eq!(apply(&mut one, &plan(1, 1, 0)), 0);
}

#[test]
fn a_namespace_of_a_network_that_was_unmounted_is_mounted_again() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut one, _two] = start(&lab);
    run("umount", lab.network(1).to_str().unwrap());
    assert_eq!(apply(&mut one, &plan(1, 2, 1)), 1);
    drop(one);
    assert_eq!(apply(&mut lab.open(1), &plan(1, 2, 1)), 0);
    across(&lab).unwrap();
}

#[test]
fn a_route_of_the_host_to_the_same_addresses_stays_and_is_reported() {
    let Some(lab) = Lab::new(1) else { return };
    let mut links = lab.open(1);
    run_in(&lab.host(1), "ip route add 10.9.0.0/16 via 192.0.2.77");
    let failures = links.apply(&plan(1, 1, 0)).failures;
    assert_eq!(failures.len(), 1);
    assert!(failures[0].to_string().contains("cannot set route to 10.9.0.0/16"), "{failures:?}");
    assert!(run_in(&lab.host(1), "ip route").contains("10.9.0.0/16 via 192.0.2.77"));
    run_in(&lab.host(1), "ip route del 10.9.0.0/16");
    assert_eq!(apply(&mut links, &plan(1, 1, 0)), 1);
}

#[test]
fn a_task_whose_namespace_was_unmounted_is_reported() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut one, _two] = start(&lab);
    run("umount", task(&lab, 1).to_str().unwrap());
    let failures = one.apply(&plan(1, 2, 1)).failures;
    assert!(matches!(failures[0].cause, Cause::NoNamespace), "{failures:?}");
}

#[test]
fn a_task_is_not_attached_to_an_unknown_network() {
    let Some(lab) = Lab::new(1) else { return };
    let mut links = lab.open(1);
    let error = links.attach(task_run(1, 0), &[interface(1, 0)]).unwrap_err();
    assert!(matches!(error.cause, Cause::NoNetwork), "{error}");
}

/// Takes a capability from this thread.
fn without_capability(number: u32) {
    /// `_LINUX_CAPABILITY_VERSION_3` of the kernel's `capability.h`.
    const VERSION: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header(u32, i32);
    let mut sets = [[0u32; 3]; 2];
    let header = Header(VERSION, 0);
    // SAFETY: the version has two sets of three words; both pointers live during the calls.
    unsafe {
        let header = &raw const header;
        assert_eq!(nix::libc::syscall(nix::libc::SYS_capget, header, sets.as_mut_ptr()), 0);
        sets[0][0] &= !(1 << number);
        assert_eq!(nix::libc::syscall(nix::libc::SYS_capset, header, sets.as_ptr()), 0);
    }
}

#[test]
fn a_machine_that_does_not_let_the_agent_is_said_to_be_unsupported() {
    const CAP_NET_ADMIN: u32 = 12;
    const CAP_SYS_ADMIN: u32 = 21;
    let Some(lab) = Lab::new(1) else { return };
    for (number, missing) in [(CAP_NET_ADMIN, "CAP_NET_ADMIN"), (CAP_SYS_ADMIN, "CAP_SYS_ADMIN")] {
        let refused = crate::lab::inside(&lab.host(1), || {
            without_capability(number);
            Links::open(&lab.directory(1)).err().unwrap()
        });
        assert!(refused.to_string().contains(missing), "{refused}");
    }
    drop(lab.open(1));
}

#[test]
fn the_host_is_let_forward_only_when_told_to() {
    let Some(lab) = Lab::new(1) else { return };
    let mut links = lab.open(1);
    run_in(&lab.host(1), "sysctl -q net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0");
    apply(&mut links, &plan(1, 1, 0));
    assert!(!links.forwarding().unwrap().ipv4 && !links.forwarding().unwrap().ipv6);
    let now = links.allow_forwarding().unwrap();
    assert!(now.ipv4 && now.ipv6);
    let accept = "cat /proc/sys/net/ipv6/conf/eth0/accept_ra";
    assert_eq!(try_run_in(&lab.host(1), accept).unwrap().trim(), "2");
    assert!(try_run("ip", "-V").is_ok());
}
