//! How the running lab is spoken to: JSON lines over a socket that only its owner can open.

use crate::layout::Layout;
use crate::network::Cut;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What a running lab can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// To be told the steps of its start, until it has started.
    Follow,
    /// How everything stands.
    Status,
    /// To put a cut in force.
    Cut(Cut),
    /// To lift every cut.
    Heal,
    /// To end a program with SIGKILL.
    Kill {
        /// Place and program, such as `dc-a/etcd`.
        program: String,
        /// Whether it is not to be started again.
        stay_down: bool,
        /// Whether what it started is left to run.
        #[serde(default)]
        alone: bool,
    },
    /// To start a program that was to stay down.
    Start {
        /// Place and program.
        program: String,
    },
    /// To stop a program with SIGSTOP.
    Pause {
        /// Place and program.
        program: String,
    },
    /// To let a paused program go on.
    Resume {
        /// Place and program.
        program: String,
    },
    /// To start a site's operators anew by a wrong wall clock.
    Clock {
        /// The site.
        site: String,
        /// By how many seconds it is wrong; 0 sets it right.
        seconds: i64,
    },
    /// To end everything in a place at once.
    PowerOff {
        /// The place.
        place: String,
    },
    /// To start everything in a place again.
    PowerOn {
        /// The place.
        place: String,
    },
    /// To end all members of the arbiter and remove their data.
    ArbiterLose,
    /// To start all members of the arbiter with the data that they find.
    ArbiterStart,
    /// To start a place's member of the arbiter with no data, to be one more of the cluster that is there.
    ArbiterRejoin {
        /// The place.
        place: String,
    },
    /// To take everything down and end.
    Stop,
}

/// What a running lab answers; several lines, the last of them `Done` or `Failed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Reply {
    /// A step of its start begins.
    Begun {
        /// What is being done.
        step: String,
    },
    /// A step has ended.
    Ended {
        /// What was done.
        step: String,
        /// How long it took, in seconds.
        seconds: f64,
    },
    /// How everything stands.
    Status(Status),
    /// It was done.
    Done,
    /// It was not done.
    Failed {
        /// Why not, and how to mend it.
        why: String,
    },
}

/// How a lab stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Begins the names of its namespaces.
    pub prefix: String,
    /// The control plane's version.
    pub version: String,
    /// Its programs.
    pub programs: Vec<ProgramStatus>,
    /// Where the host reaches the agencies' API of each site and the issuer of its tokens, by place and program.
    #[serde(default)]
    pub addresses: BTreeMap<String, String>,
    /// The cuts in force.
    pub cuts: Vec<Cut>,
    /// Places without power.
    pub powered_off: Vec<String>,
}

/// How a program stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramStatus {
    /// The place.
    pub place: String,
    /// The program.
    pub program: String,
    /// `running`, `paused`, `down` or `starting again`.
    pub state: String,
    /// The process id, while it runs.
    pub pid: Option<i32>,
    /// How long it has been in that state, in seconds.
    pub since_seconds: u64,
    /// How often it was started again.
    pub restarts: u32,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
}

/// Why a running lab could not be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is none.
    #[error("no lab is running in {dir}; start one: tandem lab up --dir {dir}")]
    NotRunning {
        /// The lab's folder.
        dir: String,
    },
    /// It did not answer as it should.
    #[error(
        "the lab in {dir} does not answer; its log: {dir}/supervisor.log; to clear it away: tandem lab down --dir {dir}"
    )]
    Broken {
        /// The lab's folder.
        dir: String,
        /// What went wrong.
        source: io::Error,
    },
    /// It refused, or could not.
    #[error("{0}")]
    Refused(String),
}

/// Asks a running lab, and hands every line of the answer to `each` but the last.
///
/// # Errors
/// When there is no lab, it does not answer, or it refuses.
pub fn ask(layout: &Layout, request: &Request, mut each: impl FnMut(Reply)) -> Result<(), ControlError> {
    let dir = layout.dir.display().to_string();
    let connected = layout.with_socket(|path| UnixStream::connect(path));
    let mut stream = connected.map_err(|_| ControlError::NotRunning { dir: dir.clone() })?;
    let broken = |source| ControlError::Broken { dir: dir.clone(), source };
    // A start may take minutes, but says something every now and then; all else is quick.
    let patience = match request {
        Request::Follow => 300,
        Request::ArbiterLose | Request::ArbiterStart => 120,
        _ => 30,
    };
    stream.set_read_timeout(Some(Duration::from_secs(patience))).map_err(broken)?;
    let mut line = serde_json::to_string(request).map_err(|error| broken(error.into()))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(broken)?;
    for line in BufReader::new(stream).lines() {
        let reply: Reply = serde_json::from_str(&line.map_err(broken)?).map_err(|error| broken(error.into()))?;
        match reply {
            Reply::Done => return Ok(()),
            Reply::Failed { why } => return Err(ControlError::Refused(why)),
            reply => each(reply),
        }
    }
    Err(broken(io::ErrorKind::UnexpectedEof.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_way() {
        for request in [
            Request::Follow,
            Request::Kill { program: "dc-a/etcd".to_owned(), stay_down: true, alone: false },
            Request::Cut(Cut { place: "dc-a".to_owned(), peer: None, one_way: false }),
        ] {
            let text = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
        }
    }
}
