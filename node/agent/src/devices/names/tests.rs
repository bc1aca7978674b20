//! Listings as udev makes them, and nonsense.

use proptest::prelude::*;

use super::*;

fn links(entries: &[(&'static str, &[(&str, &str)])]) -> Listing {
    let of = |links: &[(&str, &str)]| {
        links.iter().map(|(link, file)| ((*link).to_owned(), (*file).to_owned())).collect()
    };
    let links = entries.iter().map(|(folder, links)| (*folder, of(links))).collect();
    Listing { links, ..Listing::default() }
}

fn all() -> BTreeSet<DeviceKind> {
    DeviceKind::ALL.into()
}

/// `kind name: files`, a line for each.
fn lines(named: &Named) -> Vec<String> {
    let of = |(kind, devices): (&String, &BTreeMap<String, Vec<String>>)| -> Vec<String> {
        devices.iter().map(|(name, files)| format!("{kind} {name}: {}", files.join(" "))).collect()
    };
    named.found.iter().flat_map(of).collect()
}

/// A Raspberry Pi 4 with two adapters, a camera on USB and one on its ribbon cable.
fn raspberry_pi() -> Listing {
    let port = "platform-fd500000.pcie-pci-0000:01:00.0-usb";
    links(&[
        (
            SERIAL_BY_ID,
            &[
                ("usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0", "/dev/ttyUSB0"),
                (
                    "usb-dresden_elektronik_ingenieurtechnik_GmbH_ConBee_II_DE2132111-if00",
                    "/dev/ttyACM0",
                ),
            ],
        ),
        (
            SERIAL_BY_PATH,
            &[
                (&format!("{port}-0:1.1:1.0-port0"), "/dev/ttyUSB0"),
                (&format!("{port}-0:1.2:1.0"), "/dev/ttyACM0"),
            ],
        ),
        (
            CAMERA_BY_ID,
            &[
                ("usb-046d_HD_Pro_Webcam_C920_08E5DC7F-video-index0", "/dev/video0"),
                ("usb-046d_HD_Pro_Webcam_C920_08E5DC7F-video-index1", "/dev/video1"),
            ],
        ),
        (
            CAMERA_BY_PATH,
            &[
                (&format!("{port}-0:1.3:1.0-video-index0"), "/dev/video0"),
                (&format!("{port}-0:1.3:1.0-video-index1"), "/dev/video1"),
                (&format!("{port}v2-0:1.3:1.0-video-index0"), "/dev/video0"),
                ("platform-bcm2835-codec-video-index0", "/dev/video10"),
                ("platform-bcm2835-isp-video-index0", "/dev/video13"),
                ("platform-fe801000.csi-video-index0", "/dev/video2"),
            ],
        ),
        (
            GPU_BY_PATH,
            &[
                ("platform-fec00000.v3d-card", "/dev/dri/card0"),
                ("platform-fec00000.v3d-render", "/dev/dri/renderD128"),
                ("platform-gpu-card", "/dev/dri/card1"),
            ],
        ),
    ])
}

#[test]
fn a_raspberry_pi_offers_what_is_plugged_in() {
    let named = raspberry_pi().named(&all());
    assert_eq!(
        lines(&named),
        [
            "camera usb-046d_HD_Pro_Webcam_C920_08E5DC7F-video-index0: /dev/video0",
            "gpu platform-fec00000.v3d: /dev/dri/renderD128",
            "serial usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0: /dev/ttyUSB0",
            "serial usb-dresden_elektronik_ingenieurtechnik_GmbH_ConBee_II_DE2132111-if00: /dev/ttyACM0",
        ]
    );
    assert!(named.skipped.is_empty());
}

#[test]
fn only_the_kinds_that_are_asked_for_are_there_and_those_always() {
    let camera = BTreeSet::from([DeviceKind::Camera]);
    let kinds = |listing: Listing| listing.named(&camera).found.into_keys().collect::<Vec<_>>();
    assert_eq!(kinds(raspberry_pi()), ["camera"]);
    assert_eq!(kinds(Listing::default()), ["camera"], "a kind without a device is looked for");
    assert_eq!(raspberry_pi().named(&BTreeSet::new()), Named::default());
}

#[test]
fn of_two_adapters_without_a_serial_number_one_has_the_name_and_one_its_port() {
    let port = |number: u8, file| (format!("pci-0000:00:14.0-usb-0:{number}:1.0-port0"), file);
    let (first, second) = (port(2, "/dev/ttyUSB0"), port(3, "/dev/ttyUSB1"));
    let listing = links(&[
        (SERIAL_BY_ID, &[("usb-1a86_USB_Serial-if00-port0", "/dev/ttyUSB1")]),
        (SERIAL_BY_PATH, &[(&first.0, first.1), (&second.0, second.1)]),
    ]);
    assert_eq!(
        lines(&listing.named(&all())),
        [
            "serial pci-0000:00:14.0-usb-0:2:1.0-port0: /dev/ttyUSB0",
            "serial usb-1a86_USB_Serial-if00-port0: /dev/ttyUSB1",
        ]
    );
}

#[test]
fn all_ports_of_one_adapter_are_offered() {
    let adapter = "usb-Silicon_Labs_CP2105_Dual_USB_to_UART_Bridge_Controller_007FC3F4";
    let ports = [format!("{adapter}-if00-port0"), format!("{adapter}-if01-port0")];
    let listing =
        links(&[(SERIAL_BY_ID, &[(&ports[0], "/dev/ttyUSB0"), (&ports[1], "/dev/ttyUSB2")])]);
    let found = &listing.named(&all()).found["serial"];
    assert_eq!(found.keys().collect::<Vec<_>>(), [&ports[0], &ports[1]]);
}

#[test]
fn a_maintenance_port_is_no_adapter() {
    let listing = links(&[(SERIAL_BY_PATH, &[("pci-0000:00:16.3", "/dev/ttyS4")])]);
    assert_eq!(lines(&listing.named(&all())), [""; 0]);
}

/// Two GPUs of NVIDIA beside one of Intel; the driver counts them the other way round.
fn workstation() -> Listing {
    let mut listing = links(&[(
        GPU_BY_PATH,
        &[
            ("pci-0000:00:02.0-card", "/dev/dri/card0"),
            ("pci-0000:00:02.0-render", "/dev/dri/renderD128"),
            ("pci-0000:01:00.0-render", "/dev/dri/renderD129"),
        ],
    )]);
    for (address, minor) in [("0000:01:00.0", 1), ("0000:41:00.0", 0)] {
        let said = format!(
            "Model: \t\t NVIDIA RTX A2000\nIRQ:   \t\t 139\nGPU UUID: \t GPU-????????-????-????-????-????????????\n\
             Video BIOS: \t ??.??.??.??.??\nBus Type: \t PCIe\nDMA Size: \t 47 bits\n\
             Bus Location: \t {address}\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n"
        );
        listing.nvidia.insert(address.to_owned(), said);
    }
    let files = ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"];
    listing.nvidia_files = files.map(|name| format!("/dev/{name}")).into();
    listing
}

#[test]
fn a_gpu_with_two_drivers_is_one_and_brings_what_all_need() {
    assert_eq!(
        lines(&workstation().named(&all())),
        [
            "gpu pci-0000:00:02.0: /dev/dri/renderD128",
            "gpu pci-0000:01:00.0: /dev/nvidia1 /dev/dri/renderD129 /dev/nvidia-uvm /dev/nvidiactl",
            "gpu pci-0000:41:00.0: /dev/nvidia0 /dev/nvidia-uvm /dev/nvidiactl",
        ]
    );
}

#[test]
fn a_gpu_of_nvidia_without_its_file_is_not_nvidia_s_yet() {
    let mut listing = workstation();
    listing.nvidia_files.clear();
    let kept =
        ["gpu pci-0000:00:02.0: /dev/dri/renderD128", "gpu pci-0000:01:00.0: /dev/dri/renderD129"];
    assert_eq!(lines(&listing.named(&all())), kept);
    for said in ["", "Device Minor: x", "Device Minor: \t 4096", "Device Minor:"] {
        assert_eq!(nvidia_file(said), None, "{said}");
    }
}

#[test]
fn a_processor_for_neural_networks_is_no_gpu() {
    let listing = links(&[(
        GPU_BY_PATH,
        &[
            ("platform-display-subsystem-render", "/dev/dri/renderD128"),
            ("platform-fdab0000.npu-render", "/dev/dri/renderD129"),
        ],
    )]);
    assert_eq!(
        lines(&listing.named(&all())),
        ["gpu platform-display-subsystem: /dev/dri/renderD128"]
    );
}

#[test]
fn a_name_that_no_resource_can_have_is_skipped_and_said() {
    let long = format!("usb-{}-if00", "x".repeat(300));
    let listing = links(&[
        (
            SERIAL_BY_ID,
            &[
                ("usb-Acme_a=b-if00", "/dev/ttyACM0"),
                ("usb-Acme a,b-if00", "/dev/ttyACM1"),
                (&long, "/dev/ttyACM2"),
                ("usb-Acme_c-if00", "/dev/ttyACM3"),
                ("usb-Acme_d=-if00", "/dev/ttyACM4"),
            ],
        ),
        (SERIAL_BY_PATH, &[("pci-0000:00:14.0-usb-0:2:1.0", "/dev/ttyACM4")]),
    ]);
    let named = listing.named(&all());
    assert_eq!(
        lines(&named),
        [
            "serial pci-0000:00:14.0-usb-0:2:1.0: /dev/ttyACM4",
            "serial usb-Acme_c-if00: /dev/ttyACM3"
        ]
    );
    assert_eq!(named.skipped.len(), 3, "{:?}", named.skipped);
    let said = named.skipped.iter().find(|said| said.contains("a=b")).expect("it is said");
    assert_eq!(
        said,
        "serial \"usb-Acme_a=b-if00\" (/dev/ttyACM0): a name has no blank, no comma and no equals sign"
    );
}

proptest! {
    #[test]
    fn whatever_is_listed_every_device_is_offered_once_by_a_legal_name(
        by_id in proptest::collection::btree_map(".{0,300}", "/dev/ttyUSB[0-9]", 0..8),
        by_path in proptest::collection::btree_map("[a-z]{2}-usb-[0-9 =,]{0,4}", "/dev/ttyUSB[0-9]", 0..8),
        said in ".{0,80}",
    ) {
        let mut listing = Listing::default();
        listing.links.insert(SERIAL_BY_ID, by_id);
        listing.links.insert(SERIAL_BY_PATH, by_path);
        listing.nvidia.insert("0000:01:00.0".to_owned(), said);
        let named = listing.named(&all());
        let mut files = BTreeSet::new();
        for (name, of_device) in &named.found["serial"] {
            prop_assert!(name_fault(name).is_none());
            prop_assert!(files.insert(of_device.clone()));
        }
        let listed: BTreeSet<&String> = listing.links.values().flat_map(BTreeMap::values).collect();
        prop_assert_eq!(listed.len(), files.len() + named.skipped.len());
    }
}
