//! An image with busybox and the programs that tests run.

use std::fs::File;
use std::path::Path;

/// The name that the image is imported under.
pub const IMAGE: &str = "registry.invalid/tools:1";

/// Writes its file system as an archive.
pub fn write(path: &Path) {
    let mut tar = tar::Builder::new(File::create(path).expect("writable"));
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.into_iter().find(|path| path.exists()).expect("busybox is installed");
    tar.append_path_with_name(busybox, "bin/busybox").expect("added");
    for program in ["sh", "sleep", "hostname", "ping", "nslookup"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{program}"), "busybox").expect("added");
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o1777);
    tar.append_data(&mut header, "tmp", std::io::empty()).expect("added");
    tar.finish().expect("written");
}
