//! What this node offers for `--generic-resource`. Devices that it cannot offer are warnings of the
//! agent.

use node_docker::node::Node;
use node_docker::system::Info;

use super::Outcome;
use crate::service::placement::in_words;

pub(super) fn check(info: &Info, nodes: &[Node]) -> Outcome {
    let own = nodes.iter().find(|node| node.id == info.swarm.node_id);
    let offered = own.map(|node| in_words(&node.description.resources.generic_resources));
    Outcome::Ok(match offered {
        Some(offered) if !offered.is_empty() => format!("offers {}", offered.join(", ")),
        _ => "offers none".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use node_docker::task_spec::{GenericResource, NamedResource};

    use super::*;

    #[test]
    fn only_this_node_s_own_are_listed() {
        let mut info = Info::default();
        info.swarm.node_id = "b".to_owned();
        let node = |id: &str, name: &str| {
            let mut node = Node { id: id.to_owned(), ..Node::default() };
            let named = NamedResource { kind: "serial".to_owned(), value: name.to_owned() };
            node.description.resources.generic_resources = vec![GenericResource {
                discrete_resource_spec: None,
                named_resource_spec: Some(named),
            }];
            node
        };
        let nodes = [node("a", "usb-A"), node("b", "usb-B")];
        assert_eq!(check(&info, &nodes), Outcome::Ok("offers serial usb-B".to_owned()));
        assert_eq!(check(&Info::default(), &nodes), Outcome::Ok("offers none".to_owned()));
    }
}
