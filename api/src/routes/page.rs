//! Lists: what may be asked of them (`limit`, `continue`, filters), and the page that answers. Pure.

use crate::problem::{Fault, FieldFault, Problem};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use std::collections::BTreeMap;

/// How many objects a page has where nothing is asked.
const USUAL: usize = 100;
/// The most that a page has.
pub(crate) const MOST: usize = 500;

/// Something that a list can be filtered by.
pub(crate) struct Filter<K> {
    /// The query parameter.
    pub(crate) name: &'static str,
    /// The values that there are, where they are few.
    pub(crate) values: &'static [&'static str],
    /// The object's value.
    pub(crate) of: fn(&K) -> Option<String>,
}

/// What is asked of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    limit: usize,
    after: Option<(String, String)>,
    filters: BTreeMap<String, String>,
}

/// Reads a query. What is not known is refused rather than passed over: a filter with a slip in it would show everything.
pub(crate) fn asked<K>(pairs: Vec<(String, String)>, filters: &[Filter<K>]) -> Result<Asked, Problem> {
    let mut asked = Asked { limit: USUAL, after: None, filters: BTreeMap::new() };
    let mut faults = Vec::new();
    let mut seen = BTreeMap::new();
    for (field, value) in pairs {
        let fault = if seen.insert(field.clone(), ()).is_some() {
            Some(Fault::Twice)
        } else if field == "limit" {
            match value.parse() {
                Ok(limit) if (1..=MOST).contains(&limit) => {
                    asked.limit = limit;
                    None
                }
                _ => Some(Fault::Range { least: 1, most: MOST as u64 }),
            }
        } else if field == "continue" {
            asked.after = decode(&value);
            asked.after.is_none().then_some(Fault::Continue)
        } else {
            match filters.iter().find(|filter| filter.name == field) {
                Some(filter) if filter.values.is_empty() || filter.values.contains(&value.as_str()) => {
                    asked.filters.insert(field.clone(), value);
                    None
                }
                Some(filter) => Some(Fault::Value { known: filter.values.to_vec() }),
                None => {
                    let known = ["limit", "continue"].into_iter().chain(filters.iter().map(|filter| filter.name));
                    Some(Fault::Unknown { known: known.collect() })
                }
            }
        };
        faults.extend(fault.map(|fault| FieldFault { field, fault }));
    }
    if faults.is_empty() { Ok(asked) } else { Err(Problem::Invalid(faults)) }
}

/// One page, by environment and name, and where the next one begins.
pub(crate) fn page<K: Resource, I: for<'a> From<&'a K>>(
    objects: impl IntoIterator<Item = impl AsRef<K>>,
    asked: &Asked,
    filters: &[Filter<K>],
) -> (Vec<I>, Option<String>) {
    let (found, next) = page_by(objects, asked, filters, key);
    (found.iter().map(|object| I::from(object.as_ref())).collect(), next)
}

/// The same in an order of their own: no two may stand in the same place, and each keeps its place from page to page.
pub(crate) fn page_by<K, O: AsRef<K>>(
    objects: impl IntoIterator<Item = O>,
    asked: &Asked,
    filters: &[Filter<K>],
    place: fn(&K) -> (String, String),
) -> (Vec<O>, Option<String>) {
    let mut found: Vec<_> = objects
        .into_iter()
        .filter(|object| {
            filters.iter().all(|filter| match asked.filters.get(filter.name) {
                Some(wanted) => (filter.of)(object.as_ref()).as_ref() == Some(wanted),
                None => true,
            })
        })
        .map(|object| (place(object.as_ref()), object))
        .filter(|(key, _)| asked.after.as_ref().is_none_or(|after| key > after))
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let more = found.len() > asked.limit;
    found.truncate(asked.limit);
    let next = found.last().filter(|_| more).map(|(key, _)| encode(key));
    (found.into_iter().map(|(_, object)| object).collect(), next)
}

