//! Code and constants in memory: of the program and its libraries, which the kernel maps from files.
//!
//! What an agent has executed once stays mapped, and fifteen neighbours of each page with it: after
//! a while most of what is mapped is not used any more. All of it is unmapped from time to time.
//! The pages stay in the page cache, as those of a file that nobody has mapped, and what is used
//! again is mapped from there by a fault of some microseconds. Data must never be touched: where a
//! mapping was written to, the file's own bytes would come back.

use std::ops::Range;

use nix::libc;

/// The tags of a dynamic section that end it, and that tell of relocations in code (ELF's
/// specification).
const DT_NULL: usize = 0;
const DT_TEXTREL: usize = 22;
const DT_FLAGS: usize = 30;
const DF_TEXTREL: usize = 4;

/// Unmaps it until it is used again.
pub(super) fn unmap() {
    for segment in segments() {
        // SAFETY: these are whole pages of a segment that the loader mapped for reading and nobody
        // writes to: what is read there afterwards comes from the same file. If it is refused,
        // nothing has changed.
        unsafe { libc::madvise(segment.start as *mut _, segment.len(), libc::MADV_DONTNEED) };
    }
}

/// The pages of segments that are never written to: neither are they data, nor does the loader
/// relocate addresses in them.
fn segments() -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    // SAFETY: the callback gets this pointer, and is not called any more afterwards.
    unsafe { libc::dl_iterate_phdr(Some(add_segments), (&raw mut found).cast()) };
    found
}

/// Adds the segments of one object, the program or a library.
unsafe extern "C" fn add_segments(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    found: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader's description is whole, and `found` is the pointer of `segments`.
    let (object, found) = unsafe { (&*object, &mut *found.cast::<Vec<Range<usize>>>()) };
    // SAFETY: the loader says how many headers there are.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    // SAFETY: it takes a number and reads a constant of the system.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let at = |address: usize| object.dlpi_addr as usize + address;
    let mut dynamic = headers.iter().filter(|header| header.p_type == libc::PT_DYNAMIC);
    // SAFETY: the loader has used this section, which an entry without a tag ends.
    if dynamic.any(|header| unsafe { has_relocated_code(at(header.p_vaddr as usize) as *const _) })
    {
        return 0;
    }
    for header in headers {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
            let start = at(header.p_vaddr as usize);
            found.push(start - start % page..start + header.p_filesz as usize);
        }
    }
    0
}

/// Has the loader written addresses into code, as few libraries need it?
///
/// # Safety
/// It must be a dynamic section: pairs of a tag and a value, of which the last has no tag.
unsafe fn has_relocated_code(mut entry: *const [usize; 2]) -> bool {
    loop {
        // SAFETY: no entry is behind the last one, where this ends.
        let ([tag, value], next) = unsafe { (*entry, entry.add(1)) };
        match tag {
            DT_NULL => return false,
            DT_TEXTREL => return true,
            DT_FLAGS if value & DF_TEXTREL != 0 => return true,
            _ => entry = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mappings of this process: their addresses, and a line of `smaps` in KiB.
    fn mappings(field: &str) -> Vec<(Range<usize>, usize)> {
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("it is Linux");
        let mut found: Vec<(Range<usize>, usize)> = Vec::new();
        for line in smaps.lines() {
            let first = line.split_whitespace().next().unwrap_or_default();
            let hex = |text: &str| usize::from_str_radix(text, 16).ok();
            let range = first.split_once('-').and_then(|(a, b)| Some(hex(a)?..hex(b)?));
            match range {
                Some(range) => found.push((range, 0)),
                None if first == field => {
                    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok());
                    found.last_mut().expect("a mapping is first").1 = kib.expect("a number");
                }
                None => {}
            }
        }
        found
    }

    fn sum(field: &str, segments: &[Range<usize>]) -> usize {
        let within = |(range, _): &&(Range<usize>, usize)| {
            segments.iter().any(|segment| segment.start < range.end && range.start < segment.end)
        };
        mappings(field).iter().filter(within).map(|(_, kib)| kib).sum()
    }

    #[test]
    fn only_what_is_used_is_mapped_again_and_nothing_that_was_written_to_is_dropped() {
        let segments = segments();
        let code = segments.iter().find(|segment| segment.contains(&(unmap as *const () as usize)));
        assert!(code.is_some(), "{segments:x?}");
        assert_eq!(sum("Anonymous:", &segments), 0, "the loader wrote to {segments:x?}");
        // Every page is used once.
        for segment in &segments {
            for at in segment.clone().step_by(4096) {
                // SAFETY: it is mapped for reading.
                std::hint::black_box(unsafe { std::ptr::read_volatile(at as *const u8) });
            }
        }
        let before = sum("Rss:", &segments);
        unmap();
        let after = sum("Rss:", &segments);
        assert!(after < before / 2, "{before} KiB, then {after} KiB");
    }
}
