//! A shell script as far as it takes to find the commands in it: words, quotes, comments, redirections, here-documents. What stands
//! inside `$(…)` stays one word.

/// The commands of a script, each as its words without their quotes. Redirections are left out.
pub(crate) fn commands(script: &str) -> Vec<Vec<String>> {
    let mut reader = Reader { rest: script.chars().collect(), at: 0, ..Reader::default() };
    reader.read();
    reader.commands
}

/// The arguments with which `tandem` is called, the program's name first; `None` for every other command.
pub(crate) fn of_tandem(command: &[String]) -> Option<Vec<String>> {
    const BEFORE: [&str; 12] = ["{", "}", "!", "if", "then", "else", "do", "while", "until", "time", "sudo", "exec"];
    let is_before = |word: &&String| BEFORE.contains(&word.as_str()) || is_assignment(word);
    let words: Vec<&String> = command.iter().skip_while(is_before).collect();
    let rest = match words.iter().map(|word| word.as_str()).collect::<Vec<_>>()[..] {
        ["tandem" | "$(command -v tandem)", ..] => &words[1..],
        ["kubectl", "tandem", ..] => &words[2..],
        _ => return None,
    };
    Some(std::iter::once("tandem".to_owned()).chain(rest.iter().map(|word| (*word).clone())).collect())
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[derive(Default)]
struct Reader {
    rest: Vec<char>,
    at: usize,
    word: Option<String>,
    command: Vec<String>,
    commands: Vec<Vec<String>>,
    /// The next word is a redirection's.
    redirected: bool,
    /// The next word ends a here-document.
    ends: bool,
    /// What ends the here-documents that begin after this line.
    documents: Vec<String>,
}

impl Reader {
    fn next(&mut self) -> Option<char> {
        let found = self.rest.get(self.at).copied();
        self.at += usize::from(found.is_some());
        found
    }

    fn is_next(&mut self, wanted: char) -> bool {
        let is = self.rest.get(self.at) == Some(&wanted);
        self.at += usize::from(is);
        is
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if std::mem::take(&mut self.ends) {
            self.documents.push(word);
        } else if !std::mem::take(&mut self.redirected) {
            self.command.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.command.is_empty() {
            self.commands.push(std::mem::take(&mut self.command));
        }
    }

    fn read(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\\' if self.is_next('\n') => {}
                '\\' => {
                    if let Some(c) = self.next() {
                        self.push(c);
                    }
                }
                '\'' => {
                    self.word.get_or_insert_default();
                    while let Some(c) = self.next().filter(|c| *c != '\'') {
                        self.push(c);
                    }
                }
                '"' => self.quoted(),
                '$' | '<' | '>' if self.is_next('(') => {
                    self.push(c);
                    self.nested();
                }
                '#' if self.word.is_none() => {
                    while self.rest.get(self.at).is_some_and(|c| *c != '\n') {
                        self.at += 1;
                    }
                }
                '\n' => {
                    self.end_command();
                    self.skip_documents();
                }
                ';' | '&' | '|' | '(' | ')' => self.end_command(),
                '<' | '>' => self.redirection(c),
                c if c.is_whitespace() => self.end_word(),
                c => self.push(c),
            }
        }
        self.end_command();
    }

    fn quoted(&mut self) {
        self.word.get_or_insert_default();
        while let Some(c) = self.next().filter(|c| *c != '"') {
            match c {
                '\\' if self.is_next('\n') => {}
                '\\' => {
                    if let Some(c) = self.next() {
                        self.push(c);
                    }
                }
                '$' if self.is_next('(') => {
                    self.push(c);
                    self.nested();
                }
                c => self.push(c),
            }
        }
    }

    /// The opening bracket has been read.
    fn nested(&mut self) {
        self.push('(');
        let mut depth = 1;
        while let Some(c) = self.next().filter(|_| depth > 0) {
            depth += i32::from(c == '(') - i32::from(c == ')');
            self.push(c);
            if depth == 0 {
                return;
            }
        }
    }

    fn redirection(&mut self, c: char) {
        // The number of a file: `2>`.
        if self.word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        let doubled = self.is_next(c);
        let here = c == '<' && doubled;
        self.ends = here && !self.is_next('<');
        self.redirected = !self.ends;
        self.is_next(if self.ends { '-' } else { '&' });
    }

    fn skip_documents(&mut self) {
        for end in std::mem::take(&mut self.documents) {
            while self.at < self.rest.len() {
                let line: String = self.rest[self.at..].iter().take_while(|c| **c != '\n').collect();
                self.at += line.chars().count() + 1;
                if line.trim() == end {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(script: &str) -> Vec<String> {
        commands(script).iter().map(|words| words.join("·")).collect()
    }

    #[test]
    fn commands_are_found_between_quotes_comments_and_redirections() {
        assert_eq!(of("a b   # c d\ne 'f; g' \"h i\" && j | k; l"), ["a·b", "e·f; g·h i", "j", "k", "l"]);
        assert_eq!(of("a \\\n  b > c 2>&1 <<< d e"), ["a·b·e"]);
        assert_eq!(of("f() { a \"$1\"; }\nb $(c | d) e"), ["f", "{·a·$1", "}", "b·$(c | d)·e"]);
        assert_eq!(of("a -d '{\"x\":\n \"y\"}' | b"), ["a·-d·{\"x\":\n \"y\"}", "b"]);
        assert_eq!(of("a <<'END' b\ntandem nonsense\nEND\nc <(d e) f"), ["a·b", "c·<(d e)·f"]);
        assert_eq!(of("a '' #b\n\n#c\nd#e"), ["a·", "d#e"]);
    }

    #[test]
    fn tandem_is_known_in_all_its_forms() {
        let of = |script: &str| commands(script).iter().filter_map(|command| of_tandem(command)).collect::<Vec<_>>();
        for script in ["tandem status", "LANG=C sudo tandem status", "kubectl tandem status", "a && { tandem status; }"]
        {
            assert_eq!(of(script), [["tandem", "status"]], "{script}");
        }
        assert_eq!(of("sudo \"$(command -v tandem)\" lab heal"), [["tandem", "lab", "heal"]]);
        assert!(of("kubectl get units; tandem-agent --group a; echo tandem").is_empty());
    }
}
