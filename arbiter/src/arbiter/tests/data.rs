use tandem_core::failover::{Reason, Role};

use super::{founded, lead};
use crate::arbiter::{ActError, DataOf};
use crate::hooks::State;
use crate::records::DataRecord;
use crate::store::SimStore;

fn standby(position: u64) -> DataRecord {
    let state = State {
        role: Role::Standby,
        position: Some(position),
        lag_millis: Some(0),
        lag_age_millis: 20,
        ..State::default()
    };
    DataRecord { state: Some(state), trouble: None }
}

#[tokio::test]
async fn how_data_stands_is_said_again_and_again_and_by_the_leader_alone() {
    let store = SimStore::default();
    let (arbiter, mandate) = founded(&store).await;
    let silent = DataRecord { state: None, trouble: Some(Reason::NoEndpoint { site: "dc-a".into() }) };
    let reports: Vec<(String, DataRecord)> =
        (0..150).map(|n| (format!("g{n}"), if n == 7 { silent.clone() } else { standby(n) })).collect();
    arbiter.report_data(mandate.leader, &reports).await.unwrap();
    let listing = arbiter.list_data().await.unwrap();
    assert_eq!(listing.entries.len(), 150);
    let of = DataOf { site: "dc-a".into(), group: "g7".into() };
    let found = listing.entries.iter().find(|seen| seen.key == of).unwrap();
    assert_eq!(found.value.as_ref().unwrap(), &silent);
    // That it is said again is news to whoever counts from when it was seen.
    arbiter.report_data(mandate.leader, &reports[..1]).await.unwrap();
    let again = arbiter.list_data().await.unwrap();
    let revision = |listing: &crate::arbiter::Listing<DataOf, DataRecord>| {
        listing.entries.iter().find(|seen| seen.key.group == "g0").unwrap().revision
    };
    assert!(revision(&again) > revision(&listing));
    assert!(arbiter.list_status("dc-a").await.unwrap().entries.is_empty(), "it is no object's status");
    lead(&store, "dc-a", mandate.leader);
    assert!(matches!(arbiter.report_data(mandate.leader, &reports).await, Err(ActError::NotLeader)));
}
