//! `WWW-Authenticate`: what a registry wants to see before it answers (RFC 9110, 11.6.1; the
//! token part is Docker's). Pure text, and never more than the one challenge that is understood.

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token of somebody else.
    Bearer {
        /// Where tokens are given out.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what, if it says.
        scope: Option<String>,
    },
}

/// Reads one header; `None` if it asks for something else.
pub fn parse(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    let mut rest = rest;
    while let Some((name, value, tail)) = parameter(rest) {
        match name.to_ascii_lowercase().as_str() {
            "realm" => realm = Some(value),
            "service" => service = Some(value),
            "scope" => scope = Some(value),
            _ => {}
        }
        rest = tail;
    }
    Some(Challenge::Bearer { realm: realm?, service, scope })
}

/// `name="value", …`: the first, and what follows it.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.trim_start_matches([' ', ',']).split_once('=')?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => return Some((name.trim(), value, &quoted[at + 1..])),
                '\\' => value.push(chars.next()?.1),
                c => value.push(c),
            }
        }
        return None;
    }
    let (value, rest) = rest.split_once(',').unwrap_or((rest, ""));
    Some((name.trim(), value.trim().to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_service_is_read_with_its_scope() {
        let header = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;
        let scope = Some("repository:a/b:pull,push".to_owned());
        let service = Some("registry.example".to_owned());
        let realm = "https://auth.example/token".to_owned();
        assert_eq!(parse(header), Some(Challenge::Bearer { realm, service, scope }));
    }

    #[test]
    fn basic_is_understood_and_the_rest_is_not() {
        assert_eq!(parse(r#"Basic realm="x""#), Some(Challenge::Basic));
        assert_eq!(parse("basic"), Some(Challenge::Basic));
        for junk in ["", "Negotiate", "Bearer", "Bearer realm=\"", "Bearer service=\"x\""] {
            assert_eq!(parse(junk), None, "{junk}");
        }
    }

    #[test]
    fn quotes_may_be_escaped_and_left_out() {
        let header = r#"bearer realm=https://a/t, service="a\"b""#;
        let service = Some("a\"b".to_owned());
        let realm = "https://a/t".to_owned();
        assert_eq!(parse(header), Some(Challenge::Bearer { realm, service, scope: None }));
    }
}
