//! Markdown as far as it takes: blocks, the comments before them, links, and what links lead to.

use std::collections::{BTreeMap, BTreeSet};

/// A fenced block.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// What its fence says that it is.
    pub(crate) language: String,
    /// What stands in it.
    pub(crate) text: String,
    /// The comments right before it.
    pub(crate) notes: Vec<String>,
}

impl Block {
    /// Whether people are to type it.
    pub(crate) fn is_shell(&self) -> bool {
        ["sh", "bash", "shell", "console"].contains(&self.language.as_str())
    }
}

/// A document, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// Its fenced blocks.
    pub(crate) blocks: Vec<Block>,
    /// Its other lines, with their numbers from 1; code within them is blanked out.
    pub(crate) prose: Vec<(usize, String)>,
    /// The first lines of what is indented by four, and so is a block too.
    pub(crate) indented: Vec<(usize, String)>,
}

/// Takes a document apart.
pub(crate) fn document(text: &str) -> Document {
    let mut found = Document::default();
    let mut open: Option<(usize, Block)> = None;
    let mut notes = Vec::new();
    let mut blank = true;
    for (line, content) in (1..).zip(text.lines()) {
        let trimmed = content.trim_start();
        let ticks = trimmed.chars().take_while(|c| *c == '`').count();
        if let Some((fence, block)) = &mut open {
            if ticks >= *fence && trimmed.trim_end().chars().all(|c| c == '`') {
                found.blocks.extend(open.take().map(|(_, block)| block));
            } else {
                block.text.push_str(content);
                block.text.push('\n');
            }
        } else if ticks >= 3 {
            let language = trimmed.trim_start_matches('`').trim().to_owned();
            let block = Block { line, language, notes: std::mem::take(&mut notes), ..Block::default() };
            open = Some((ticks, block));
        } else if let Some(note) = trimmed.strip_prefix("<!--").and_then(|rest| rest.trim_end().strip_suffix("-->")) {
            notes.push(note.trim().to_owned());
        } else {
            if blank && content.starts_with("    ") && !trimmed.is_empty() {
                found.indented.push((line, trimmed.to_owned()));
            }
            if !trimmed.is_empty() {
                notes.clear();
            }
            found.prose.push((line, without_code(content)));
        }
        blank = content.trim().is_empty();
    }
    found
}

/// A line with the code in it blanked out.
fn without_code(line: &str) -> String {
    let mut kept = String::new();
    for (place, part) in line.split('`').enumerate() {
        kept.push_str(if place % 2 == 0 { part } else { "``" });
    }
    kept
}

impl Document {
    /// Where its links lead, each with its line.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (line, text) in &self.prose {
            for part in text.split("](").skip(1) {
                let target = part.split(')').next().unwrap_or_default();
                links.push((*line, target.split(' ').next().unwrap_or_default().to_owned()));
            }
        }
        links
    }
}

/// What may stand behind `#` in a link to this text: its headings as GitHub names them, and the ids that it gives by itself.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    let prose: BTreeSet<usize> = document(text).prose.into_iter().map(|(line, _)| line).collect();
    for (_, line) in (1..).zip(text.lines()).filter(|(number, _)| prose.contains(number)) {
        for part in line.split("<a id=\"").skip(1) {
            anchors.insert(part.split('"').next().unwrap_or_default().to_owned());
        }
        let level = line.chars().take_while(|c| *c == '#').count();
        let Some(heading) = line[level..].strip_prefix(' ').filter(|_| (1..=6).contains(&level)) else { continue };
        let slug = slug(heading);
        let count = counts.entry(slug.clone()).or_default();
        anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || ['-', '_', ' '].contains(c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# One: `two`, *three*\n\n<!-- run: a b -->\n<!-- not run: c -->\n\n```sh\ntandem [x](y)\n```\n\n\
        <!-- of nothing -->\nText [one](a.md#b) and `[none](c)` and [two](d \"title\").\n\n    tandem status\n    more\n\n\
        ## Again\n## Again\n<a id=\"own\"></a>\n````\n```\n````\n## 中文 标题\n";

    #[test]
    fn blocks_have_the_comments_before_them() {
        let found = document(TEXT);
        let [shell, other] = &found.blocks[..] else { panic!("{found:?}") };
        assert!(shell.is_shell() && !other.is_shell());
        assert_eq!((shell.line, shell.text.as_str()), (6, "tandem [x](y)\n"));
        assert_eq!(shell.notes, ["run: a b", "not run: c"]);
        assert_eq!((other.text.as_str(), other.notes.len()), ("```\n", 0));
        assert_eq!(found.indented, [(13, "tandem status".to_owned())]);
    }

    #[test]
    fn links_and_what_they_lead_to() {
        let links: Vec<String> = document(TEXT).links().into_iter().map(|(_, target)| target).collect();
        assert_eq!(links, ["a.md#b", "d"]);
        let anchors = anchors(TEXT);
        for anchor in ["one-two-three", "again", "again-1", "own", "中文-标题"] {
            assert!(anchors.contains(anchor), "{anchor}: {anchors:?}");
        }
        assert_eq!(anchors.len(), 5);
    }
}
