//! The document as one HTML page: to be read in a minute, printed and filed. It loads nothing and runs nothing; whatever comes
//! from an object is escaped.

use std::fmt::{Display, Write};

use serde_json::Value;

use super::document::{Changed, Difference, Document, Head};
use super::rule::{Area, Place, Rule, Set, Source, Text};

/// The page's only style. It stands in the page itself; who serves the page allows it by its hash.
pub const STYLE: &str = include_str!("page.css");

/// Every rule in force, as a page.
#[must_use]
pub fn document(document: &Document) -> String {
    let Document { head, rules } = document;
    let mut page = Page::begin(head, &Text::new("Rules in force", "生效规则"));
    let loose = rules.iter().filter(|rule| !rule.enforced).count();
    page.facts(&[
        (Text::new("Security profile", "安全配置"), values(rules, "protection.profile")),
        (Text::new("Highest MLPS level", "最高等级"), values(rules, "protection.level")),
        (Text::new("Rules", "规则数"), format!("{} ({loose} not enforced 未强制执行)", rules.len())),
    ]);
    page.notes(&head.notes);
    for area in Area::ALL {
        let within: Vec<&Rule> = rules.iter().filter(|rule| rule.area == area).collect();
        page.table(&area.title(), &within);
    }
    page.end()
}

/// What has changed, as a page.
#[must_use]
pub fn difference(difference: &Difference) -> String {
    let Difference { head, against, added, removed, changed } = difference;
    let mut page = Page::begin(head, &Text::new("Rules that changed", "规则变更"));
    page.facts(&[
        (Text::new("Compared with", "对比版本"), format!("{} (revision {})", against.at, against.revision)),
        (Text::new("Added", "新增"), added.len().to_string()),
        (Text::new("Removed", "取消"), removed.len().to_string()),
        (Text::new("Changed", "变更"), changed.len().to_string()),
    ]);
    page.notes(&head.notes);
    if difference.is_empty() {
        page.paragraph(&Text::new("Nothing has changed since then.", "自该时点以来规则没有变化。"));
    }
    page.table(&Text::new("Added", "新增"), &added.iter().collect::<Vec<_>>());
    page.table(&Text::new("Removed", "取消"), &removed.iter().collect::<Vec<_>>());
    page.changes(changed);
    page.end()
}

