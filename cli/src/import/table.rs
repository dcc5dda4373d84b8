//! From text to a table: the delimiter, the header line, and cells with their places.

use super::headers::{Column, recognise};
use super::problem::{Place, Problem, counted};
use std::collections::BTreeMap;
use std::fmt;

/// What separates cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// Tab.
    Tab,
}

impl Delimiter {
    fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comma => "commas",
            Self::Semicolon => "semicolons",
            Self::Tab => "tabs",
        })
    }
}

/// One line (or several, where a quoted cell has line breaks) of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The line on which it begins, counted from 1.
    pub line: u64,
    cells: Vec<String>,
}

/// A table with known columns.
#[derive(Clone, Debug)]
pub struct Table {
    /// What separates cells.
    pub delimiter: Delimiter,
    /// The rows that have as many cells as the header.
    pub records: Vec<Record>,
    columns: BTreeMap<Column, (usize, String)>,
}

impl Table {
    /// Reads a table. What is wrong with single rows goes to `problems`, and such a row is left with the cells it has.
    ///
    /// # Errors
    /// When no header line can be made sense of: a quote is never closed, a required column is missing, or a
    /// column stands there twice.
    pub fn read(text: &str, required: &[Column], problems: &mut Vec<Problem>) -> Result<Self, Vec<Problem>> {
        let (text, skipped, told) = separator_line(text);
        let delimiter = told.unwrap_or_else(|| detect(text));
        if let Some(line) = unclosed_quote(text, delimiter.byte()) {
            return Err(vec![Problem::fatal(
                Place::line(line + skipped),
                "a quotation mark opens here and is never closed.",
                "Close the cell with \", and write a quotation mark inside a cell twice (\"\").",
            )]);
        }
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter.byte())
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let mut rows = Vec::new();
        // The reader counts lines from the end of the record before; lines left empty in between are not the record's.
        let lines = LineStarts::new(text);
        for record in reader.records() {
            let record = record.map_err(|error| {
                let line = error.position().map_or(1, csv::Position::line);
                vec![Problem::fatal(Place::line(line + skipped), format!("{error}."), "Save the file as CSV again.")]
            })?;
            let offset = record.position().map_or(0, |position| position.byte());
            let line = lines.first_with_text(usize::try_from(offset).unwrap_or(0)) + skipped;
            let cells: Vec<String> = record.iter().map(|cell| cell.trim().to_owned()).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                rows.push(Record { line, cells });
            }
        }
        let mut rows = rows.into_iter();
        let Some(header) = rows.next() else {
            return Err(vec![Problem::fatal(Place::file(), "there is no header line.", "Give a header line.")]);
        };
        let columns = read_header(&header, required, problems)?;
        let mut records: Vec<Record> = rows.collect();
        check_widths(header.cells.len(), &mut records, problems);
        Ok(Self { delimiter, records, columns })
    }

    /// A cell's text, without white space around it; empty where the column or the cell is not there.
    #[must_use]
    pub fn cell<'a>(&self, record: &'a Record, column: Column) -> &'a str {
        self.columns.get(&column).and_then(|(index, _)| record.cells.get(*index)).map_or("", String::as_str)
    }

    /// The place of a cell.
    #[must_use]
    pub fn place(&self, line: u64, column: Column) -> Place {
        Place { line: Some(line), column: self.columns.get(&column).map(|(index, header)| (index + 1, header.clone())) }
    }

    /// The header of a column as it stands in the file, where it is there.
    #[must_use]
    pub fn header(&self, column: Column) -> Option<&str> {
        self.columns.get(&column).map(|(_, header)| header.as_str())
    }
}

fn read_header(
    header: &Record,
    required: &[Column],
    problems: &mut Vec<Problem>,
) -> Result<BTreeMap<Column, (usize, String)>, Vec<Problem>> {
    let mut columns: BTreeMap<Column, (usize, String)> = BTreeMap::new();
    let mut fatal = Vec::new();
    for (index, text) in header.cells.iter().enumerate() {
        let place = Place { line: Some(header.line), column: Some((index + 1, text.clone())) };
        match recognise(text) {
            None if text.is_empty() => {}
            None => problems.push(Problem::warning(
                place,
                "this column is not known and is left out.",
                "Nothing to do, unless it should mean something: see `tandem import --columns`.",
            )),
            Some(column) => match columns.get(&column) {
                Some((first, other)) => fatal.push(Problem::fatal(
                    place,
                    format!("it means the same as column {} \"{other}\".", first + 1),
                    "Keep one of them, or give the other a header of its own.",
                )),
                None => {
                    columns.insert(column, (index, text.clone()));
                }
            },
        }
    }
    let missing: Vec<String> =
        required.iter().filter(|column| !columns.contains_key(column)).map(|column| column.recommended()).collect();
    if !missing.is_empty() {
        let found: Vec<String> = header.cells.iter().map(|text| format!("\"{text}\"")).collect();
        fatal.push(Problem::fatal(
            Place::line(header.line),
            format!("required columns are missing: {}. Found: {}.", missing.join(", "), found.join(", ")),
            "Name the columns so, in Chinese or in English; `tandem import --columns` lists all headers that are known.",
        ));
    }
    if fatal.is_empty() { Ok(columns) } else { Err(fatal) }
}

