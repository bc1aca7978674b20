//! `WWW-Authenticate`: the credentials that a registry requires (RFC 9110, 11.6.1; the token part
//! is Docker's). Pure text: no request is sent. One header may hold several challenges.

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

/// The challenges of one header, in its order; others than these are left out.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut found: Vec<Raw> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() && after.is_empty() {
            break;
        }
        let blank = [' ', '\t'];
        match after.trim_start_matches(blank).strip_prefix('=') {
            // Blanks around the sign are bad, and to be read.
            Some(after) => {
                let Some((value, after)) = value(after.trim_start_matches(blank)) else { break };
                if let Some(raw) = found.last_mut() {
                    raw.parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            None => {
                found.push(Raw { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                rest = after;
            }
        }
    }
    found.iter().filter_map(Raw::understood).collect()
}

/// The one to answer: a token is worth less to a thief than a password.
pub fn preferred(challenges: Vec<Challenge>) -> Option<Challenge> {
    let token = |challenge: &Challenge| matches!(challenge, Challenge::Bearer { .. });
    let at = challenges.iter().position(token).unwrap_or(0);
    challenges.into_iter().nth(at)
}

struct Raw {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Raw {
    fn understood(&self) -> Option<Challenge> {
        let of = |wanted: &str| {
            let found = self.parameters.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone())
        };
        match self.scheme.as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => {
                let (realm, service, scope) = (of("realm")?, of("service"), of("scope"));
                Some(Challenge::Bearer { realm, service, scope })
            }
            _ => None,
        }
    }
}

/// `"value"` or `value`, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
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
        assert_eq!(parse(header), [Challenge::Bearer { realm, service, scope }]);
    }

    #[test]
    fn basic_is_understood_and_the_rest_is_not() {
        assert_eq!(parse(r#"Basic realm="x""#), [Challenge::Basic]);
        assert_eq!(parse("basic"), [Challenge::Basic]);
        let long = "=".repeat(10_000);
        let none =
            ["", "Negotiate", "Bearer", "Bearer realm=\"", "Bearer service=\"x\"", "=", ",", &long];
        for junk in none {
            assert_eq!(parse(junk), [], "{junk}");
        }
    }

    #[test]
    fn quotes_may_be_escaped_and_left_out() {
        let header = r#"bearer realm=https://a/t, service="a\"b""#;
        let service = Some("a\"b".to_owned());
        let realm = "https://a/t".to_owned();
        assert_eq!(parse(header), [Challenge::Bearer { realm, service, scope: None }]);
    }

    #[test]
    fn blanks_around_the_sign_are_read() {
        let service = Some("two words".to_owned());
        let bearer = Challenge::Bearer { realm: "https://a/t".to_owned(), service, scope: None };
        for header in [
            "Bearer realm = \"https://a/t\" , service=\t\"two words\"",
            "Bearer  realm =https://a/t,service= \"two words\",",
        ] {
            assert_eq!(parse(header), std::slice::from_ref(&bearer), "{header}");
        }
    }

    #[test]
    fn each_challenge_of_a_header_is_read_and_a_token_is_preferred() {
        let realm = "https://a/t".to_owned();
        let bearer = Challenge::Bearer { realm, service: None, scope: None };
        let header = r#"Negotiate YWJj==, Basic realm="a, b=c", Bearer realm="https://a/t""#;
        assert_eq!(parse(header), [Challenge::Basic, bearer.clone()]);
        assert_eq!(preferred(parse(header)), Some(bearer));
        assert_eq!(preferred(parse(r#"Basic realm="x", charset="UTF-8""#)), Some(Challenge::Basic));
        assert_eq!(preferred(Vec::new()), None);
    }
}
