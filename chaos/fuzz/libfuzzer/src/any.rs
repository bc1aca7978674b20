//! Runs the target that `FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fuzz_targets::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    fuzz_targets::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET: there is no `{name}`"))
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
