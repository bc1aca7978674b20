//! `-f/--filter KEY=VALUE`: values of one key are alternatives, except labels, which all must hold;
//! different keys must all hold. As in Docker.

use std::collections::BTreeMap;

use super::client;
use super::failure::Failure;
use super::output::nearest;

/// Parsed filters, with keys that the listing knows.
#[derive(Debug, Default)]
pub struct Filters {
    values: BTreeMap<String, Vec<String>>,
}

impl Filters {
    /// Parses what was typed; `known` are the keys of this listing.
    pub fn parse(typed: &[String], known: &[&str]) -> Result<Filters, Failure> {
        let mut filters = Filters::default();
        for filter in typed {
            let Some((key, value)) = filter.split_once('=') else {
                return Err(Failure::new(format!("--filter: {filter:?} has no \"=\""))
                    .hint(format!("--filter {}=VALUE", known[0])));
            };
            let (key, value) = (key.trim().to_lowercase(), value.trim());
            if !known.contains(&key.as_str()) {
                let failure = Failure::new(format!("--filter: unknown key {key:?}"))
                    .why(format!("this listing has {}", known.join(", ")));
                return Err(match nearest(&key, known.iter().copied()) {
                    Some(near) => failure.hint(format!("--filter {near}={value}")),
                    None => failure,
                });
            }
            filters.values.entry(key).or_default().push(value.to_owned());
        }
        Ok(filters)
    }

    /// All of them as a query for the agent, `?filters=…`, for listings that it filters; empty
    /// without any.
    pub fn query(&self) -> String {
        let pairs = self
            .values
            .iter()
            .flat_map(|(key, values)| values.iter().map(|value| (key.as_str(), value.as_str())));
        match pairs.collect::<Vec<_>>().as_slice() {
            [] => String::new(),
            pairs => format!("?{}", client::filters(pairs)),
        }
    }

    /// Does one of the values of `key` fit? Also true without any value.
    pub fn any(&self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        self.values.get(key).is_none_or(|values| values.iter().any(|value| fits(value)))
    }

    /// Refuses values of `key` other than these words.
    pub fn check(&self, key: &str, words: &[&str]) -> Result<(), Failure> {
        let typed = self.values.get(key).into_iter().flatten();
        match typed.into_iter().find(|value| !words.contains(&value.as_str())) {
            Some(value) => Err(Failure::new(format!("--filter: {key} is never {value:?}"))
                .why(format!("there are {}", words.join(", ")))
                .hint(format!("--filter {key}={}", words[0]))),
            None => Ok(()),
        }
    }

    /// Are all labels that `key` requests present? `name` or `name=value`.
    pub fn labels(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        self.values.get(key).is_none_or(|wanted| {
            wanted.iter().all(|wanted| match wanted.split_once('=') {
                Some((name, value)) => labels.get(name).is_some_and(|held| held == value),
                None => labels.contains_key(wanted),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &[&str]) -> Result<Filters, Failure> {
        let typed: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
        Filters::parse(&typed, &["id", "label", "name"])
    }

    #[test]
    fn values_of_a_key_are_alternatives_and_labels_must_all_hold() {
        let filters = parse(&["name=web", "name=db", "label=a", "label=b=1"]).expect("valid");
        assert!(filters.any("name", |name| name == "db"));
        assert!(!filters.any("name", |name| name == "cam"));
        assert!(filters.any("id", |_| false), "not asked for");
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        assert!(filters.labels("label", &labels(&[("a", ""), ("b", "1")])));
        assert!(!filters.labels("label", &labels(&[("b", "1")])));
        assert!(!filters.labels("label", &labels(&[("a", ""), ("b", "2")])));
    }

    #[test]
    fn the_agent_gets_all_values_of_a_key() {
        let query = parse(&["name=web", "name=db", "label=a=1"]).expect("valid").query();
        let asked = percent_encoding::percent_decode_str(&query).decode_utf8_lossy();
        assert_eq!(asked, r#"?filters={"label":["a=1"],"name":["web","db"]}"#);
        assert_eq!(parse(&[]).expect("valid").query(), "");
    }

    #[test]
    fn a_key_that_the_listing_does_not_know_is_an_error() {
        let failure = parse(&["nmae=web"]).expect_err("unknown").to_string();
        assert!(failure.contains("try: --filter name=web"), "{failure}");
        assert!(parse(&["name"]).is_err());
    }
}
