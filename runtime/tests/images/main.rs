//! The image store, against images that other programs wrote and archives that other programs
//! read.
//!
//! umoci and skopeo write and read; unpacked trees are compared with umoci's. Without root, or
//! without these tools, the tests that need them say so on stderr and are skipped. Everything is
//! in temporary folders; nothing is mounted and no network is used.

mod archives;
mod collecting;
mod damage;
mod foreign;
mod hostile;
mod tools;
mod tree;
mod unpacking;
