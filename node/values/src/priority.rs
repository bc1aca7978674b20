//! Priorities of services.

/// Reads `10` or `-1`.
pub fn priority(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| {
        "a priority is a whole number, by default 0, and higher ones come first: write it like 10 \
         or -1"
            .to_owned()
    })
}
