//! The engine does not say in which line a template fails. So every action of a template is preceded
//! by one that notes its line.

use gotmpl::parse::{
    ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, Pos,
};

/// The function that notes a line. No template can call it: it is no name that templates may use.
pub const NOTE: &str = "_line";

/// The template with the notes.
pub fn noted(list: ListNode) -> ListNode {
    let mut nodes = Vec::with_capacity(2 * list.nodes.len());
    for node in list.nodes {
        let pos = match &node {
            Node::Action(action) => Some(action.pos),
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => Some(branch.pos),
            Node::Template(call) => Some(call.pos),
            _ => None,
        };
        nodes.extend(pos.map(note));
        nodes.push(match node {
            Node::If(branch) => Node::If(within(branch)),
            Node::Range(branch) => Node::Range(within(branch)),
            Node::With(branch) => Node::With(within(branch)),
            Node::List(list) => Node::List(noted(list)),
            other => other,
        });
    }
    ListNode { pos: list.pos, nodes }
}

fn within(branch: BranchNode) -> BranchNode {
    let BranchNode { pos, pipe, body, else_body } = branch;
    BranchNode { pos, pipe, body: noted(body), else_body: else_body.map(noted) }
}

fn note(pos: Pos) -> Node {
    let line = i64::try_from(pos.line).unwrap_or(i64::MAX);
    let args = vec![Expr::Identifier(pos, NOTE.into()), Expr::Number(pos, Number::Int(line))];
    let commands = vec![CommandNode { pos, args }];
    let pipe = PipeNode { pos, decl: Vec::new(), commands, is_assign: false };
    Node::Action(ActionNode { pos, pipe })
}
