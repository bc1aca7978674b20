//! What the configuration accepts, and the exact texts of its errors.

use super::*;
use runtime::OciRuntime;

const KEY_HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const KEY_BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::from_sources(Some((Path::new("edge.toml"), text)), |_| None, &[])
}

fn refusal(text: &str) -> String {
    load(text).expect_err("a wrong configuration").to_string()
}

#[test]
fn an_empty_file_is_a_configuration() {
    let config = load("").expect("defaults");
    assert_eq!(config.listen.to_string(), "0.0.0.0:7946");
    assert_eq!(config.profile, Profile::LAN);
    assert_eq!(config.fleet_key, None);
}

#[test]
fn the_documented_example_is_a_configuration() {
    let text = include_str!("../../../../examples/edge.toml");
    let config = load(text).expect("the example");
    // A node that uses the example unchanged works, on any machine and in any fleet.
    assert_eq!(config, load("").expect("defaults"));
    for key in ConfigKey::ALL.into_iter().filter(|key| key.scope() == key::Scope::Fleet) {
        assert!(text.contains(&format!("{} = ", key.name())), "{} is undocumented", key.name());
    }
}

#[test]
fn every_key_that_the_example_proposes_is_valid() {
    let text = include_str!("../../../../examples/edge.toml");
    let proposed = text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
    let proposed = proposed.filter(|line| {
        line.split_once(" = ").is_some_and(|(key, _)| ConfigKey::from_name(key).is_some())
    });
    let proposed = proposed.collect::<Vec<_>>().join("\n").replace("<64 hex digits>", KEY_HEX);
    // Only one of the two may give the key.
    let without_file = proposed.replace("fleet_key_file", "# fleet_key_file");
    let config = load(&without_file).expect("all of them");
    assert_eq!((config.fleet.as_str(), config.join.len()), ("shop-12", 2));
    assert_eq!(config.blob_rate_limit, Some(8 << 20));
}

#[test]
fn a_path_that_is_typed_is_meant_from_where_it_is_typed() {
    let flags = [(ConfigKey::DataDir, "data".to_owned())];
    let config = Config::from_sources(None, |_| None, &flags).expect("a configuration");
    assert_eq!(config.data_dir, std::env::current_dir().expect("a folder").join("data"));
}

#[test]
fn an_address_to_join_is_one_that_could_exist() {
    for good in [
        "10.0.0.1",
        "10.0.0.1:7000",
        "fd00::1",
        "[fd00::1]:9",
        "till-3",
        "a.b_c.local.",
        "3com.net",
    ] {
        assert!(good.parse::<JoinAddr>().is_ok(), "{good}");
    }
    let long = "a".repeat(64);
    for bad in
        ["", "not..a..host", ".a", "-a", "a-", "a b", "a:0", "a:b", "10.0.0", "300.1.1.1", &long]
    {
        assert!(bad.parse::<JoinAddr>().is_err(), "{bad}");
    }
}

