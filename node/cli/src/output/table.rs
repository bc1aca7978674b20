//! Columns without borders, as in Docker's tables.

use comfy_table::{ContentArrangement, Row, presets};

/// Between two columns, as in Docker.
const BLANKS: u16 = 3;

/// Rows of cells, aligned by column and three blanks apart.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new() -> Table {
        Table::default()
    }

    /// Adds a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The aligned lines, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        self.aligned(BLANKS)
    }

    /// The aligned lines for a terminal of this width. If they are too long, columns with only a
    /// heading are removed first, then blanks, then the rightmost text.
    pub fn lines_within(&self, width: usize) -> Vec<String> {
        let fits = |lines: &Vec<String>| lines.iter().all(|line| line.chars().count() <= width);
        let whole = self.lines();
        if fits(&whole) {
            return whole;
        }
        let filled = self.without_empty_columns();
        let tries = (1..=BLANKS).rev().map(|blanks| filled.aligned(blanks));
        let narrow = || filled.aligned(1).iter().map(|line| cut(line, width)).collect();
        tries.into_iter().find(fits).unwrap_or_else(narrow)
    }

    fn without_empty_columns(&self) -> Table {
        let is_filled = |column: usize| {
            self.rows.iter().skip(1).any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()))
        };
        let kept = |row: &Vec<String>| {
            let cells = row.iter().enumerate().filter(|(column, _)| is_filled(*column));
            cells.map(|(_, cell)| cell.clone()).collect()
        };
        Table { rows: self.rows.iter().map(kept).collect() }
    }

    fn aligned(&self, blanks: u16) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        for row in &self.rows {
            let empty = (row.len()..columns).map(|_| String::new());
            table.add_row(Row::from(row.iter().cloned().chain(empty)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, blanks));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// A line cut to this many characters, and marked if it was longer.
pub fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_three_blanks_apart() {
        let mut table = Table::new();
        table.row(["ID", "NAME"]);
        table.row(["0123456789", "web"]);
        table.row(["a"]);
        assert_eq!(table.lines(), ["ID           NAME", "0123456789   web", "a"]);
    }

    #[test]
    fn on_a_narrow_terminal_empty_columns_go_first() {
        let mut table = Table::new();
        table.row(["ID", "ERROR", "NAME"]);
        table.row(["0123456789", "", "web"]);
        assert_eq!(
            table.lines_within(80),
            ["ID           ERROR   NAME", "0123456789           web"]
        );
        assert_eq!(table.lines_within(17), ["ID           NAME", "0123456789   web"]);
        assert_eq!(table.lines_within(16), ["ID          NAME", "0123456789  web"]);
        assert_eq!(table.lines_within(12), ["ID         …", "0123456789 …"]);
    }

    #[test]
    fn wide_characters_take_two_places() {
        let mut table = Table::new();
        table.row(["名", "x"]);
        table.row(["ab", "y"]);
        assert_eq!(table.lines(), ["名   x", "ab   y"]);
    }
}
