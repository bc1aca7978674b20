//! Comma-separated fields with Docker's rules: a field in double quotes may contain commas, and a
//! quote in it is written twice.

/// A quote that is not closed, or one in the middle of a bare field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a double quote stands alone: quote a whole field, like '\"volume-label=a=b,c\"'")]
pub struct BadQuote;

/// Splits one line.
pub fn fields(text: &str) -> Result<Vec<String>, BadQuote> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                if field.contains('"') {
                    return Err(BadQuote);
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(BadQuote),
        }
    }
}

fn quoted_field(text: &str) -> Result<(String, &str), BadQuote> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"').ok_or(BadQuote)?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_field_holds_commas_and_quotes() {
        for (text, expected) in [
            ("a,b=c", &["a", "b=c"][..]),
            ("", &[""]),
            ("a,", &["a", ""]),
            (r#"a,"b=c,d","e""f""#, &["a", "b=c,d", "e\"f"]),
        ] {
            assert_eq!(fields(text).expect(text), expected);
        }
        for text in ["\"a", "a\"b", "\"a\"b", "\"a,b"] {
            assert_eq!(fields(text), Err(BadQuote), "{text}");
        }
    }
}