#[test]
fn a_token_of_earlier_versions_is_the_key_with_a_head() {
    let key: FleetKey = KEY_HEX.parse().expect("a key");
    assert_eq!(FleetKey::from_token(&format!("EDGE-1-{KEY_HEX}")), Ok(key.clone()));
    assert_eq!(FleetKey::from_token(KEY_HEX), Ok(key));
    for bad in ["", "bogus", "EDGE-1-", "SWMTKN-1-xyz", "EDGE-2-00"] {
        assert!(FleetKey::from_token(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_environment_is_above_the_file_and_flags_are_above_both() {
    let text = "fleet = \"file\"\nlog = \"warn\"\nlisten = \"10.0.0.1\"\nlabels = [\"zone=a\"]";
    let environment = |name: &str| match name {
        "EDGECTL_LOG" => Some("debug".to_owned()),
        "EDGECTL_LISTEN" => Some("10.0.0.2:1".to_owned()),
        "EDGECTL_LABELS" => Some("disk=ssd, zone=b".to_owned()),
        _ => None,
    };
    let flags = [
        (ConfigKey::Listen, "10.0.0.3".to_owned()),
        (ConfigKey::Join, "10.0.0.4,[fd00::1]:9,till-3:77".to_owned()),
    ];
    let config = Config::from_sources(Some((Path::new("e"), text)), environment, &flags)
        .expect("a configuration");
    assert_eq!((config.fleet.as_str(), config.log.as_str()), ("file", "debug"));
    assert_eq!(config.listen.to_string(), "10.0.0.3:7946");
    let join: Vec<String> = config.join.iter().map(ToString::to_string).collect();
    assert_eq!(join, ["10.0.0.4:7946", "[fd00::1]:9", "till-3:77"]);
    let labels: Vec<_> = config.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["disk=ssd", "zone=b"]);
}

#[test]
fn a_fleet_key_reads_the_same_in_hex_and_in_base64() {
    let hex: FleetKey = KEY_HEX.parse().expect("hex");
    assert_eq!(KEY_BASE64.parse(), Ok(hex.clone()));
    assert_eq!(hex.reveal(), KEY_HEX);
    assert_eq!(format!("{hex:?}"), "FleetKey(…)");
    for text in ["", "00", &KEY_HEX[1..], "ü", &KEY_BASE64[1..]] {
        assert_eq!(text.parse::<FleetKey>(), Err(BadFleetKey::Text));
    }
}

#[test]
fn a_wrong_key_is_told_its_line_and_the_nearest_right_key() {
    assert_eq!(
        refusal("fleet = \"a\"\n\nfleetkey = \"b\"\n"),
        "edge.toml, line 3: unknown key `fleetkey`\n  did you mean `fleet_key`? type: fleet_key = \
         \"<64 hex digits, from: openssl rand -hex 32>\""
    );
    assert_eq!(
        refusal("Data-Dir = \"/x\""),
        "edge.toml, line 1: unknown key `Data-Dir`\n  did you mean `data_dir`? type: data_dir = \
         \"/var/lib/edgectl\""
    );
    assert_eq!(
        refusal("quorum = 3"),
        "edge.toml, line 1: unknown key `quorum`\n  known keys: fleet, fleet_key, fleet_key_file, join_token_file, unlock_key_file, \
         data_dir, socket, api, listen, advertise, join, discover_members, profile, hostname, labels, generic_resources, discover_devices, log, rumours, \
         insecure_registries, registry_mirrors, registry_certificates, docker_config, \
         blob_rate_limit, image_fetch, stacks, history, oci_runtime"
    );
}

#[test]
fn a_wrong_type_is_told_what_to_type() {
    assert_eq!(
        refusal("\njoin = \"10.0.0.1\""),
        "edge.toml, line 2: `join` is a text and must be a list of texts\n  type: join = \
         [\"192.168.1.11\", \"192.168.1.12:7946\"]"
    );
    assert_eq!(
        refusal("listen = 7946"),
        "edge.toml, line 1: `listen` is a number and must be a text\n  type: listen = \
         \"0.0.0.0:7946\""
    );
}

#[test]
fn devices_are_discovered_unless_a_key_says_less() {
    let read = |text: &str, variable: Option<&str>| {
        let environment =
            |name: &str| variable.filter(|_| name == "EDGECTL_DISCOVER_DEVICES").map(str::to_owned);
        let file = Some((Path::new("edge.toml"), text));
        let config = Config::from_sources(file, environment, &[])?;
        let kinds = config.discover_devices.into_iter().map(DeviceKind::as_str);
        Ok::<_, ConfigError>(kinds.collect::<Vec<_>>().join(" "))
    };
    for (text, variable, kinds) in [
        ("", None, "serial camera gpu"),
        ("discover_devices = true", None, "serial camera gpu"),
        ("discover_devices = false", None, ""),
        ("discover_devices = []", None, ""),
        ("discover_devices = [\"gpu\", \"serial\"]", None, "serial gpu"),
        ("discover_devices = false", Some("camera"), "camera"),
        ("", Some("camera, gpu"), "camera gpu"),
        ("", Some("off"), ""),
        ("discover_devices = []", Some("true"), "serial camera gpu"),
    ] {
        assert_eq!(read(text, variable).as_deref(), Ok(kinds), "{text} {variable:?}");
    }
    let refused = read("discover_devices = [\"usb\"]", None).expect_err("no kind").to_string();
    assert!(refused.contains("one of serial, camera, gpu"), "{refused}");
    assert!(refused.contains("type: discover_devices = [\"serial\", \"camera\"]"), "{refused}");
}

#[test]
fn a_wrong_value_is_told_why() {
    assert_eq!(
        refusal("profile = \"dsl\""),
        "edge.toml, line 1: `profile` cannot be \"dsl\": it is one of lan, wan, metered\n  type: \
         profile = \"lan\""
    );
    assert_eq!(
        refusal("labels = [\"zone\"]"),
        "edge.toml, line 1: `labels` cannot be \"zone\": a label is written name=value\n  type: \
         labels = [\"zone=a\", \"disk=ssd\"]"
    );
    assert_eq!(
        refusal("log = \"chatty\""),
        "edge.toml, line 1: `log` cannot be \"chatty\": it is one of error, warn, info, debug, \
         trace, off, or part=level\n  type: log = \"info\""
    );
    assert!(!refusal("fleet_key = \"0a0b0c\"").contains("0a0b0c"), "a secret is not repeated");
}

#[test]
fn registries_and_rates_are_read_and_their_mistakes_told() {
    let config = load(
        "insecure_registries = [\"nas:5000\"]\nregistry_mirrors = [\"http://a:1\", \"ghcr.io=https://b\"]\n\
         blob_rate_limit = \"2m\"\nimage_fetch = \"paused\"",
    )
    .expect("a configuration");
    assert_eq!(config.insecure_registries, ["nas:5000"]);
    let mirrors: Vec<_> = config.registry_mirrors.keys().map(String::as_str).collect();
    assert_eq!(mirrors, ["docker.io", "ghcr.io"]);
    assert_eq!((config.blob_rate_limit, config.image_fetch), (Some(2 << 20), ImageFetch::Paused));
    assert!(refusal("registry_mirrors = [\"a:1\"]").contains("a mirror is written as http://"));
    assert!(refusal("blob_rate_limit = \"10\"").contains("at least 4k"));
    assert!(refusal("image_fetch = \"off\"").contains("it is one of on, paused"));
}

#[test]
fn the_oci_runtime_is_the_embedded_one_unless_it_is_named() {
    assert_eq!(load("").expect("a configuration").oci_runtime, OciRuntime::Embedded);
    let config = load("oci_runtime = \"/opt/bin/runc\"").expect("a configuration");
    assert_eq!(config.oci_runtime, OciRuntime::Runc("/opt/bin/runc".into()));
    assert!(refusal("oci_runtime = \"docker\"").contains("it is embedded, runc, crun"));
}

#[test]
fn what_belongs_to_one_node_is_refused_in_the_file() {
    assert_eq!(
        refusal("hostname = \"till-3\""),
        "edge.toml, line 1: `hostname` belongs to one node, and this file is the same on every \
         node\n  give it to that node as EDGECTL_HOSTNAME=… or --hostname …"
    );
}

#[test]
fn what_is_not_flat_toml_is_refused_with_its_line() {
    assert!(refusal("a = 1\n[net]\nmtu = 3").starts_with("edge.toml, line 1: unknown key `a`"));
    assert!(refusal("[net]\nmtu = 3").starts_with("edge.toml, line 1: `[net]` opens a table"));
    assert!(refusal("fleet = \"a\"\nlisten: 3").starts_with("edge.toml, line 2: "));
}

#[test]
fn a_bad_flag_names_itself() {
    let flags = [(ConfigKey::Listen, "here".to_owned())];
    let error = Config::from_sources(None, |_| None, &flags).expect_err("not an address");
    assert_eq!(
        error.to_string(),
        "flag --listen: `listen` cannot be \"here\": it is not an IP address with or without a \
         port\n  type: listen = \"0.0.0.0:7946\""
    );
}
