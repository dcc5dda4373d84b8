//! What is asked for, as the API takes it: from flags or from a file. What is wrong with it the API says.

use super::RequestError;
use super::args::{CreateArgs, WhatArgs};
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::Path;
use tandem_crds::{Purpose, RequestType};

/// The longest file that is read, in bytes; the API reads less.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Why a file does not say what is asked for.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is neither YAML nor JSON.
    #[error("{file}, line {line}, column {column}: {why}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// It is YAML or JSON, but no map of fields.
    #[error(
        "{file}: {found} is no request: fields are wanted, such as `type: Create`; tandem request create --help shows them"
    )]
    Shape {
        /// The file.
        file: String,
        /// What it holds.
        found: &'static str,
    },
    /// It is longer than any request.
    #[error("{file}: it is longer than {LONGEST} bytes, which no request is")]
    TooLong {
        /// The file.
        file: String,
    },
}

/// The body of the call.
///
/// # Errors
/// Where the file cannot be read, or is none.
pub fn body(args: &CreateArgs) -> Result<Value, RequestError> {
    let Some(path) = &args.file else { return Ok(flags(&args.what)) };
    let (input, name): (Box<dyn Read>, String) = if path == Path::new("-") {
        (Box::new(std::io::stdin()), "standard input".to_owned())
    } else {
        let file = std::fs::File::open(path);
        let file = file.map_err(|source| RequestError::File { path: path.clone(), source })?;
        (Box::new(file), path.display().to_string())
    };
    let mut bytes = Vec::new();
    let read = input.take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|source| RequestError::File { path: path.clone(), source })?;
    if bytes.len() as u64 > LONGEST {
        return Err(FileError::TooLong { file: name }.into());
    }
    Ok(parsed(&bytes, &name)?)
}

