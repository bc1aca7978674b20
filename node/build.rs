//! Links `edgectl`, which is also the monitor beside each task, at a fixed address, and what an agent
//! never runs apart from the rest.
//!
//! A program that may lie anywhere has each of its pointers corrected when it starts: 0.8 MiB of
//! pages that every monitor then has for itself and shares with nobody. There is one monitor per
//! task, so that counts for more here than an address that nobody can guess; those of the stack,
//! the heap and the libraries stay random.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cold_code.ld");
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{here}/cold_code.ld");
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    // A program without libraries corrects its pointers itself, and is linked for that.
    if !features.split(',').any(|feature| feature == "crt-static") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
