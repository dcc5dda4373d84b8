//! What was put back and is not written down yet: it waits in memory, so that putting back never waits for the arbiter. See
//! `docs/adr/0010-drift-is-told-after-the-put-back.md`.

use super::ObjectName;
use jiff::Timestamp;
use kube::api::DynamicObject;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tandem_core::audit::{Actor, Writer};
use tandem_core::findings::Drift;
use tokio::sync::Notify;

/// How many wait at most. The oldest makes room.
const MOST: usize = 1_000;

/// An object that was put back, and who had changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBack {
    /// What became of it.
    pub drift: Drift,
    /// Who had changed it.
    pub actor: Actor,
}

impl PutBack {
    /// What was put back at `now`, where `observed` is the object as it was found before; `None` where it was gone.
    #[must_use]
    pub fn new(name: &ObjectName, observed: Option<&DynamicObject>, fields: &[String], now: Timestamp) -> Self {
        let managed = observed.and_then(|object| object.metadata.managed_fields.as_deref());
        let writer = Writer::since_the_operator(managed.unwrap_or_default());
        let drift = Drift {
            kind: name.kind.clone(),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            by: writer.manager().to_owned(),
            fields: fields.to_vec(),
            first: now,
            last: now,
            times: 1,
        };
        // A replica's name is of no use here: the operator has not changed it.
        Self { drift, actor: writer.actor("") }
    }

    /// Whether both are of one object that one program changed: they can be told as one.
    fn is_like(&self, other: &Self) -> bool {
        let about = |put_back: &Self| {
            let Drift { kind, namespace, name, .. } = &put_back.drift;
            (kind.clone(), namespace.clone(), name.clone())
        };
        self.actor == other.actor && about(self) == about(other)
    }
}

/// What waits, oldest first.
#[derive(Debug, Default)]
struct Waiting {
    put_back: VecDeque<PutBack>,
}

impl Waiting {
    /// Takes one in. Gives back the oldest where there is no room for both.
    fn add(&mut self, new: PutBack, most: usize) -> Option<PutBack> {
        if let Some(known) = self.put_back.iter_mut().find(|known| known.is_like(&new)) {
            known.drift = known.drift.clone().and(&new.drift);
            return None;
        }
        self.put_back.push_back(new);
        if self.put_back.len() > most { self.put_back.pop_front() } else { None }
    }

    /// Takes one in again that could not be told. It is the oldest, so that it is the one for which there is no room.
    fn give_back(&mut self, old: PutBack, most: usize) -> Option<PutBack> {
        if let Some(newer) = self.put_back.iter_mut().find(|newer| newer.is_like(&old)) {
            newer.drift = old.drift.and(&newer.drift);
            return None;
        }
        if self.put_back.len() >= most {
            return Some(old);
        }
        self.put_back.push_front(old);
        None
    }
}

/// What was put back and is not told yet. Cloning gives another handle to the same.
#[derive(Clone, Debug, Default)]
pub struct Untold {
    waiting: Arc<Mutex<Waiting>>,
    added: Arc<Notify>,
}

impl Untold {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has one wait. Gives back the one that will never be told for that, if any.
    #[must_use]
    pub fn add(&self, new: PutBack) -> Option<PutBack> {
        let dropped = self.lock().add(new, MOST);
        self.added.notify_one();
        dropped
    }

    /// The oldest, as soon as there is one.
    pub async fn next(&self) -> PutBack {
        loop {
            let oldest = self.lock().put_back.pop_front();
            match oldest {
                Some(oldest) => return oldest,
                None => self.added.notified().await,
            }
        }
    }

