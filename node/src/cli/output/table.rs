//! Columns without borders, as Docker's tables are.

use comfy_table::{ContentArrangement, Row, presets};

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
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        for row in &self.rows {
            let empty = (row.len()..columns).map(|_| String::new());
            table.add_row(Row::from(row.iter().cloned().chain(empty)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 3));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
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
    fn wide_characters_take_two_places() {
        let mut table = Table::new();
        table.row(["名", "x"]);
        table.row(["ab", "y"]);
        assert_eq!(table.lines(), ["名   x", "ab   y"]);
    }
}
