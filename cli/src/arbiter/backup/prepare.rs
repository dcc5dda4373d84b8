//! `tandem arbiter prepare`: from a backup to commands that can be pasted, with no member left to ask.

use super::BackupError;
use super::facts::{Facts, Peer, checked};
use crate::arbiter::args::{PrepareArgs, Tool};
use crate::arbiter::{ArbiterError, now};
use crate::exit::Exit;
use crate::language::Lang;
use jiff::Timestamp;
use serde::Serialize;
use std::path::Path;

/// What is to be done at each member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Prepared {
    backup: Facts,
    token: String,
    members: Vec<Command>,
}

/// What is to be done at one member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Command {
    member: String,
    command: Vec<String>,
}

/// A token that was never used before: by the day it can be told from others, by the rest it is like no other.
fn token(now: Timestamp, random: uuid::Uuid) -> String {
    format!("tandem-{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), random.simple())
}

/// The members that are given, or else those of the backup.
fn members(args: &PrepareArgs, facts: &Facts) -> Result<Vec<Peer>, ArbiterError> {
    if args.members.is_empty() {
        let known = facts.origin.as_ref().map(|origin| origin.members.clone()).unwrap_or_default();
        // A learner that never started has no name.
        let named: Vec<Peer> = known.into_iter().filter(|member| !member.name.is_empty()).collect();
        return if named.is_empty() { Err(BackupError::NoMembers(args.file.clone()).into()) } else { Ok(named) };
    }
    let mut found: Vec<Peer> = Vec::new();
    for given in &args.members {
        let (name, url) = given
            .split_once('=')
            .filter(|(name, url)| !name.is_empty() && url.starts_with("https://"))
            .ok_or_else(|| {
            ArbiterError::Usage(format!("--member {given} is not NAME=PEER-URL, such as dc-a=https://10.1.0.17:2380"))
        })?;
        match found.iter_mut().find(|member| member.name == name) {
            Some(member) => member.peer_urls.push(url.to_owned()),
            None => found.push(Peer { name: name.to_owned(), peer_urls: vec![url.to_owned()] }),
        }
    }
    Ok(found)
}

/// What etcd's own tool for restores is called: `etcdutl` has it from 3.5 on, and alone from 3.6 on.
fn tool(asked: Option<Tool>, facts: &Facts) -> Tool {
    let version = facts.origin.as_ref().map(|origin| origin.version.as_str()).unwrap_or_default();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    let old = matches!((numbers.next().flatten(), numbers.next().flatten()), (Some(3), Some(0..=4)));
    asked.unwrap_or(if old { Tool::Etcdctl } else { Tool::Etcdutl })
}

fn commands(args: &PrepareArgs, facts: &Facts, members: &[Peer], token: &str) -> Vec<Command> {
    let all: Vec<String> =
        members.iter().flat_map(|member| member.peer_urls.iter().map(|url| format!("{}={url}", member.name))).collect();
    let all = all.join(",");
    let of = |member: &Peer| {
        let tool = match tool(args.tool, facts) {
            // etcd 3.3 and older speak the old protocol unless told; from 3.4 on it changes nothing.
            Tool::Etcdctl => vec!["env", "ETCDCTL_API=3", "etcdctl"],
            Tool::Etcdutl => vec!["etcdutl"],
        };
        let mut command: Vec<String> = tool.into_iter().map(str::to_owned).collect();
        command.extend(["snapshot".to_owned(), "restore".to_owned(), args.file.display().to_string()]);
        for (flag, value) in [
            ("name", member.name.clone()),
            ("initial-cluster", all.clone()),
            ("initial-cluster-token", token.to_owned()),
            ("initial-advertise-peer-urls", member.peer_urls.join(",")),
            ("data-dir", args.data_dir.replace("{name}", &member.name)),
        ] {
            command.push(format!("--{flag}={value}"));
        }
        Command { member: member.name.clone(), command }
    };
    members.iter().map(of).collect()
}

/// A word for a shell, as it is where nothing in it means anything to one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Everything that a person does, in order, as lines for a shell with remarks.
fn text(prepared: &Prepared, path: &Path, now: Timestamp, lang: Lang) -> String {
    let mut text = String::new();
    for line in prepared.backup.text(path, now, lang).lines() {
        text.push_str(&format!("# {line}\n"));
    }
    text.push_str(&match lang {
        Lang::En => format!(
            "# token: {}\n#\n\
             # Only where a majority of the members is lost for good. One token for all members: run this once, and take the lines from \
             here.\n\
             # 1. At every member: stop etcd, move its old data away, bring the backup there, and run its line.\n",
            prepared.token
        ),
        Lang::Zh => format!(
            "# 令牌：{}\n#\n\
             # 仅用于多数成员永久丢失之时。所有成员使用同一令牌：本命令只运行一次，各成员均取用以下命令。\n\
             # 1. 在每个成员：停止 etcd，移走旧数据，放入备份文件，执行对应命令。\n",
            prepared.token
        ),
    });
    for Command { member, command } in &prepared.members {
        let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        text.push_str(&format!("\n# {member}\n{}\n", words.join(" ")));
    }
    text.push_str(lang.say(
        "\n# 2. Start etcd at every member, with no other flags than before: it takes cluster and token from its data.\n\
         # 3. Once: tandem arbiter restore\n\
         # 4. At each site, with its own kubeconfig: tandem arbiter restore --accept SITE\n\
         # 5. When tandem arbiter status shows that every replica has reported: tandem arbiter confirm --all\n",
        "\n# 2. 启动每个成员的 etcd，参数与此前相同：集群与令牌取自其数据。\n\
         # 3. 执行一次：tandem arbiter restore\n\
         # 4. 在每个站点，以该站点的 kubeconfig：tandem arbiter restore --accept SITE\n\
         # 5. tandem arbiter status 显示所有副本均已上报后：tandem arbiter confirm --all\n",
    ));
    text
}

/// `tandem arbiter prepare`.
pub(in crate::arbiter) fn run(args: &PrepareArgs, lang: Lang) -> Result<Exit, ArbiterError> {
    let backup = checked(&args.file)?;
    let members = members(args, &backup)?;
    let token = token(now(), uuid::Uuid::new_v4());
    let commands = commands(args, &backup, &members, &token);
    let prepared = Prepared { backup, token, members: commands };
    args.output.write(&prepared, || text(&prepared, &args.file, now(), lang));
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arbiter::backup::facts::tests::origin;
    use crate::output::Output;

    fn args() -> PrepareArgs {
        PrepareArgs {
            file: "it's/a.db".into(),
            members: Vec::new(),
            data_dir: "/var/lib/etcd/{name}".into(),
            tool: None,
            output: Output::Table,
        }
    }

    fn facts() -> Facts {
        Facts { bytes: 1, sha256: "ab".into(), origin: Some(origin()) }
    }

    #[test]
    fn each_member_has_a_line_to_paste_and_all_have_one_token() {
        let (args, backup) = (args(), facts());
        let members = commands(&args, &backup, &members(&args, &backup).unwrap(), "tandem-1");
        let prepared = Prepared { backup, token: "tandem-1".into(), members };
        let text = text(&prepared, &args.file, Timestamp::UNIX_EPOCH, Lang::En);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(
            lines[1],
            "env ETCDCTL_API=3 etcdctl snapshot restore 'it'\\''s/a.db' --name=dc-b \
             --initial-cluster=dc-a=https://dc-a.example:2380,dc-b=https://dc-b.example:2380,witness=https://witness.example:2380 \
             --initial-cluster-token=tandem-1 --initial-advertise-peer-urls=https://dc-b.example:2380 \
             --data-dir=/var/lib/etcd/dc-b"
        );
        assert_eq!((lines.len(), text.matches("--initial-cluster-token=tandem-1").count()), (3, 3));
    }

    #[test]
    fn no_token_is_like_another() {
        let now = "2030-01-02T03:04:05Z".parse().unwrap();
        let (one, other) = (token(now, uuid::Uuid::from_u128(1)), token(now, uuid::Uuid::from_u128(2)));
        assert!(one.starts_with("tandem-20300102T030405Z-") && one != other, "{one}");
    }

    #[test]
    fn the_tool_is_that_of_the_version() {
        let of = |version: &str| {
            tool(
                None,
                &Facts { origin: Some(super::super::facts::Origin { version: version.into(), ..origin() }), ..facts() },
            )
        };
        assert_eq!(of("3.4.23"), Tool::Etcdctl);
        assert_eq!((of("3.5.9"), of("3.6.1")), (Tool::Etcdutl, Tool::Etcdutl));
        assert_eq!(tool(Some(Tool::Etcdctl), &facts()), Tool::Etcdctl);
    }

    #[test]
    fn members_are_given_where_nothing_is_known() {
        let bare = Facts { origin: None, ..facts() };
        assert!(matches!(members(&args(), &bare), Err(ArbiterError::Backup(BackupError::NoMembers(_)))));
        let given =
            |members: &[&str]| PrepareArgs { members: members.iter().map(|m| (*m).to_owned()).collect(), ..args() };
        let found = members(&given(&["a=https://x:2380", "b=https://y:2380", "a=https://z:2380"]), &bare).unwrap();
        assert_eq!((found.len(), found[0].peer_urls.len()), (2, 2));
        assert!(members(&given(&["a=http://x:2380"]), &bare).is_err() && members(&given(&["x"]), &bare).is_err());
    }
}
