//! The `filters` parameter: `{"name": ["web"]}`, or `{"name": {"web": true}}` of older clients.
//!
//! Values of one filter are alternatives; different filters must all hold. A filter that an
//! endpoint does not know is refused, as in Docker: if it were ignored, the answer would be wrong.

use std::collections::BTreeMap;

use crdt_state::spec::Labels;
use serde::Deserialize;

use super::failure::Failure;

/// Filters of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

impl Filters {
    /// Reads the parameter; `known` are the filters of the endpoint.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Filters, Failure> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(Filters::default());
        };
        let sent: BTreeMap<String, Values> = serde_json::from_str(text).map_err(|_| {
            Failure::Bad(format!("filters: `{text}` is not an object of lists of texts"))
        })?;
        if let Some(name) = sent.keys().find(|name| !known.contains(&name.as_str())) {
            let known = known.join(", ");
            return Err(Failure::Bad(format!("invalid filter '{name}'; there are: {known}")));
        }
        let values = |values| match values {
            Values::List(list) => list,
            Values::Set(set) => set.into_iter().filter(|(_, on)| *on).map(|(v, _)| v).collect(),
        };
        Ok(Filters(sent.into_iter().map(|(name, sent)| (name, values(sent))).collect()))
    }

    /// Is the filter absent, or does one of its values hold?
    pub fn holds(&self, name: &str, test: impl Fn(&str) -> bool) -> bool {
        match self.0.get(name) {
            Some(values) if !values.is_empty() => values.iter().any(|value| test(value)),
            _ => true,
        }
    }

    /// Refuses values of a filter other than these words.
    pub fn check(&self, name: &str, words: &[&str]) -> Result<(), Failure> {
        match self.values(name).find(|value| !words.contains(value)) {
            Some(value) => Err(Failure::Bad(format!(
                "invalid filter '{name}={value}'; there are: {}",
                words.join(", ")
            ))),
            None => Ok(()),
        }
    }

    /// The values of a filter.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Does the request use this filter?
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|values| !values.is_empty())
    }

    /// Are all requested labels present: `key`, or `key=value`?
    pub fn labels_hold(&self, name: &str, labels: &Labels) -> bool {
        self.0.get(name).is_none_or(|wanted| wanted.iter().all(|label| has_label(labels, label)))
    }

    /// Is none of the requested labels present: `key`, or `key=value`?
    pub fn labels_are_absent(&self, name: &str, labels: &Labels) -> bool {
        !self.values(name).any(|label| has_label(labels, label))
    }
}

fn has_label(labels: &Labels, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
        None => labels.contains_key(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_dockers_clients_are_read() {
        let list = Filters::parse(Some(r#"{"name": ["a", "b"]}"#), &["name"]);
        let set =
            Filters::parse(Some(r#"{"name": {"a": true, "b": true, "c": false}}"#), &["name"]);
        assert_eq!(list, set);
        assert!(list.expect("filters").holds("name", |name| name == "b"));
    }

    #[test]
    fn labels_are_asked_for_and_excluded() {
        let text = r#"{"label": ["tier"], "label!": ["keep", "tier=db"]}"#;
        let filters = Filters::parse(Some(text), &["label", "label!"]).expect("filters");
        let holds = |labels: &[(&str, &str)]| {
            let pairs = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let labels: Labels = pairs.collect();
            filters.labels_hold("label", &labels) && filters.labels_are_absent("label!", &labels)
        };
        assert!(holds(&[("tier", "web")]));
        for labels in [&[][..], &[("tier", "db")], &[("tier", "web"), ("keep", "")]] {
            assert!(!holds(labels), "{labels:?}");
        }
    }

    #[test]
    fn an_absent_filter_holds() {
        let filters = Filters::parse(None, &[]).expect("filters");
        assert!(filters.holds("name", |_| false));
        assert!(filters.labels_hold("label", &Labels::new()));
    }

    #[test]
    fn an_unknown_filter_is_refused_with_those_there_are() {
        let refused = Filters::parse(Some(r#"{"nmae": ["a"]}"#), &["id", "name"]);
        let message = refused.expect_err("refused").to_string();
        assert!(message.contains("nmae") && message.contains("id, name"), "{message}");
        assert!(Filters::parse(Some("{"), &[]).is_err());
    }

    #[test]
    fn all_labels_must_be_there() {
        let labels: Labels = [("zone".to_owned(), "a".to_owned())].into();
        let holds = |json: &str| {
            let filters = Filters::parse(Some(json), &["label"]).expect("filters");
            filters.labels_hold("label", &labels)
        };
        assert!(holds(r#"{"label": ["zone"]}"#));
        assert!(holds(r#"{"label": ["zone=a"]}"#));
        assert!(!holds(r#"{"label": ["zone=a", "rack"]}"#));
        assert!(!holds(r#"{"label": ["zone=b"]}"#));
    }
}