/// Reports rows with too many or too few cells, and fills the latter up.
fn check_widths(width: usize, records: &mut [Record], problems: &mut Vec<Problem>) {
    for (index, record) in records.iter_mut().enumerate() {
        let filled = record.cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        if filled > width || record.cells.len() < width {
            problems.push(Problem::rows(
                Place::line(record.line),
                vec![index],
                format!("the row has {}, the header {width}.", counted(record.cells.len(), "cell")),
                "Give every row as many cells as the header; put a cell that holds the delimiter between quotation marks.",
            ));
        }
        record.cells.resize(width, String::new());
    }
}

/// The line `sep=;` that Excel honours, taken off; how many lines that were, and what it says.
fn separator_line(text: &str) -> (&str, u64, Option<Delimiter>) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.trim_end_matches('\r') {
        "sep=," => (rest, 1, Some(Delimiter::Comma)),
        "sep=;" => (rest, 1, Some(Delimiter::Semicolon)),
        "sep=\t" => (rest, 1, Some(Delimiter::Tab)),
        _ => (text, 0, None),
    }
}

/// The delimiter that stands most often in the header line, outside quotation marks.
fn detect(text: &str) -> Delimiter {
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    let count = |delimiter: Delimiter| {
        let mut quoted = false;
        header
            .bytes()
            .filter(|byte| {
                quoted ^= *byte == b'"';
                !quoted && *byte == delimiter.byte()
            })
            .count()
    };
    let mut best = Delimiter::Comma;
    for delimiter in [Delimiter::Semicolon, Delimiter::Tab] {
        if count(delimiter) > count(best) {
            best = delimiter;
        }
    }
    best
}

/// The line on which a cell's quotation mark opens that is never closed; the reader would swallow the rest of the file.
fn unclosed_quote(text: &str, delimiter: u8) -> Option<u64> {
    let (mut line, mut opened, mut quoted, mut at_start) = (1, 1, false, true);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\n' {
            line += 1;
        }
        if quoted {
            if byte == b'"' && bytes.next_if_eq(&b'"').is_none() {
                quoted = false;
            }
        } else if byte == b'"' && at_start {
            (quoted, opened) = (true, line);
        }
        at_start = !quoted && (byte == delimiter || matches!(byte, b'\n' | b'\r'));
    }
    quoted.then_some(opened)
}

/// Where lines begin.
struct LineStarts<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineStarts<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The line (from 1) of the first byte from an offset on that is no line break.
    fn first_with_text(&self, offset: usize) -> u64 {
        let breaks = self.text.as_bytes().iter().skip(offset).take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        self.starts.partition_point(|start| *start <= offset + breaks) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: &[Column] = &[Column::Unit, Column::System];

    fn read(text: &str) -> (Result<Table, Vec<Problem>>, Vec<Problem>) {
        let mut problems = Vec::new();
        let table = Table::read(text, REQUIRED, &mut problems);
        (table, problems)
    }

    #[test]
    fn delimiters_are_detected() {
        for (text, delimiter) in [
            ("unit,system\na,b\n", Delimiter::Comma),
            ("unit;system\r\na;b\r\n", Delimiter::Semicolon),
            ("unit\tsystem\na\tb", Delimiter::Tab),
            ("sep=;\nunit;system\na;b", Delimiter::Semicolon),
            ("\"unit;,;\";\"system\"\na;b", Delimiter::Semicolon),
        ] {
            let (table, _) = read(&text.replace("unit;,;", "unit"));
            let table = table.unwrap();
            assert_eq!(table.delimiter, delimiter, "{text}");
            assert_eq!(table.cell(&table.records[0], Column::System), "b");
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts() {
        let (table, problems) = read("sep=,\r\n\r\nunit,system\r\n\r\n\r\na,\"b\r\nc\"\r\n,\r\nd,e\r\n");
        let lines: Vec<u64> = table.unwrap().records.iter().map(|record| record.line).collect();
        assert_eq!(lines, [6, 9]);
        assert_eq!(problems, []);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_found() {
        let (table, _) = read("unit,system\na,b\nc,\"d\ne,f\n");
        let problems = table.unwrap_err();
        assert_eq!(problems[0].place, Place::line(3));
    }

    #[test]
    fn rows_of_another_width_are_reported() {
        let (table, problems) = read("unit,system\na\nb,c,d\ne,f,\n");
        assert_eq!(table.unwrap().records.len(), 3);
        assert_eq!(problems.iter().map(|p| p.place.line).collect::<Vec<_>>(), [Some(2), Some(3)]);
    }

    #[test]
    fn missing_and_double_columns_are_refused() {
        let (table, problems) = read("单位代码,备注,unit\n");
        let fatal = table.unwrap_err();
        assert_eq!(problems.len(), 1, "the unknown column is a warning");
        assert!(fatal.iter().any(|p| p.what.contains("\"系统代码\" (system code)") && p.what.contains("\"备注\"")));
        assert!(fatal.iter().any(|p| p.what.contains("same as column 1 \"单位代码\"")));
    }
}
