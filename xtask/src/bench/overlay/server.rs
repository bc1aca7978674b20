//! An image with the server of `cargo xtask load serve`, for the figure that counts failures.
//!
//! The httpd of busybox lets nine connections wait and drops the tenth. With some hundred requests
//! per second on a busy machine that happens before every change, and the client's next try, a second
//! later, must not be counted against who made the change.

use super::shop::Shop;
use crate::image;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;

/// The image.
const IMAGE: &str = "bench:server";
/// Where this program lies in it.
const PROGRAM: &str = "bin/load";
/// Runs the rest of the line, whose stdin ends when this is told to. A shell has no other way to tell
/// it, and none of its own to wait for connections.
const UNTIL_TOLD: &str =
    "mkfifo /tmp/open; \"$@\" < /tmp/open & exec 3> /tmp/open; trap 'exec 3>&-' TERM; wait; wait";

/// Gives the fleet the image; returns its name and what to run in it.
pub fn push(shop: &Shop) -> Result<Vec<String>> {
    let mut files = vec![(PROGRAM.to_owned(), fs::read("/proc/self/exe")?)];
    let libraries = libraries(&fs::read_to_string("/proc/self/maps")?);
    for library in &libraries {
        let inside = library.trim_start_matches('/').to_owned();
        files.push((inside, fs::read(library).with_context(|| library.clone())?));
    }
    let archive = shop.fleet.dir.join("server.tar");
    image::busybox_with(IMAGE, &files, &archive)?;
    let archive = archive.to_str().context("the lab's folder is no text")?;
    shop.on_first(&["image", "push", archive])?;
    let mut words = [IMAGE, "sh", "-c", UNTIL_TOLD, "sh"].map(str::to_owned).to_vec();
    // The loader is one of them, and knows where the others are.
    words.extend(libraries.into_iter().find(|library| is_loader(library)));
    words.push(format!("/{PROGRAM}"));
    words.extend(["load", "serve", "80"].map(str::to_owned));
    Ok(words)
}

/// The shared libraries in a list of what a process has mapped.
fn libraries(maps: &str) -> BTreeSet<String> {
    let paths = maps.lines().filter_map(|line| Some(&line[line.find('/')?..]));
    paths.filter(|path| path.contains(".so")).map(str::to_owned).collect()
}

fn is_loader(library: &str) -> bool {
    library.rsplit('/').next().is_some_and(|name| name.starts_with("ld-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_process_are_found_and_its_loader_among_them() {
        let maps = "55a0-55b0 r--p 00000000 fe:00 7 /usr/bin/xtask\n\
            7f00-7f10 r--p 00000000 fe:00 8 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            7f10-7f20 r-xp 00010000 fe:00 8 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            7f20-7f30 r-xp 00000000 fe:00 9 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\n\
            7ffc-7ffd rw-p 00000000 00:00 0 [stack]\n";
        let found: Vec<String> = libraries(maps).into_iter().collect();
        let folder = "/usr/lib/x86_64-linux-gnu";
        let expected = [format!("{folder}/ld-linux-x86-64.so.2"), format!("{folder}/libc.so.6")];
        assert_eq!(found, expected);
        assert!(is_loader(&found[0]) && !is_loader(&found[1]));
    }
}
