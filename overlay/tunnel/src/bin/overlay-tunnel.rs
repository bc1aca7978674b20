//! The tunnel process as a program of its own, for the tests of this crate. The agent's program
//! calls `overlay_tunnel::tunnel_main` in its own `main` instead.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use overlay_tunnel::control::{Hello, VERSION, encode};

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.split_first() {
        Some((word, rest)) if word == "tunnel" => overlay_tunnel::tunnel_main(rest),
        Some((word, rest)) if word == "other-version" => stand_in(Path::new(&rest[0])),
        _ => {
            eprintln!("overlay-tunnel is started by the tests");
            std::process::exit(2);
        }
    }
}

/// Greets as a process of another version, and carries nothing.
fn stand_in(directory: &Path) {
    let listener = UnixListener::bind(directory.join("tunnel.sock")).expect("a new directory");
    println!("ready");
    for mut stream in listener.incoming().flatten() {
        let hello = Hello { version: VERSION + 1, life: 1, link: "ec".into() };
        let _ = stream.write_all(&encode(&hello));
        let _ = stream.read(&mut [0; 1024]);
    }
}