/// Reads a file's text.
fn parsed(bytes: &[u8], file: &str) -> Result<Value, FileError> {
    let syntax =
        |line: usize, column: usize, why: String| FileError::Syntax { file: file.to_owned(), line, column, why };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        syntax(line, column, "it is not UTF-8; save it as UTF-8".to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // JSON is YAML, but for tabs. Read as YAML first: that says where a field is given twice.
    let read = if text.trim_start().starts_with('{') && text.contains('\t') {
        serde_json::from_str(text)
            .map_err(|error| syntax(error.line(), error.column(), without_place(&error.to_string())))
    } else {
        yaml(text).map_err(|error| {
            let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
            syntax(line, column, without_place(&error.to_string()))
        })
    };
    match read? {
        Value::Object(mut fields) => {
            if let Some(quota) = fields.get_mut("quota") {
                amounts_as_text(quota);
            }
            Ok(Value::Object(fields))
        }
        Value::Null => Err(FileError::Shape { file: file.to_owned(), found: "an empty file" }),
        Value::Array(_) => Err(FileError::Shape { file: file.to_owned(), found: "a list" }),
        _ => Err(FileError::Shape { file: file.to_owned(), found: "a single value" }),
    }
}

fn yaml(text: &str) -> Result<Value, serde_yaml::Error> {
    let once: serde_yaml::Value = serde_yaml::from_str(text)?;
    if once.is_null() {
        return Ok(Value::Null);
    }
    serde_yaml::from_str(text)
}

/// The parsers name the place behind what is wrong; here it stands before it.
fn without_place(told: &str) -> String {
    told.split(" at line ").next().unwrap_or(told).to_owned()
}

/// `cpu: 4` is as good as `cpu: "4"`: to whoever writes YAML it is the same.
fn amounts_as_text(quota: &mut Value) {
    for field in ["cpu", "memory", "storage"] {
        if let Some(amount) = quota.get_mut(field).filter(|amount| amount.is_number()) {
            *amount = Value::String(amount.to_string());
        }
    }
}

/// What the flags say. Nothing is added that was not given.
fn flags(what: &WhatArgs) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    let text = |value: &Option<String>| value.clone().map(Value::String);
    put("type", what.kind.map(|kind| json!(RequestType::from(kind))));
    put("unit", text(&what.unit));
    put("environment", text(&what.environment));
    put(
        "displayName",
        what.display_name.as_ref().map(|zh| {
            let mut names = Map::from_iter([("zh".to_owned(), json!(zh))]);
            names.extend(what.display_name_en.as_ref().map(|en| ("en".to_owned(), json!(en))));
            Value::Object(names)
        }),
    );
    put("purpose", what.purpose.map(|purpose| json!(Purpose::from(purpose))));
    let mut quota = Map::new();
    for (name, amount) in [("cpu", &what.cpu), ("memory", &what.memory), ("storage", &what.storage)] {
        quota.extend(text(amount).map(|amount| (name.to_owned(), amount)));
    }
    quota.extend(what.pods.map(|pods| ("pods".to_owned(), json!(pods))));
    put("quota", (!quota.is_empty()).then_some(Value::Object(quota)));
    put("securityProfile", text(&what.security_profile));
    put("until", text(&what.until));
    put("reason", text(&what.reason));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::super::args::{PurposeArg, TypeArg};
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn flags_make_a_body_of_what_was_given() {
        let what = WhatArgs {
            kind: Some(TypeArg::Create),
            environment: some("health-new"),
            cpu: some("4"),
            memory: some("8Gi"),
            storage: some("100Gi"),
            pods: Some(20),
            display_name: some("卫健新业务"),
            display_name_en: some("Health, new"),
            purpose: Some(PurposeArg::Test),
            security_profile: some("level-3"),
            until: some("2027-06-30T00:00:00Z"),
            reason: some("registration opens"),
            unit: None,
        };
        assert_eq!(
            flags(&what),
            json!({
                "type": "Create",
                "environment": "health-new",
                "displayName": {"zh": "卫健新业务", "en": "Health, new"},
                "purpose": "Test",
                "quota": {"cpu": "4", "memory": "8Gi", "storage": "100Gi", "pods": 20},
                "securityProfile": "level-3",
                "until": "2027-06-30T00:00:00Z",
                "reason": "registration opens",
            })
        );
        let what = WhatArgs {
            kind: Some(TypeArg::Delete),
            environment: some("health-old"),
            reason: some("x"),
            ..WhatArgs::default()
        };
        assert_eq!(flags(&what), json!({"type": "Delete", "environment": "health-old", "reason": "x"}));
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let wanted = json!({"type": "Resize", "environment": "health-prod", "reason": "winter",
            "quota": {"cpu": "8", "memory": "32Gi", "storage": "0.5", "pods": 60}});
        for text in [
            "type: Resize\nenvironment: health-prod\nreason: winter\nquota: {cpu: 8, memory: 32Gi, storage: 0.5, pods: 60}\n",
            "\u{feff}{\"type\": \"Resize\", \"environment\": \"health-prod\", \"reason\": \"winter\",
              \"quota\": {\"cpu\": \"8\", \"memory\": \"32Gi\", \"storage\": \"0.5\", \"pods\": 60}}",
            "{\n\t\"type\": \"Resize\",\n\t\"environment\": \"health-prod\", \"reason\": \"winter\",
              \"quota\": {\"cpu\": 8, \"memory\": \"32Gi\", \"storage\": 0.5, \"pods\": 60}}",
        ] {
            assert_eq!(parsed(text.as_bytes(), "f").unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn the_example_of_the_help_can_be_read() {
        let help = super::super::args::CREATE_EXAMPLES;
        let (_, example) = help.split_once("NewRequest):\n").unwrap();
        let body = parsed(example.as_bytes(), "help").unwrap();
        assert_eq!(body["displayName"], json!({"zh": "卫健新业务", "en": "Health, new"}));
        assert_eq!(body["quota"]["cpu"], "4");
        let wide = |text: &str| text.lines().filter(|line| line.chars().count() > 100).count();
        assert_eq!((wide(help), wide(super::super::args::REQUEST_EXAMPLES)), (0, 0), "wider lines are broken anywhere");
    }

    #[test]
    fn what_is_wrong_with_a_file_names_file_and_line() {
        let told = |text: &[u8]| parsed(text, "request.yaml").unwrap_err().to_string();
        for (text, place) in [
            (b"type: Create\nreason: [a\nunit: b\n".as_slice(), "request.yaml, line 3"),
            (b"type: Create\n  environment: a\n", "request.yaml, line 2"),
            (b"type: Create\nreason: a\nreason: b\n", "request.yaml, line 1"),
            (b"{\n\t\"type\": \"Create\",\n\t\"unit\" \"b\"\n}", "request.yaml, line 3"),
            (b"type: Create\nreason: \xff\n", "request.yaml, line 2, column 9"),
            (b"", "request.yaml: an empty file"),
            (b"# nothing\n", "request.yaml: an empty file"),
            (b"- type: Create\n", "request.yaml: a list"),
            (b"Create\n", "request.yaml: a single value"),
        ] {
            let told = told(text);
            assert!(told.starts_with(place), "{told}");
            assert_eq!(told.matches("line ").count(), place.matches("line ").count(), "{told}");
        }
        assert!(told(b"a: 1\n---\nb: 2\n").contains("more than one document"), "{}", told(b"a: 1\n---\nb: 2\n"));
        assert!(told(b"reason: a\nreason: b\n").contains("reason"), "a field that is given twice is named");
    }
}
