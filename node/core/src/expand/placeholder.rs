//! The placeholders of a text, read once. `{{.Task.Slot}}`, `{{index .Service.Labels "tier"}}`, and
//! `{{"…"}}` for braces that are meant for the program itself.

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder<'a> {
    /// `.Service.ID`
    ServiceId,
    /// `.Service.Name`
    ServiceName,
    /// `.Service.Labels.tier`, or `index .Service.Labels "tier"`
    ServiceLabel(&'a str),
    /// `.Node.ID`
    NodeId,
    /// `.Node.Hostname`
    NodeHostname,
    /// `.Task.ID`
    TaskId,
    /// `.Task.Name`
    TaskName,
    /// `.Task.Slot`
    TaskSlot,
    /// `"text"`: itself, not expanded.
    Literal(&'a str),
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it is.
    Text(&'a str),
    /// To be filled in.
    Filled(Placeholder<'a>),
}

/// A placeholder that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{{{{{0}}}}}` is not a placeholder; there are .Service.ID, .Service.Name, \
     index .Service.Labels \"NAME\", .Node.ID, .Node.Hostname, .Task.ID, .Task.Name and .Task.Slot; \
     write {{{{\"{{{{\"}}}} for braces of the program's own"
)]
pub struct NoSuchPlaceholder(pub String);

/// Splits a text. Braces that are not closed are text.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, NoSuchPlaceholder> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("{{") {
        let Some(end) = end_of(tail) else { break };
        let inside = tail[..end].trim();
        let unknown = || NoSuchPlaceholder(inside.to_owned());
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Filled(read(inside).ok_or_else(unknown)?));
        rest = &tail[end + 2..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Where `}}` stands that is not within quotes.
fn end_of(tail: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in tail.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '`') => quote = Some(c),
            None if tail[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

fn read(inside: &str) -> Option<Placeholder<'_>> {
    Some(match inside {
        ".Service.ID" => Placeholder::ServiceId,
        ".Service.Name" => Placeholder::ServiceName,
        ".Node.ID" => Placeholder::NodeId,
        ".Node.Hostname" => Placeholder::NodeHostname,
        ".Task.ID" => Placeholder::TaskId,
        ".Task.Name" => Placeholder::TaskName,
        ".Task.Slot" => Placeholder::TaskSlot,
        other => match other.strip_prefix(".Service.Labels.") {
            Some(label) if !label.is_empty() && !label.contains(char::is_whitespace) => {
                Placeholder::ServiceLabel(label)
            }
            Some(_) => return None,
            None => match other.strip_prefix("index") {
                Some(of) => {
                    let of = of.strip_prefix(char::is_whitespace)?.trim_start();
                    let label = of.strip_prefix(".Service.Labels")?;
                    Placeholder::ServiceLabel(quoted(label.trim_start())?)
                }
                None => Placeholder::Literal(quoted(other)?),
            },
        },
    })
}

/// The text between two quotes, without escapes.
fn quoted(text: &str) -> Option<&str> {
    let open = text.chars().next().filter(|c| matches!(c, '"' | '`'))?;
    let inside = text[1..].strip_suffix(open)?;
    let is_plain = !inside.contains(open) && (open == '`' || !inside.contains('\\'));
    is_plain.then_some(inside)
}
