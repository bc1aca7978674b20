#!/usr/bin/env bash
# Two checkouts of one package that share a target folder: cargo takes the one for the other.
#
# cargo 1.95.0. The name of a build result has a hash of the package's place relative to its
# workspace, so that equal sources build to equal names wherever they lie: two checkouts have the
# same one. Whether a result is fresh goes by the times of the files against the time of the build,
# and the files are named relative to the package. So a second checkout with other sources that are
# not newer than the first one's build (a copy that keeps times, an unpacked archive, a restored
# backup) is called "Fresh", by its own path, and what runs is the code of the first checkout.
#
# What one would guess: that cargo tells two folders apart, or builds again. A file that is newer does
# build again, and then it is the first checkout that is given the code of the second.
#
# Here: `cargo xtask mutants` builds its copy of the sources in a target folder of its own.
# Needs: cargo; no network, no package.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR="$work/target" CARGO_TERM_COLOR=never
cargo --version

mkdir -p "$work/first/src"
cat > "$work/first/Cargo.toml" <<'TOML'
[package]
name = "hello"
version = "0.1.0"
edition = "2021"
TOML
echo 'fn main() { println!("the first checkout"); }' > "$work/first/src/main.rs"
cp -a "$work/first" "$work/second"
echo 'fn main() { println!("the second checkout"); }' > "$work/second/src/main.rs"
touch -d '1 hour ago' "$work/second/src/main.rs"

said=$(cd "$work/first" && cargo run --quiet)
echo "in first:  $said"
told=$(cd "$work/second" && cargo build --verbose 2>&1)
echo "in second: cargo says: $(grep -o 'Fresh hello' <<<"$told" || echo 'it builds')"
said=$(cd "$work/second" && cargo run --quiet)
echo "in second: $said"

if grep -q "Fresh hello v0.1.0 ($work/second)" <<<"$told" && [ "$said" = "the first checkout" ]; then
    echo "as described: the second checkout runs the code of the first"
else
    echo "changed: cargo tells the two checkouts apart" >&2
    exit 1
fi