/// A text with what markup means taken out of it.
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The values of a rule in all places, for the head of the page.
fn values(rules: &[Rule], id: &str) -> String {
    let all: std::collections::BTreeSet<String> =
        rules.iter().filter(|rule| rule.id == id).map(|rule| plain(&rule.value)).collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

struct Page(String);

impl Page {
    fn begin(head: &Head, title: &Text) -> Self {
        let mut page = Self(String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"));
        let whose = head.environment.as_ref().unwrap_or(&head.unit);
        page.write(format_args!("<title>{} · {}</title><style>", Escaped(&title.en), Escaped(whose)));
        page.0.push_str(STYLE);
        page.0.push_str("</style></head>\n<body><main>");
        let name = &head.display_name;
        page.write(format_args!("<h1>{} <span lang=\"zh\">{}</span></h1>\n", Escaped(&title.en), Escaped(&title.zh)));
        let (en, zh) = (name.en.as_deref().unwrap_or_default(), &name.zh);
        page.write(format_args!("<p class=\"whose\"><strong>{}</strong> {}", Escaped(&head.unit), Escaped(en)));
        page.write(format_args!(" <span lang=\"zh\">{}</span>", Escaped(zh)));
        if let Some(environment) = &head.environment {
            page.write(format_args!(" · environment 环境 <strong>{}</strong>", Escaped(environment)));
        }
        page.write(format_args!(" · read at 读取时间 {}</p>\n", Escaped(head.read_at)));
        page
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.0.write_fmt(text);
    }

    fn end(mut self) -> String {
        self.0.push_str("</main></body></html>\n");
        self.0
    }

    fn facts(&mut self, facts: &[(Text, String)]) {
        self.0.push_str("<dl>");
        for (what, value) in facts {
            self.write(format_args!("<div><dt>{}</dt><dd>{}</dd></div>", both(what), Escaped(value)));
        }
        self.0.push_str("</dl>\n");
    }

    fn paragraph(&mut self, text: &Text) {
        self.write(format_args!("<div>{}</div>\n", both(text)));
    }

    fn notes(&mut self, notes: &[Text]) {
        for note in notes {
            self.write(format_args!("<div class=\"note\">{}</div>\n", both(note)));
        }
    }

    fn table(&mut self, title: &Text, rules: &[&Rule]) {
        if rules.is_empty() {
            return;
        }
        self.open(title);
        for rule in rules {
            self.row(rule, None);
        }
        self.0.push_str("</tbody></table>\n");
    }

    fn changes(&mut self, changes: &[Changed]) {
        if changes.is_empty() {
            return;
        }
        self.open(&Text::new("Changed", "变更"));
        for change in changes {
            self.row(&change.rule, Some(&change.said));
        }
        self.0.push_str("</tbody></table>\n");
    }

    fn open(&mut self, title: &Text) {
        self.write(format_args!("<h2>{} <span lang=\"zh\">{}</span></h2>\n", Escaped(&title.en), Escaped(&title.zh)));
        self.0.push_str("<table><thead><tr>");
        for (en, zh) in
            [("Rule", "规则"), ("What it says", "内容"), ("Where", "适用范围"), ("Set by", "设定"), ("MLPS", "等保")]
        {
            self.write(format_args!("<th>{en} <span lang=\"zh\">{zh}</span></th>"));
        }
        self.0.push_str("</tr></thead><tbody>\n");
    }

    fn row(&mut self, rule: &Rule, said: Option<&Text>) {
        self.write(format_args!(
            "<tr><th scope=\"row\">{}<code>{}</code></th><td>",
            both(&rule.title),
            Escaped(&rule.id)
        ));
        if !rule.enforced {
            self.0.push_str("<p class=\"loose\">not enforced <span lang=\"zh\">未强制执行</span></p>");
        }
        self.write(format_args!("{}", both(&rule.sentence)));
        if let Some(said) = said {
            self.write(format_args!("<p class=\"was\">before 此前</p>{}", both(said)));
        }
        self.0.push_str("</td><td>");
        for place in &rule.places {
            self.write(format_args!("<p>{}</p>", Escaped(at(place))));
        }
        self.write(format_args!("</td><td>{}</td><td>", setter(rule)));
        for control in &rule.controls {
            self.write(format_args!("<p>{}</p>", Escaped(control)));
        }
        self.0.push_str("</td></tr>\n");
    }
}

fn both(text: &Text) -> String {
    format!("<p>{}</p><p lang=\"zh\">{}</p>", Escaped(&text.en), Escaped(&text.zh))
}

fn at(place: &Place) -> String {
    match (&place.environment, &place.application) {
        (Some(environment), Some(application)) => format!("{environment}/{application}"),
        (Some(environment), None) => environment.clone(),
        (None, _) => place.unit.clone(),
    }
}

fn setter(rule: &Rule) -> String {
    let mut text = match &rule.set {
        Set::BuiltIn => return both(&Text::new("built into Tandem", "Tandem 内置")),
        Set::BeforeVersions => both(&Text::new("before versions were kept", "早于版本记录")),
        Set::Known { by, since, revision, request, oldest } => {
            let mut text = format!("<p><strong>{}</strong></p><p>{}", Escaped(by), Escaped(since));
            if *oldest {
                text.push_str(" or earlier 或更早");
            }
            let _ = write!(text, "</p><p>revision {revision}");
            if let Some(request) = request.as_ref().filter(|request| !by.contains(request.as_str())) {
                let _ = write!(text, " · request 申请 {}", Escaped(request));
            }
            text.push_str("</p>");
            text
        }
    };
    let Source { kind, namespace, name, field } = &rule.source;
    let name: Vec<&str> = namespace.iter().chain(name).map(String::as_str).collect();
    let (name, field) = (name.join("/"), field.as_deref().unwrap_or_default());
    let _ = write!(text, "<code>{} {}: {}</code>", Escaped(kind), Escaped(name), Escaped(field));
    text
}
