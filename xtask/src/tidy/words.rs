//! The rule about words: one word per idea, the standard term of the field. Each word of this list
//! once named something here that has another standard name. It must not appear in identifiers or
//! comments.
//!
//! Strings are not checked: they are shown to people, stored, or sent.

use super::{Finding, Source};

/// Forbidden words, each with the words to use instead.
const BANNED: [(&str, &str); 30] = [
    ("flight", "fetch"),
    ("flights", "fetches"),
    ("attendant", "supervisor"),
    ("attend", "supervise"),
    ("rung", "notified"),
    ("ringer", "notifier"),
    ("accusation", "local suspicion"),
    ("hearsay", "remote suspicion"),
    ("remains", "orphans, or is left"),
    ("patience", "timeout"),
    ("patient", "waiting"),
    ("patiently", "with a timeout"),
    ("pulse", "progress probe"),
    ("farewell", "linger time"),
    ("quarrel", "conflict"),
    ("wish", "request, target or options"),
    ("wishes", "options"),
    ("desk", "pending replies"),
    ("knock", "keep-alive, or connection attempt"),
    ("knocks", "tries to connect"),
    ("knocked", "tried to connect"),
    ("knocking", "keep-alive"),
    ("deal", "assign"),
    ("deals", "assigns"),
    ("dealing", "assigning"),
    ("depot", "request handler"),
    ("supply", "puller"),
    ("parcel", "message"),
    ("hunt", "cleanup"),
    ("retold", "reported again"),
];

/// All places in one file that contain such a word.
pub fn check(source: &Source) -> Vec<Finding> {
    let lines = source.code.iter().zip(&source.comments).enumerate();
    lines
        .flat_map(|(at, (code, comment))| {
            let found = words(code).chain(words(comment));
            let found = found.filter_map(|word| BANNED.iter().find(|(banned, _)| *banned == word));
            found.map(move |(word, instead)| (at, *word, *instead))
        })
        .map(|(at, word, instead)| Finding {
            file: source.path.clone(),
            line: at + 1,
            rule: "words",
            what: format!("`{word}`; say: {instead}"),
            why: "a reader from this field, whose English is a second language, should know every word",
        })
        .collect()
}

/// The words of a line in lower case; `BlobFetch` and `blob_fetch` are two words each.
fn words(line: &str) -> impl Iterator<Item = String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for letter in line.chars() {
        let begins = letter.is_alphabetic()
            && (!before.is_alphabetic() || letter.is_uppercase() && before.is_lowercase());
        if begins {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        check(&Source::new("a/src/b.rs", text)).len()
    }

    #[test]
    fn a_banned_word_is_found_in_names_and_comments() {
        assert_eq!(found("//! Takes a wish.\n"), 1);
        assert_eq!(found("struct BlobFlight;\nlet last_flight = FLIGHT;\n"), 3);
    }

    #[test]
    fn longer_words_and_strings_are_left_alone() {
        assert_eq!(found("//! An ideal dealer.\nlet ideal = \"no deal\";\n"), 0);
    }
}
