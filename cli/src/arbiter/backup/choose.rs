//! Which member to ask for a snapshot. Pure: what was seen is passed in.

use tandem_arbiter::health::{ArbiterSeen, Finding};
use tandem_arbiter::store::MemberStatus;

/// The member to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Where.
    pub(super) endpoint: String,
    /// How it stands.
    pub(super) status: MemberStatus,
}

/// What keeps any backup from being worth having.
fn against(found: &[Finding], majority: bool) -> Option<String> {
    found.iter().find_map(|finding| match finding {
        Finding::Corrupt { .. } | Finding::TwoClusters { .. } => {
            Some(format!("{}: {}", finding.english(), finding.mend()))
        }
        Finding::NoQuorum { .. } if majority => Some(format!(
            "{}; {}. Where they are lost for good, --without-majority takes what the one has that is left",
            finding.english(),
            finding.mend()
        )),
        _ => None,
    })
}

/// The member to ask: one that votes, follows a leader and has everything up to `revision`; rather one that does not lead, which has
/// less to do, and of those the quickest. Without a majority, the one that has the most.
///
/// # Errors
/// Why there is none, for people.
pub(super) fn choose(seen: &ArbiterSeen, found: &[Finding], revision: i64, majority: bool) -> Result<Chosen, String> {
    if let Some(why) = against(found, majority) {
        return Err(why);
    }
    let answers = seen.endpoints.iter().filter_map(|endpoint| Some((endpoint, endpoint.status.as_ref().ok()?)));
    let usable = answers
        .filter(|(_, status)| !status.learner && (!majority || status.leader != 0) && status.revision >= revision);
    let best = if majority {
        usable.min_by_key(|(endpoint, status)| (status.leader == status.member, endpoint.took))
    } else {
        usable.max_by_key(|(_, status)| (status.revision, status.applied))
    };
    best.map(|(endpoint, status)| Chosen { endpoint: endpoint.endpoint.clone(), status: status.clone() }).ok_or_else(|| {
        format!(
            "no member that votes and follows a leader has all that was written (revision {revision}); `tandem arbiter status` says why. \
             Give every member's address with --endpoints"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::time::Duration;
    use tandem_arbiter::health::{Certificate, EndpointSeen, QUOTA, findings};
    use tandem_arbiter::store::Member;

    fn status(id: u64, revision: i64) -> MemberStatus {
        MemberStatus {
            cluster: 7,
            member: id,
            version: "3.4.23".into(),
            db_bytes: 1 << 20,
            db_bytes_in_use: 1 << 20,
            leader: 1,
            term: 3,
            index: 100,
            applied: 100,
            revision,
            learner: false,
            errors: Vec::new(),
        }
    }

    fn seen(of: Vec<Result<MemberStatus, String>>) -> ArbiterSeen {
        let good = || Ok(Certificate { name: "x".into(), expires: Timestamp::MAX });
        let member = |id: u64| Member {
            id,
            name: format!("m{id}"),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            learner: false,
        };
        let endpoints = of.into_iter().zip(1_u64..).map(|(status, id)| EndpointSeen {
            endpoint: format!("https://m{id}:2379"),
            status,
            took: Duration::from_millis(10 - id),
            certificate: good(),
        });
        ArbiterSeen { members: (1..=3).map(member).collect(), endpoints: endpoints.collect(), own: good() }
    }

    fn chosen(of: Vec<Result<MemberStatus, String>>, majority: bool) -> Result<u64, String> {
        let seen = seen(of);
        let found = findings(&seen, QUOTA, Timestamp::UNIX_EPOCH);
        choose(&seen, &found, 50, majority).map(|chosen| chosen.status.member)
    }

    #[test]
    fn a_follower_that_has_everything_is_asked() {
        let all = || vec![Ok(status(1, 50)), Ok(status(2, 50)), Ok(status(3, 50))];
        assert_eq!(chosen(all(), true), Ok(3), "the quickest");
        let mut one = all();
        one[2] = Ok(status(3, 49));
        assert_eq!(chosen(one, true), Ok(2), "one that lacks what was written is not asked");
        let mut one = all();
        one[2] = Ok(MemberStatus { learner: true, ..status(3, 50) });
        assert_eq!(chosen(one, true), Ok(2));
        let one = vec![Ok(status(1, 50)), Err("no answer".into()), Ok(status(3, 10))];
        assert_eq!(chosen(one, true), Ok(1), "the leader where nobody else can");
        let none = chosen(vec![Ok(status(1, 10)), Ok(status(2, 10)), Ok(status(3, 10))], true);
        assert!(none.unwrap_err().contains("revision 50"));
    }

    #[test]
    fn a_doubtful_arbiter_is_not_backed_up() {
        let corrupt = MemberStatus { errors: vec!["memberID:2 alarm:CORRUPT ".into()], ..status(1, 50) };
        for majority in [true, false] {
            let said = chosen(vec![Ok(corrupt.clone()), Ok(status(2, 50)), Ok(status(3, 50))], majority).unwrap_err();
            assert!(said.contains("differ"), "{said}");
            let other = MemberStatus { cluster: 8, ..status(2, 50) };
            assert!(chosen(vec![Ok(status(1, 50)), Ok(other)], majority).unwrap_err().contains("different clusters"));
        }
    }

    #[test]
    fn without_a_majority_only_who_says_so_gets_what_is_left() {
        let left = || MemberStatus { leader: 0, ..status(2, 80) };
        let of = || vec![Err("gone".to_owned()), Ok(left()), Err("gone".to_owned())];
        assert!(chosen(of(), true).unwrap_err().contains("--without-majority"));
        assert_eq!(chosen(of(), false), Ok(2));
    }
}
