//! Docker's library for Python, as it is packaged by Debian. Another version of it is tried with
//! `pip install --target DIR docker` and `PYTHONPATH=DIR`.

use std::path::Path;
use std::process::Command;

use crate::fleet::Fleet;

#[test]
fn docker_s_library_for_python_drives_the_fleet() {
    let python = |arguments: &[&str]| {
        let output = Command::new("/usr/bin/python3").args(arguments).output();
        output.map(|output| {
            let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (output.status.success(), said(&output.stdout) + &said(&output.stderr))
        })
    };
    if !python(&["-c", "import docker"]).is_ok_and(|(is_there, _)| is_there) {
        eprintln!("SKIPPED without python3-docker: type `cargo xtask setup`");
        return;
    }
    let fleet = Fleet::start(150, 2);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/docker_sdk.py");
    let [script, first, second] =
        [script, fleet.socket(1), fleet.socket(2)].map(|path| path.display().to_string());
    let (ended_well, said) = python(&[&script, &first, &second]).expect("it was there");
    assert!(ended_well, "{said}");
    println!("{said}");
}
