//! What runbooks look at: their first block of commands, run as it stands there.

use crate::world::World;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use tandem_tests::watching::root;

/// What a look may begin with: it changes nothing.
const LOOKS: [&str; 9] = [
    "tandem status",
    "tandem groups",
    "tandem arbiter status",
    "tandem failover plan",
    "tandem failover list",
    "tandem failover watch --latest --plain --timeout 5",
    "tandem hold list",
    "kubectl --context dc-a get",
    "kubectl --context dc-b get",
];
/// What stands before a block that this runs.
const MARK: &str = "<!-- run: tests/watch/looks.rs runbooks_look_and_change_nothing -->\n```sh\n";

/// The commands that runbooks look with, each once.
fn commands() -> BTreeSet<String> {
    let mut commands = BTreeSet::new();
    for entry in fs::read_dir(root().join("docs/runbooks")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let blocks: Vec<&str> = text.split(MARK).skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(!blocks.is_empty(), "{} has no block that begins with {MARK}", path.display());
        commands.extend(blocks.iter().flat_map(|block| block.lines()).map(str::to_owned));
    }
    commands
}

pub(crate) async fn runbooks_look_and_change_nothing(world: Arc<World>) {
    let mut wrong = Vec::new();
    for command in commands() {
        assert!(LOOKS.iter().any(|look| command.starts_with(look)), "{command} is no look");
        let line = format!(". {}/env; {command}", world.lab.dir().display());
        let output = tokio::task::spawn_blocking(move || Command::new("bash").args(["-c", &line]).output().unwrap());
        let output = output.await.unwrap();
        // 1: something is wrong, or would be refused. 2 and 3: the command is, or nobody answered.
        if !matches!(output.status.code(), Some(0 | 1)) {
            wrong.push(format!("{command}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