fn key<K: Resource>(object: &K) -> (String, String) {
    let metadata = object.meta();
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn encode((namespace, name): &(String, String)) -> String {
    URL_SAFE_NO_PAD.encode(format!("1/{namespace}/{name}"))
}

fn decode(text: &str) -> Option<(String, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (namespace, name) = text.strip_prefix("1/")?.split_once('/')?;
    Some((namespace.to_owned(), name.to_owned()))
}

/// The values of filters that are yes or no.
pub(crate) const YES_NO: &[&str] = &["true", "false"];

/// Whether an object is in order everywhere, as a filter's value.
pub(crate) fn ready(conditions: Option<&[Condition]>) -> Option<String> {
    let ready = conditions.into_iter().flatten().find(|condition| condition.type_ == tandem_crds::status::READY);
    Some(ready.is_some_and(|condition| condition.status == "True").to_string())
}

/// A value as it stands in the object.
pub(crate) fn text(value: impl serde::Serialize) -> Option<String> {
    match serde_json::to_value(value).ok()? {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Null => None,
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::testing::{application, unit};
    use crate::views::{ApplicationItem, UnitItem};
    use std::sync::Arc;
    use tandem_crds::{Application, Unit};

    const FILTERS: &[Filter<Unit>] =
        &[Filter { name: "level", values: &["City", "County"], of: |unit| text(unit.spec.level) }];

    fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
        query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn pages_together_are_the_list_each_object_once() {
        let units: Vec<Arc<Unit>> = ["d", "a", "c", "e", "b"].into_iter().map(|name| Arc::new(unit(name))).collect();
        let (mut names, mut next) = (Vec::new(), None::<String>);
        let mut pages = 0;
        loop {
            let mut query = pairs(&[("limit", "2")]);
            query.extend(next.take().map(|next| ("continue".to_owned(), next)));
            let asked = asked(query, FILTERS).unwrap();
            let (items, after) = page::<Unit, UnitItem>(units.clone(), &asked, FILTERS);
            names.extend(items.into_iter().map(|item| item.life.name));
            pages += 1;
            match after {
                Some(after) => next = Some(after),
                None => break,
            }
        }
        assert_eq!((names.join(""), pages), ("abcde".to_owned(), 3));
    }

    #[test]
    fn a_page_that_is_exactly_full_is_the_last() {
        let asked = asked(pairs(&[("limit", "2")]), FILTERS).unwrap();
        let units = ["a", "b"].map(|name| Arc::new(unit(name)));
        assert_eq!(page::<Unit, UnitItem>(units, &asked, FILTERS).1, None);
    }

    #[test]
    fn what_came_and_went_meanwhile_does_not_disturb_the_next_page() {
        let asked = asked(vec![("continue".to_owned(), encode(&(String::new(), "b".to_owned())))], FILTERS).unwrap();
        let units = ["a", "c"].map(|name| Arc::new(unit(name)));
        let (items, _) = page::<Unit, UnitItem>(units, &asked, FILTERS);
        assert_eq!(items.iter().map(|item| item.life.name.as_str()).collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn one_name_in_two_environments_is_two_objects() {
        let none: &[Filter<Application>] = &[];
        let applications = ["b", "a"].map(|environment| Arc::new(application(environment, "portal", "g")));
        let first = asked(pairs(&[("limit", "1")]), none).unwrap();
        let (items, next) = page::<Application, ApplicationItem>(applications.clone(), &first, none);
        assert_eq!(items[0].life.environment.as_deref(), Some("a"));
        let second = asked(vec![("continue".to_owned(), next.unwrap())], none).unwrap();
        let (items, next) = page::<Application, ApplicationItem>(applications, &second, none);
        assert_eq!((items[0].life.environment.as_deref(), next), (Some("b"), None));
    }

    #[test]
    fn filters_leave_what_fits() {
        let mut county = unit("b");
        county.spec.level = tandem_crds::UnitLevel::County;
        let asked = asked(pairs(&[("level", "County")]), FILTERS).unwrap();
        let (items, _) = page::<Unit, UnitItem>([Arc::new(unit("a")), Arc::new(county)], &asked, FILTERS);
        assert_eq!(items.iter().map(|item| item.life.name.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn every_field_that_is_wrong_is_named() {
        let query =
            pairs(&[("limit", "0"), ("continue", "garbage"), ("level", "Village?"), ("lable", "x"), ("limit", "5")]);
        let Err(Problem::Invalid(faults)) = asked(query, FILTERS) else { panic!("taken") };
        let named: Vec<(&str, bool)> =
            faults.iter().map(|fault| (fault.field.as_str(), fault.fault == Fault::Twice)).collect();
        let wanted = [("limit", false), ("continue", false), ("level", false), ("lable", false), ("limit", true)];
        assert_eq!(named, wanted);
        for limit in ["501", "-1", "many", ""] {
            assert!(asked(pairs(&[("limit", limit)]), FILTERS).is_err(), "{limit}");
        }
        assert!(asked(pairs(&[("limit", "500")]), FILTERS).is_ok());
    }
}
