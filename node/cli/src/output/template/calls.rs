//! Which functions a template calls. Go refuses a name that it does not know when it reads the
//! template; the engine does when it gets there, which may be never: without rows, and behind an
//! `{{if}}` that does not hold.

use gotmpl::parse::{CommandNode, Expr, ListNode, Node, Parser, PipeNode};

use super::functions;
use crate::output::nearest;

/// Says in a sentence which function there is not. What is no template at all is left to the engine.
pub fn check(source: &str) -> Result<(), String> {
    let Ok((list, defined)) = Parser::new(source, "{{", "}}").and_then(Parser::parse) else {
        return Ok(());
    };
    let known = functions::names();
    let bodies = defined.iter().map(|define| &define.body).chain([&list]);
    let Some(unknown) = bodies.map(|body| of_list(body, &known)).find_map(|found| found) else {
        return Ok(());
    };
    let near = nearest(unknown, known.iter().copied());
    let ends = near.map_or_else(
        || format!("there are {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    Err(format!("there is no function {unknown}; {ends}"))
}

/// The first name in it that is no function.
fn of_list<'a>(list: &'a ListNode, known: &[&str]) -> Option<&'a str> {
    list.nodes.iter().find_map(|node| of_node(node, known))
}

fn of_node<'a>(node: &'a Node, known: &[&str]) -> Option<&'a str> {
    match node {
        Node::Action(action) => of_pipe(&action.pipe, known),
        Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
            let behind = branch.else_body.as_ref();
            of_pipe(&branch.pipe, known)
                .or_else(|| of_list(&branch.body, known))
                .or_else(|| behind.and_then(|behind| of_list(behind, known)))
        }
        Node::Template(call) => call.pipe.as_ref().and_then(|pipe| of_pipe(pipe, known)),
        Node::List(list) => of_list(list, known),
        Node::Define(define) => of_list(&define.body, known),
        Node::Text(_) | Node::Break(_) | Node::Continue(_) => None,
    }
}

fn of_pipe<'a>(pipe: &'a PipeNode, known: &[&str]) -> Option<&'a str> {
    let args = |command: &'a CommandNode| command.args.iter();
    pipe.commands.iter().flat_map(args).find_map(|arg| of_expression(arg, known))
}

fn of_expression<'a>(expression: &'a Expr, known: &[&str]) -> Option<&'a str> {
    match expression {
        Expr::Identifier(_, name) => (!known.contains(&name.as_str())).then_some(name.as_str()),
        Expr::Pipe(_, pipe) => of_pipe(pipe, known),
        Expr::Chain(_, inner, _) => of_expression(inner, known),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_docker_and_go_is_known() {
        for name in functions::names() {
            assert_eq!(check(&format!("{{{{{name} .A .B}}}}")), Ok(()), "{name}");
        }
        assert_eq!(check("{{range $k, $v := .A}}{{$k}}{{$v.B}}{{break}}{{end}}{{true}}"), Ok(()));
        assert_eq!(
            check("{{define \"a\"}}{{nil | json}}{{end}}{{template \"a\" (len .A)}}"),
            Ok(())
        );
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
            let said = "there is no function uper; did you mean upper?";
            assert_eq!(check(text), Err(said.to_owned()), "{text}");
        }
        let said = check("{{frobnicate .A}}").expect_err("no function");
        assert!(said.contains("there are and, call, eq,") && said.contains("urlquery"), "{said}");
    }
}
