//! What the actions of a template name. Go refuses a function that it does not know when it reads the
//! template; the engine does when it gets there, which may be never: without rows, and behind an
//! `{{if}}` that does not hold.

use gotmpl::parse::{DefineNode, Expr, ListNode, Node, Parser, PipeNode};

/// The functions that Go has, and the engine with it.
pub const GO: &[&str] = &[
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or",
    "print", "printf", "println", "slice", "urlquery",
];

/// A name in a template that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The line, from 1.
    pub line: usize,
    /// The name.
    pub name: String,
}

/// What `.` is where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dot {
    /// What the whole template is given.
    Whole,
    /// Something else: within `{{with}}`, `{{range}}` and `{{define}}`.
    Other,
}

/// The first function that a template calls and that is not `known`. What is no template at all is
/// left to the engine.
pub fn unknown_function(source: &str, known: &[&str]) -> Option<Unknown> {
    let (list, defined) = Parser::new(source, "{{", "}}").and_then(Parser::parse).ok()?;
    let mut found = None;
    each(&list, &defined, &mut |expression, _| {
        if let (None, Expr::Identifier(at, name)) = (&found, expression)
            && !known.contains(&name.as_str())
        {
            found = Some(Unknown { line: at.line, name: name.to_string() });
        }
    });
    found
}

/// Visits every expression of a template.
pub(super) fn each(list: &ListNode, defined: &[DefineNode], visit: &mut dyn FnMut(&Expr, Dot)) {
    of_list(list, Dot::Whole, visit);
    defined.iter().for_each(|define| of_list(&define.body, Dot::Other, visit));
}

fn of_list(list: &ListNode, dot: Dot, visit: &mut dyn FnMut(&Expr, Dot)) {
    list.nodes.iter().for_each(|node| of_node(node, dot, visit));
}

fn of_node(node: &Node, dot: Dot, visit: &mut dyn FnMut(&Expr, Dot)) {
    match node {
        Node::Action(action) => of_pipe(&action.pipe, dot, visit),
        Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
            of_pipe(&branch.pipe, dot, visit);
            let inner = if matches!(node, Node::If(_)) { dot } else { Dot::Other };
            of_list(&branch.body, inner, visit);
            branch.else_body.iter().for_each(|behind| of_list(behind, dot, visit));
        }
        Node::Template(call) => call.pipe.iter().for_each(|pipe| of_pipe(pipe, dot, visit)),
        Node::List(list) => of_list(list, dot, visit),
        Node::Define(define) => of_list(&define.body, Dot::Other, visit),
        Node::Text(_) | Node::Break(_) | Node::Continue(_) => {}
    }
}

fn of_pipe(pipe: &PipeNode, dot: Dot, visit: &mut dyn FnMut(&Expr, Dot)) {
    let args = pipe.commands.iter().flat_map(|command| &command.args);
    args.for_each(|arg| of_expression(arg, dot, visit));
}

fn of_expression(expression: &Expr, dot: Dot, visit: &mut dyn FnMut(&Expr, Dot)) {
    visit(expression, dot);
    match expression {
        Expr::Pipe(_, pipe) => of_pipe(pipe, dot, visit),
        Expr::Chain(_, inner, _) => of_expression(inner, dot, visit),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_has_is_known_and_a_value_is_no_function() {
        for name in GO {
            assert_eq!(unknown_function(&format!("{{{{{name} .A .B}}}}"), GO), None, "{name}");
        }
        for text in [
            "{{range $k, $v := .A}}{{$k}}{{$v.B}}{{break}}{{end}}{{true}}",
            "{{define \"a\"}}{{nil | len}}{{end}}{{template \"a\" (len .A)}}",
        ] {
            assert_eq!(unknown_function(text, GO), None, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_no_function_is_found_wherever_it_stands() {
        for text in [
            "{{uper .A}}",
            "{{.A | uper}}",
            "{{if .A}}{{else if uper .B}}{{end}}",
            "{{range .A}}{{with .B}}{{uper .}}{{end}}{{end}}",
            "{{if .A}}{{else}}{{uper .B}}{{end}}",
            "{{(index (uper .A) 1).B}}",
            "{{define \"a\"}}{{uper .}}{{end}}",
            "{{block \"a\" .}}{{uper .}}{{end}}",
            "{{template \"a\" (uper .A)}}",
        ] {
            let found = unknown_function(&format!("a\n{text}"), GO);
            assert_eq!(found, Some(Unknown { line: 2, name: "uper".to_owned() }), "{text}");
        }
    }
}
