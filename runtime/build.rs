//! Links the monitor at a fixed address.
//!
//! In a position-independent program every pointer is relocated at the start: 0.8 MiB of pages that
//! each monitor then has for itself and shares with no other process. There is one monitor per
//! task, so this memory matters more here than an unpredictable address. The addresses of the
//! stack, the heap and the libraries stay random.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    // A static program relocates its pointers itself, and must be linked for that.
    if !features.split(',').any(|feature| feature == "crt-static") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
