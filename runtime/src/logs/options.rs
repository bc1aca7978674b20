//! How much log is kept of a run: the options `max-size` and `max-file`, with Docker's words.

use std::collections::BTreeMap;

use crate::refusal::StartError;

/// Bounds of the log of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// A file that would grow beyond this is rotated.
    pub file_bytes_max: u64,
    /// Files, the current one included.
    pub files_max: u32,
}

/// 10 MiB in each of 3 files: 50 tasks fill at most 1.5 GB.
const FILE_BYTES_MAX: u64 = 10 << 20;
const FILES_MAX: u32 = 3;
/// The limit is low because renaming is done in order, one file after the other.
const FILES_MAX_MAX: u32 = 100;

impl LogOptions {
    /// Reads the options of a template. Returns names that only other log drivers know, for a
    /// warning.
    pub fn parse(
        options: &BTreeMap<String, String>,
    ) -> Result<(LogOptions, Vec<String>), StartError> {
        let mut parsed = LogOptions { file_bytes_max: FILE_BYTES_MAX, files_max: FILES_MAX };
        let mut unknown = Vec::new();
        for (name, value) in options {
            let refuse =
                |hint| StartError::LogOption { name: name.clone(), value: value.clone(), hint };
            match name.as_str() {
                "max-size" => {
                    let size = parse_size(value).filter(|size| *size > 0);
                    parsed.file_bytes_max =
                        size.ok_or_else(|| refuse("give a size like 500k, 10m or 1g"))?;
                }
                "max-file" => {
                    let count = value.parse().ok().filter(|n| (1..=FILES_MAX_MAX).contains(n));
                    parsed.files_max =
                        count.ok_or_else(|| refuse("give a number from 1 to 100"))?;
                }
                _ => unknown.push(name.clone()),
            }
        }
        Ok((parsed, unknown))
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str) -> Result<(LogOptions, Vec<String>), StartError> {
        LogOptions::parse(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn sizes_are_read_with_dockers_units() {
        for (text, bytes) in [("512", 512), ("1k", 1 << 10), ("10M", 10 << 20), ("2gb", 2 << 30)] {
            assert_eq!(parse("max-size", text).expect(text).0.file_bytes_max, bytes);
        }
    }

    #[test]
    fn a_wrong_value_is_refused_and_an_unknown_name_is_told() {
        for (name, value) in
            [("max-size", "0"), ("max-size", "ten"), ("max-size", "-1"), ("max-file", "0")]
        {
            assert!(parse(name, value).expect_err(value).is_permanent());
        }
        assert_eq!(parse("compress", "true").expect("kept").1, ["compress"]);
    }
}
