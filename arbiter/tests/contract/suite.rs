//! The contract. Every key lies under `/contract/`, in a store that nobody else uses.

use std::time::Duration;

use futures::StreamExt;
use tandem_arbiter::store::{Event, Store, StoreError, Watch, WatchBatch};
use tandem_arbiter::txn::{Compare, InvalidTxn, MAX_OPS, Op, Ordering, Span, Target, Txn};

pub(crate) async fn run<S: Store>(store: &S) {
    comparisons(store).await;
    whole_ranges(store).await;
    reads_in_transactions(store).await;
    limits(store).await;
    pages(store).await;
    watches(store).await;
    no_progress_without_change(store).await;
}

/// Waits, with a deadline, until a look finds something.
pub(crate) async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not found within 20 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn write(key: &str, value: &str) -> Op {
    Op::Put { key: key.to_owned(), value: value.as_bytes().to_vec() }
}

/// Writes a key and returns the revision.
pub(crate) async fn put<S: Store>(store: &S, key: &str, value: &str) -> i64 {
    let answer = store.txn(&Txn { then: vec![write(key, value)], ..Txn::default() }).await.unwrap();
    assert!(answer.succeeded);
    answer.revision
}

/// The next batch that holds events.
pub(crate) async fn next(watch: &mut Watch) -> Result<WatchBatch, StoreError> {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match watch.next().await.expect("a watch ends with an error only") {
                Ok(batch) if batch.events.is_empty() => {}
                item => return item,
            }
        }
    });
    waited.await.expect("an event within 20 s")
}

async fn holds<S: Store>(store: &S, compare: Compare) -> bool {
    store.txn(&Txn { compare: vec![compare], ..Txn::default() }).await.unwrap().succeeded
}

fn compare(key: &str, ordering: Ordering, target: Target) -> Compare {
    Compare { span: Span::Key(key.to_owned()), ordering, target }
}

async fn comparisons<S: Store>(store: &S) {
    let key = "/contract/compare";
    assert!(holds(store, Compare::absent(key)).await);
    assert!(holds(store, Compare::unchanged(key, 0)).await);
    assert!(!holds(store, compare(key, Ordering::Equal, Target::Value(b"".to_vec()))).await);
    let created = put(store, key, "one").await;
    let changed = put(store, key, "two").await;
    assert!(changed > created);
    assert!(!holds(store, Compare::absent(key)).await);
    assert!(!holds(store, Compare::unchanged(key, created)).await);
    assert!(holds(store, Compare::unchanged(key, changed)).await);
    assert!(holds(store, compare(key, Ordering::Equal, Target::Create(created))).await);
    assert!(holds(store, compare(key, Ordering::Less, Target::Create(changed))).await);
    assert!(holds(store, compare(key, Ordering::Greater, Target::Mod(created))).await);
    assert!(holds(store, compare(key, Ordering::NotEqual, Target::Mod(created))).await);
    assert!(holds(store, compare(key, Ordering::Equal, Target::Value(b"two".to_vec()))).await);
    assert!(holds(store, compare(key, Ordering::NotEqual, Target::Value(b"one".to_vec()))).await);

    // Only one branch happens, and happens whole.
    let txn = Txn {
        compare: vec![Compare::unchanged(key, created), Compare::unchanged(key, changed)],
        then: vec![write(key, "three")],
        otherwise: vec![Op::delete(key), write("/contract/else", "here")],
    };
    assert!(!store.txn(&txn).await.unwrap().succeeded);
    assert!(holds(store, Compare::absent(key)).await);
    assert!(!holds(store, Compare::absent("/contract/else")).await);
    // Created anew, a key has a new creation.
    let again = put(store, key, "four").await;
    assert!(holds(store, compare(key, Ordering::Equal, Target::Create(again))).await);
}

async fn whole_ranges<S: Store>(store: &S) {
    let prefix = "/contract/range/";
    assert!(holds(store, Compare::all_before(prefix, 1)).await, "an empty range holds nothing back");
    let first = put(store, "/contract/range/a", "").await;
    let last = put(store, "/contract/range/b", "").await;
    put(store, "/contract/ranges", "outside").await;
    assert!(holds(store, Compare::all_before(prefix, last + 1)).await);
    assert!(!holds(store, Compare::all_before(prefix, last)).await);
    assert!(!holds(store, Compare::all_before(prefix, first)).await);
}

