//! Links the monitor at a fixed address.
//!
//! A program that may lie anywhere has each of its pointers corrected when it starts: 0.8 MiB of
//! pages that every monitor then has for itself and shares with nobody. There is one monitor per
//! task, so that counts for more here than an address that nobody can guess; those of the stack,
//! the heap and the libraries stay random.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    // A program without libraries corrects its pointers itself, and is linked for that.
    if !features.split(',').any(|feature| feature == "crt-static") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
