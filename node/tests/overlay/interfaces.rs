//! The name and the settings of one service's interface, as Docker's `driver-opt` asks for them.

use serde_json::Value;

use super::test_lab::{TestLab, busybox_image::IMAGE};

const NAMED: &str = "name=back,driver-opt=com.docker.network.endpoint.ifname=eth1";
const SETTINGS: &str = "net.ipv4.conf.IFNAME.arp_notify=1,net.ipv4.neigh.IFNAME.gc_stale_time=77";

fn with_settings(network: &str, settings: &str) -> String {
    format!("name={network},\"driver-opt=com.docker.network.endpoint.sysctls={settings}\"")
}

/// What the task `web.1` reads in a file below `/proc/sys/net`.
fn read(lab: &TestLab, file: &str) -> String {
    let path = format!("/proc/sys/net/ipv4/{file}");
    let said = lab.try_edgectl(1, &["exec", "web.1", "/bin/busybox", "cat", &path]);
    said.unwrap_or_else(|error| error).trim().to_owned()
}

#[test]
fn an_interface_has_the_name_and_the_settings_that_were_asked_for() {
    let Some(lab) = TestLab::up('i', 1).with_namespaces() else { return };
    lab.import_image();
    lab.edgectl(1, &["network", "create", "back"]);
    lab.edgectl(1, &["network", "create", "front"]);
    let create = ["service", "create", "-d", "--no-resolve-image"];
    let program = [IMAGE, "/bin/sleep", "100000"];
    let front = with_settings("front", SETTINGS);
    let web = ["--name", "web", "--network", NAMED, "--network", &front];
    lab.edgectl(1, &[&create[..], &web, &program].concat());
    let ends = |stale: &str| {
        read(&lab, "conf/eth0/arp_notify") == "1"
            && read(&lab, "neigh/eth0/gc_stale_time") == stale
            && read(&lab, "conf/eth1/arp_notify") == "0"
    };
    lab.until("the task has its settings", || ends("77"));

    let shown: Value =
        serde_json::from_str(&lab.edgectl(1, &["service", "inspect", "web"])).expect("an object");
    let networks = shown[0]["Spec"]["TaskTemplate"]["Networks"].to_string();
    assert!(networks.contains(SETTINGS) && networks.contains("ifname"), "{networks}");

    // What the kernel refuses keeps a task from starting, and is said.
    let absent = with_settings("front", "net.ipv4.conf.IFNAME.no_such_setting=1");
    let other = ["--name", "other", "--network", &absent];
    lab.edgectl(1, &[&create[..], &other, &program].concat());
    let why = || lab.try_edgectl(1, &["why", "other.1"]).unwrap_or_default();
    lab.until("why names the setting", || why().contains("ipv4/conf/eth0/no_such_setting"));

    for (network, said) in [
        ("name=back,driver-opt=com.docker.network.endpoint.ifname=lo", "at most 15"),
        ("name=back,driver-opt=com.docker.network.driver.mtu=9", "no option of an interface"),
        ("name=host,driver-opt=com.docker.network.endpoint.ifname=lan0", "leave the option out"),
        (with_settings("back", "net.ipv4.ip_forward=1").as_str(), "IFNAME"),
    ] {
        let bad = ["--name", "bad", "--network", network];
        let error = lab.try_edgectl(1, &[&create[..], &bad, &program].concat());
        let error = error.expect_err("it is refused");
        assert!(error.contains(said), "{network}: {error}");
    }

    lab.kill_agent(1);
    lab.succeed(&["start", "n1"]);
    let changed = with_settings("front", &SETTINGS.replace("77", "78"));
    let update = ["service", "update", "-d", "--network-rm", "front", "--network-add", &changed];
    lab.edgectl(1, &[&update[..], &["web"]].concat());
    lab.until("a changed setting arrives", || ends("78"));
}