    /// Has one wait again that could not be told. Gives it back where there is no room any more.
    #[must_use]
    pub fn give_back(&self, old: PutBack) -> Option<PutBack> {
        self.lock().give_back(old, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(name: &str) -> ObjectName {
        ObjectName { kind: "NetworkPolicy".into(), namespace: Some("health-prod".into()), name: name.into() }
    }

    fn put_back(name: &str, manager: &str, second: i64) -> PutBack {
        let managed = json!([
            {"manager": "tandem/environment", "operation": "Apply", "time": "2026-01-01T00:00:00Z"},
            {"manager": manager, "operation": "Update", "time": "2026-01-01T00:00:01Z"},
        ]);
        let object = json!({"metadata": {"name": name, "managedFields": managed}});
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let at = Timestamp::from_second(second).unwrap();
        PutBack::new(&named(name), Some(&object), &["spec.ingress".to_owned()], at)
    }

    fn names(waiting: &Waiting) -> Vec<(&str, u64)> {
        waiting.put_back.iter().map(|waits| (waits.drift.name.as_str(), waits.drift.times)).collect()
    }

    #[test]
    fn it_is_laid_to_whoever_wrote_last_and_to_nobody_where_that_is_not_known() {
        let changed = put_back("deny", "kubectl-edit", 7);
        assert_eq!((changed.drift.by.as_str(), changed.actor.name.as_str()), ("kubectl-edit", "kubectl:kubectl-edit"));
        let gone = PutBack::new(&named("deny"), None, &["it was deleted".to_owned()], Timestamp::UNIX_EPOCH);
        assert_eq!((gone.drift.by.as_str(), gone.actor.name.as_str()), ("unknown", "kubectl:unknown"));
    }

    #[test]
    fn one_object_by_one_program_is_one_and_is_counted() {
        let mut waiting = Waiting::default();
        for (name, manager, second) in
            [("deny", "helm", 1), ("dns", "helm", 2), ("deny", "helm", 3), ("deny", "kubectl-edit", 4)]
        {
            assert_eq!(waiting.add(put_back(name, manager, second), 3), None);
        }
        assert_eq!(names(&waiting), [("deny", 2), ("dns", 1), ("deny", 1)]);
        let first = &waiting.put_back[0].drift;
        assert_eq!((first.first.as_second(), first.last.as_second()), (1, 3));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut waiting = Waiting::default();
        for (second, name) in ["a", "b"].into_iter().enumerate() {
            assert_eq!(waiting.add(put_back(name, "helm", i64::try_from(second).unwrap()), 2), None);
        }
        assert_eq!(waiting.add(put_back("c", "helm", 5), 2), Some(put_back("a", "helm", 0)));
        assert_eq!(names(&waiting), [("b", 1), ("c", 1)]);
        assert_eq!(waiting.give_back(put_back("a", "helm", 0), 2), Some(put_back("a", "helm", 0)), "no room");
    }

    #[test]
    fn what_could_not_be_told_is_the_oldest_again_and_joins_what_came_meanwhile() {
        let mut waiting = Waiting::default();
        waiting.add(put_back("b", "helm", 2), 3);
        assert_eq!(waiting.give_back(put_back("a", "helm", 1), 3), None);
        assert_eq!(names(&waiting), [("a", 1), ("b", 1)]);
        waiting.add(put_back("a", "helm", 5), 3);
        let old = waiting.put_back.pop_front().unwrap();
        waiting.add(put_back("a", "helm", 9), 3);
        assert_eq!(waiting.give_back(old, 3), None);
        assert_eq!(names(&waiting), [("b", 1), ("a", 3)]);
        let joined = &waiting.put_back[1].drift;
        assert_eq!((joined.first.as_second(), joined.last.as_second()), (1, 9));
    }

    #[tokio::test]
    async fn the_next_is_waited_for() {
        let untold = Untold::default();
        let waits = tokio::spawn({
            let untold = untold.clone();
            async move { untold.next().await }
        });
        tokio::task::yield_now().await;
        assert_eq!(untold.add(put_back("a", "helm", 1)), None);
        assert_eq!(waits.await.unwrap(), put_back("a", "helm", 1));
    }
}
