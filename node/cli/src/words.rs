//! Splits a command line in one text as a shell does: blanks, quotes, backslashes, comments.
//! Nothing is expanded.

/// The words of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

/// The text ends inside quotes, or with a backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a quote is not closed, or a backslash is the last character")]
pub struct OpenQuote;

/// Splits a text.
pub fn split(text: &str) -> Result<Words, OpenQuote> {
    shlex::split(text).map(Words).ok_or(OpenQuote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        for (text, words) in [
            ("httpd -f", &["httpd", "-f"][..]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            (r#"a\ b "c\"d" 'e\f'"#, &["a b", "c\"d", r"e\f"]),
            ("a''b ''", &["ab", ""]),
            ("  ", &[]),
            ("a#b # a comment", &["a#b"]),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(split(text), Ok(Words(words)), "{text}");
        }
        for cut in ["a 'b", "a \"b", "a\\"] {
            assert_eq!(split(cut), Err(OpenQuote), "{cut}");
        }
    }
}
