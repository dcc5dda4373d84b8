mod machine;
mod task;

use super::{Identity, Timing};

fn timing() -> Timing {
    Timing::from_heartbeat(std::time::Duration::from_secs(2)).unwrap()
}

fn identity(replica: &str, incarnation: &str) -> Identity {
    Identity { site: "dc-a".into(), replica: replica.into(), incarnation: incarnation.into(), generation: 1 }
}
