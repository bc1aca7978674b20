//! Returns memory to the system when a burst of work is over.
//!
//! glibc keeps freed memory. Each thread gets an arena of its own, and an arena only shrinks at its
//! end, where usually some small long-lived block lies. So there is only one arena, which is enough
//! because an agent's threads mostly wait; and when much of it has become free, the pages in its
//! middle are returned too. Code that was not used lately is unmapped (`code`).

mod code;

use std::time::Duration;

use nix::libc;

/// Between two checks: the allocator sums its figures, and code that is in use is mapped again. Both
/// together take well below a millisecond.
const INTERVAL: Duration = Duration::from_secs(5);

/// This much must have become free since the last time; less is not worth the page faults of using
/// it again.
const FREED_BYTES_MIN: usize = 512 * 1024;

/// Blocks above this size are mapped separately and returned at once: glibc's initial value, which
/// it would raise up to 32 MiB as soon as a large block was freed.
const MAPPED_BYTES_MIN: libc::c_int = 128 * 1024;

/// The allocator's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocated {
    /// Bytes in use.
    pub used_bytes: usize,
    /// Bytes that are kept for later, including pages that were returned.
    pub free_bytes: usize,
}

/// Sets up the allocator. To be called before the second thread begins.
#[cfg(target_env = "gnu")]
pub fn begin() {
    for (option, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN),
        (libc::M_TRIM_THRESHOLD, MAPPED_BYTES_MIN),
    ] {
        // SAFETY: it takes two numbers and changes settings of the allocator under its own lock. If
        // it is refused, the setting stays as it was.
        unsafe { libc::mallopt(option, value) };
    }
}

/// The allocator's current figures.
#[cfg(target_env = "gnu")]
pub fn allocated() -> Option<Allocated> {
    // SAFETY: it only reads, under the allocator's own locks.
    let found = unsafe { libc::mallinfo2() };
    Some(Allocated { used_bytes: found.uordblks + found.hblkhd, free_bytes: found.fordblks })
}

#[cfg(target_env = "gnu")]
fn give_back() {
    // SAFETY: it returns free pages, under the allocator's own locks.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators have their own rules.
#[cfg(not(target_env = "gnu"))]
pub fn begin() {}

/// Not known.
#[cfg(not(target_env = "gnu"))]
pub fn allocated() -> Option<Allocated> {
    None
}

#[cfg(not(target_env = "gnu"))]
fn give_back() {}

/// Checks for as long as the agent lives.
pub(super) async fn tend() {
    let mut watermark = Watermark::default();
    loop {
        if allocated().is_some_and(|found| watermark.is_passed(found.free_bytes)) {
            give_back();
        }
        code::unmap();
        tokio::time::sleep(INTERVAL).await;
    }
}

/// How much was free when memory was last returned, or the lowest value since then: returned pages
/// still count as free.
#[derive(Debug, Default)]
struct Watermark {
    free_bytes: usize,
}

impl Watermark {
    fn is_passed(&mut self, free_bytes: usize) -> bool {
        let is_passed = free_bytes >= self.free_bytes + FREED_BYTES_MIN;
        if is_passed || free_bytes < self.free_bytes {
            self.free_bytes = free_bytes;
        }
        is_passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_each_burst() {
        let mut watermark = Watermark::default();
        let mib = |count: usize| count * 1024 * 1024;
        assert!(watermark.is_passed(mib(8)), "what starting took");
        assert!(!watermark.is_passed(mib(8)), "at rest");
        assert!(!watermark.is_passed(mib(8) + 1_000));
        assert!(!watermark.is_passed(mib(2)), "a burst takes it again");
        assert!(watermark.is_passed(mib(20)), "and is over");
        assert!(!watermark.is_passed(mib(20)));
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn what_lies_between_things_that_stay_is_given_back() {
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").expect("it is Linux");
            let pages =
                statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
            pages.expect("the second number") * 4096
        };
        begin();
        let mut kept = Vec::new();
        let mut freed = Vec::new();
        // Each of these contains whole pages, and none is mapped separately.
        for _ in 0..1_000 {
            freed.push(vec![1_u8; 40_000]);
            kept.push(Box::new([1_u8; 64]));
        }
        let before = resident();
        drop(freed);
        give_back();
        let after = resident();
        assert!(before.saturating_sub(after) > 20_000_000, "{before} then {after}");
        assert_eq!(kept.len(), 1_000);
    }
}