async fn reads_in_transactions<S: Store>(store: &S) {
    let key = "/contract/read/a";
    let txn = Txn {
        then: vec![
            Op::get(key),
            write(key, "1"),
            Op::get(key),
            Op::range("/contract/read/"),
            Op::delete("/contract/none"),
        ],
        ..Txn::default()
    };
    let answer = store.txn(&txn).await.unwrap();
    assert_eq!(answer.reads.len(), 5);
    assert_eq!(answer.one(0), None);
    let kv = answer.one(2).expect("a read sees what was written before it in its transaction");
    assert_eq!((kv.value.as_slice(), kv.mod_revision), (b"1".as_slice(), answer.revision));
    assert_eq!(answer.read(3).len(), 1);
}

async fn limits<S: Store>(store: &S) {
    let most: Vec<Op> = (0..MAX_OPS).map(|n| write(&format!("/contract/many/{n}"), "x")).collect();
    assert!(store.txn(&Txn { then: most.clone(), ..Txn::default() }).await.unwrap().succeeded);
    let mut more = most;
    more.push(write("/contract/many/more", "x"));
    let error = store.txn(&Txn { then: more, ..Txn::default() }).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(InvalidTxn::TooLarge(_))), "{error:?}");
    let twice = Txn { then: vec![write("/contract/a", "1"), Op::delete("/contract/a")], ..Txn::default() };
    let error = store.txn(&twice).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(InvalidTxn::WritesTwice(_))), "{error:?}");
}

async fn pages<S: Store>(store: &S) {
    for n in 0..10 {
        put(store, &format!("/contract/page/{n}"), &n.to_string()).await;
    }
    let range = store.range("/contract/page/").await.unwrap();
    let keys: Vec<&str> = range.kvs.iter().map(|kv| kv.key.as_str()).collect();
    let wanted: Vec<String> = (0..10).map(|n| format!("/contract/page/{n}")).collect();
    assert_eq!(keys, wanted);
    assert!(range.kvs.iter().all(|kv| kv.mod_revision <= range.revision));
    assert!(store.range("/contract/nothing/").await.unwrap().kvs.is_empty());
}

async fn watches<S: Store>(store: &S) {
    let first = put(store, "/contract/watch/a", "1").await;
    put(store, "/contract/unwatched", "1").await;
    // From the past …
    let mut watch = store.watch("/contract/watch/", first).await.unwrap();
    let batch = next(&mut watch).await.unwrap();
    assert_eq!(batch.revision, first);
    assert!(
        matches!(batch.events.as_slice(), [Event::Put(kv)] if kv.key == "/contract/watch/a" && kv.mod_revision == first)
    );
    // … into the present, a revision whole and in one batch.
    let txn = Txn { then: vec![Op::delete("/contract/watch/a"), write("/contract/watch/b", "2")], ..Txn::default() };
    let revision = store.txn(&txn).await.unwrap().revision;
    let batch = next(&mut watch).await.unwrap();
    assert_eq!((batch.revision, batch.events.len()), (revision, 2));
    assert!(batch.events.iter().all(|event| event.revision() == revision));
    assert!(matches!(&batch.events[0], Event::Delete { key, .. } if key == "/contract/watch/a"));
    // From the future: nothing before it.
    let mut later = store.watch("/contract/watch/", revision + 2).await.unwrap();
    put(store, "/contract/watch/c", "3").await;
    let fourth = put(store, "/contract/watch/d", "4").await;
    assert_eq!(next(&mut later).await.unwrap().revision, fourth);
}

async fn no_progress_without_change<S: Store>(store: &S) {
    let before = store.range("/contract/").await.unwrap().revision;
    let nothing = Txn { then: vec![Op::delete("/contract/not-there"), Op::get("/contract/a")], ..Txn::default() };
    assert_eq!(store.txn(&nothing).await.unwrap().revision, before);
    assert_eq!(store.range("/contract/").await.unwrap().revision, before);
}

/// After a compaction of everything so far.
pub(crate) async fn compacted<S: Store>(store: &S) {
    let outcome = match store.watch("/contract/watch/", 2).await {
        Ok(mut watch) => next(&mut watch).await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(matches!(outcome, Err(StoreError::Compacted { from }) if from > 2), "{outcome:?}");
    // What stands now can be listed, and watched from here.
    let range = store.range("/contract/watch/").await.unwrap();
    let mut watch = store.watch("/contract/watch/", range.revision + 1).await.unwrap();
    let revision = put(store, "/contract/watch/e", "5").await;
    assert_eq!(next(&mut watch).await.unwrap().revision, revision);
}
