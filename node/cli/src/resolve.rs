//! Finds the object for what a person types: a name, an id, or the beginning of an id.

use super::client::Client;
use super::failure::Failure;
use super::output::{count, nearest};
use node_docker::node::Node;
use node_docker::service::Service;

/// An object that has an id and a name.
pub trait Named {
    /// Its kind: `service`.
    const KIND: &'static str;
    /// Its id.
    fn id(&self) -> &str;
    /// Its name.
    fn name(&self) -> &str;
    /// Does its name mean it? Not for the younger of two that were created on two sides of a
    /// partition.
    fn owns_name(&self) -> bool {
        true
    }
}

impl Named for Service {
    const KIND: &'static str = "service";
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.spec.name
    }
    fn owns_name(&self) -> bool {
        self.called() == self.spec.name
    }
}

impl Named for Node {
    const KIND: &'static str = "node";
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        &self.description.hostname
    }
}

/// Finds a service.
pub async fn service(client: &mut Client, typed: &str) -> Result<Service, Failure> {
    let services = client.get("/services").await?;
    one(typed, services)
}

/// Finds a node; `self` is the answering node.
pub async fn node(client: &mut Client, typed: &str) -> Result<Node, Failure> {
    let nodes: Vec<Node> = client.get("/nodes").await?;
    match nodes.iter().position(|node| typed == "self" && node.edge.is_me) {
        Some(me) => Ok(nodes[me].clone()),
        None => one(typed, nodes),
    }
}

/// Finds one: by its whole id, else by its name, else by the beginning of its id.
pub fn one<T: Named>(typed: &str, known: Vec<T>) -> Result<T, Failure> {
    let is_id = |item: &T| item.id() == typed;
    let is_name = |item: &T| item.name() == typed && item.owns_name();
    let is_prefix = |item: &T| !typed.is_empty() && item.id().starts_with(typed);
    let matching = |test: &dyn Fn(&T) -> bool| -> Vec<usize> {
        known.iter().enumerate().filter(|(_, item)| test(item)).map(|(at, _)| at).collect()
    };
    let tests: [&dyn Fn(&T) -> bool; 3] = [&is_id, &is_name, &is_prefix];
    for test in tests {
        match matching(test).as_slice() {
            [] => {}
            [at] => return Ok(known.into_iter().nth(*at).expect("found above")),
            several => return Err(ambiguous(typed, several.iter().map(|at| &known[*at]))),
        }
    }
    Err(unknown(typed, &known))
}

fn ambiguous<'a, T: Named + 'a>(typed: &str, several: impl Iterator<Item = &'a T>) -> Failure {
    let several: Vec<&T> = several.collect();
    let mut failure = Failure::new(format!("{typed:?} means {}", count(several.len(), T::KIND)));
    for item in several {
        failure = failure.why(format!("{} {}", item.id(), item.name()));
    }
    failure.hint("the id instead of the name, as far as it is unique")
}

fn unknown<T: Named>(typed: &str, known: &[T]) -> Failure {
    let kind = T::KIND;
    let failure = Failure::new(format!("no {kind} {typed:?}"))
        .why(format!("this node knows {}, none of this name or id", count(known.len(), kind)));
    match nearest(typed, known.iter().map(Named::name)) {
        Some(name) => failure.hint(format!("did you mean {name}?")),
        None => failure.hint(format!("edgectl {kind} ls")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use node_docker::service::ServiceSpec;

    fn services() -> Vec<Service> {
        [("aa11", "web"), ("aa22", "db"), ("bb33", "aa1"), ("cc44", "cam"), ("cc55", "cam")]
            .into_iter()
            .map(|(id, name)| Service {
                id: id.to_owned(),
                spec: ServiceSpec { name: name.to_owned(), ..ServiceSpec::default() },
                ..Service::default()
            })
            .collect()
    }

    fn found(typed: &str) -> Result<String, String> {
        one(typed, services()).map(|service| service.id).map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_id_wins_over_a_name_and_a_name_over_the_beginning_of_an_id() {
        assert_eq!(found("aa22"), Ok("aa22".to_owned()));
        assert_eq!(found("web"), Ok("aa11".to_owned()));
        assert_eq!(found("aa1"), Ok("bb33".to_owned()));
        assert_eq!(found("b"), Ok("bb33".to_owned()));
    }

    #[test]
    fn what_is_not_there_is_answered_with_the_nearest() {
        let error = found("wbe").expect_err("no such service");
        assert_eq!(
            error,
            "no service \"wbe\"\n  why: this node knows 5 services, none of this name or id\n  \
             try: did you mean web?"
        );
        assert!(found("something").expect_err("far off").ends_with("try: edgectl service ls"));
        assert!(found("").is_err());
    }

    #[test]
    fn what_means_several_lists_them() {
        let error = found("cam").expect_err("two of this name");
        assert!(error.starts_with("\"cam\" means 2 services\n  why: cc44 cam\n       cc55 cam"));
        assert!(found("aa").expect_err("two ids").starts_with("\"aa\" means 2 services"));
    }
}
