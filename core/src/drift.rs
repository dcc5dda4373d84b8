//! Whether an object in a cluster is still as it was rendered.
//!
//! A server adds defaults and others add labels, sidecars and annotations; that is no drift. What Tandem asks for must be
//! there. Where an addition changes the meaning (a selector, a network policy's rules, a role's), nothing may be added
//! either: a rule more in a NetworkPolicy lets somebody in.

use serde_json::{Map, Value};
use tandem_crds::Quantity;

/// Differences that are told at most; an Event has room for no more.
const MOST: usize = 8;

/// Kinds of which every field but `metadata` is Tandem's alone.
const WHOLLY_OURS: [&str; 3] = ["NetworkPolicy", "Role", "RoleBinding"];

/// Fields below which strings are quantities.
const QUANTITIES: [&str; 4] = ["resources", "requests", "limits", "hard"];

/// Fields that are a selector: one key more selects something else.
const SELECTORS: [&str; 5] = ["selector", "podSelector", "namespaceSelector", "matchLabels", "matchExpressions"];

/// Lists that a server replaces as a whole.
const ATOMIC: [&str; 9] = ["rules", "ingress", "egress", "subjects", "from", "to", "peers", "hosts", "paths"];

/// Keys by which a server tells a list's items apart.
const ITEM_KEYS: [&str; 3] = ["name", "containerPort", "port"];

/// Whether an observed object still has everything that the manifest asks for; a server's defaults and others' additions
/// do not count, except where an addition changes the meaning: in selectors, and in NetworkPolicies, Roles and
/// RoleBindings as a whole. Of `metadata` only name, namespace, labels and annotations are compared, and `apiVersion` and
/// `kind` may be missing, as they are in lists.
#[must_use]
pub fn covers(desired: &Value, observed: &Value) -> bool {
    let mut found = Differences { paths: Vec::new(), most: 1 };
    found.object(desired, observed);
    found.paths.is_empty()
}

/// The paths that differ, such as `spec.template.spec.containers[web].image`; at most 8. Empty exactly where [`covers`]
/// holds.
#[must_use]
pub fn differences(desired: &Value, observed: &Value) -> Vec<String> {
    let mut found = Differences { paths: Vec::new(), most: MOST };
    found.object(desired, observed);
    found.paths
}

/// How values are compared at some place.
#[derive(Clone, Copy, Default)]
struct Mode {
    /// Strings are quantities.
    quantities: bool,
    /// Nothing may be added.
    exact: bool,
    /// A list is compared item by item.
    atomic: bool,
}

impl Mode {
    fn below(self, key: &str) -> Self {
        Self {
            quantities: self.quantities || QUANTITIES.contains(&key),
            exact: self.exact || SELECTORS.contains(&key),
            atomic: ATOMIC.contains(&key),
        }
    }
}

struct Differences {
    paths: Vec<String>,
    most: usize,
}

impl Differences {
    fn add(&mut self, path: &str) {
        if self.paths.len() < self.most {
            self.paths.push(if path.is_empty() { ".".to_owned() } else { path.to_owned() });
        }
    }

    /// A whole Kubernetes object, or any other value.
    fn object(&mut self, desired: &Value, observed: &Value) {
        let (Value::Object(wanted), Value::Object(seen)) = (desired, observed) else {
            return self.value("", desired, observed, Mode::default());
        };
        if !(wanted.contains_key("kind") && wanted.get("metadata").is_some_and(Value::is_object)) {
            return self.value("", desired, observed, Mode::default());
        }
        let exact = wanted.get("kind").and_then(Value::as_str).is_some_and(|kind| WHOLLY_OURS.contains(&kind));
        for (key, value) in sorted(wanted) {
            let there = seen.get(key).unwrap_or(&Value::Null);
            match key.as_str() {
                "apiVersion" | "kind" if there.is_null() => {}
                "metadata" => {
                    for part in ["name", "namespace", "labels", "annotations"] {
                        let wanted = value.get(part).unwrap_or(&Value::Null);
                        let there = there.get(part).unwrap_or(&Value::Null);
                        self.value(&format!("metadata.{part}"), wanted, there, Mode::default());
                    }
                }
                _ => self.value(key, value, there, Mode { exact, ..Mode::default() }.below(key)),
            }
        }
        if exact {
            for (key, value) in sorted(seen) {
                let standard = ["apiVersion", "kind", "metadata", "status"].contains(&key.as_str());
                if !standard && !wanted.contains_key(key) && !is_empty(value) {
                    self.add(key);
                }
            }
        }
    }

    fn value(&mut self, path: &str, desired: &Value, observed: &Value, mode: Mode) {
        if self.paths.len() >= self.most {
            return;
        }
        match (desired, observed) {
            // What is empty is asked for as little as what is not mentioned.
            (desired, observed) if is_empty(desired) && (!mode.exact || is_empty(observed)) => {}
            (Value::Object(wanted), Value::Object(seen)) => self.map(path, wanted, seen, mode),
            (Value::Array(wanted), Value::Array(seen)) => self.list(path, wanted, seen, mode),
            // A server leaves empty strings out.
            (Value::String(wanted), Value::Null) if wanted.is_empty() => {}
            (Value::String(wanted), Value::String(seen)) if mode.quantities && same_amount(wanted, seen) => {}
            (desired, observed) if desired == observed => {}
            _ => self.add(path),
        }
    }

    fn map(&mut self, path: &str, wanted: &Map<String, Value>, seen: &Map<String, Value>, mode: Mode) {
        for (key, value) in sorted(wanted) {
            self.value(&joined(path, key), value, seen.get(key).unwrap_or(&Value::Null), mode.below(key));
        }
        if mode.exact {
            for (key, value) in sorted(seen) {
                if !wanted.contains_key(key) && !is_empty(value) {
                    self.add(&joined(path, key));
                }
            }
        }
    }

    fn list(&mut self, path: &str, wanted: &[Value], seen: &[Value], mode: Mode) {
        let by_key = if mode.exact || mode.atomic { None } else { item_key(wanted) };
        let below = Mode { atomic: false, ..mode };
        match by_key {
            Some(key) => {
                for item in wanted {
                    let id = &item[key];
                    let there = seen.iter().find(|candidate| candidate.get(key) == Some(id)).unwrap_or(&Value::Null);
                    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                    self.value(&format!("{path}[{id}]"), item, there, below);
                }
            }
            None if wanted.len() != seen.len() => self.add(path),
            None => {
                for (n, (item, there)) in wanted.iter().zip(seen).enumerate() {
                    self.value(&format!("{path}[{n}]"), item, there, below);
                }
            }
        }
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<(&String, &Value)> = map.iter().collect();
    fields.sort_unstable_by_key(|(key, _)| *key);
    fields
}

fn joined(path: &str, key: &str) -> String {
    if key.contains(['.', '/']) {
        format!("{path}[{key}]")
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// The key that every item has, each a value of its own.
fn item_key(items: &[Value]) -> Option<&'static str> {
    ITEM_KEYS.into_iter().find(|key| {
        items.iter().enumerate().all(|(n, item)| {
            item.get(key).is_some_and(|id| {
                (id.is_string() || id.is_number()) && !items[..n].iter().any(|before| before.get(key) == Some(id))
            })
        })
    })
}

fn same_amount(one: &str, other: &str) -> bool {
    match (Quantity::from(one).millis(), Quantity::from(other).millis()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
