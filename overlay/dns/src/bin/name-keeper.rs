//! The keeper as a program of its own, for the tests of this crate. The agent's program calls
//! `overlay_dns::keeper_main` in its own `main` instead.

fn main() {
    overlay_dns::keeper_main()
}
