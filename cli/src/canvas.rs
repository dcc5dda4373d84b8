//! The last lines of a terminal, drawn anew.

use console::Term;

/// The last lines of a terminal.
#[derive(Debug)]
pub(crate) struct Canvas {
    term: Term,
    /// Lines drawn last, to be drawn over.
    drawn: usize,
}

impl Canvas {
    /// Of standard output, where that is a terminal.
    pub(crate) fn of_stdout() -> Option<Self> {
        let term = Term::stdout();
        term.is_term().then_some(Self { term, drawn: 0 })
    }

    /// How many lines, and columns, there is room for. A line that wraps, or that has left the screen, could not be drawn over.
    pub(crate) fn room(&self) -> (usize, usize) {
        let (height, width) = self.term.size();
        (usize::from(height.max(10)) - 1, usize::from(width.max(40)) - 1)
    }

    /// Draws these lines over those that were drawn last, as far as there is room.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        let (height, width) = self.room();
        let lines = &lines[..lines.len().min(height)];
        let mut text = String::new();
        for line in lines {
            text.push_str(&console::truncate_str(line, width, "…"));
            text.push('\n');
        }
        // A terminal that has gone away is no error of ours.
        let _ = self.term.clear_last_lines(self.drawn).and_then(|()| self.term.write_str(&text));
        self.drawn = lines.len();
    }

    /// Leaves what is drawn where it is: something else was written below it.
    pub(crate) fn leave(&mut self) {
        self.drawn = 0;
    }
}
