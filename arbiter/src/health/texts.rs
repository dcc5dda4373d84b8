//! Findings for people: what is so, and what to do, in English and Chinese.

use super::Finding;

impl Finding {
    /// The reason, in one word: what conditions and events bear.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoQuorum { .. } => "NoQuorum",
            Self::NoTolerance { .. } => "NoTolerance",
            Self::OutOfSpace { .. } => "OutOfSpace",
            Self::NearlyFull { .. } => "NearlyFull",
            Self::Corrupt { .. } => "Corrupt",
            Self::Slow { .. } => "Slow",
            Self::Lagging { .. } => "Lagging",
            Self::CertificateExpired { .. } => "CertificateExpired",
            Self::CertificateExpires { .. } => "CertificateExpires",
            Self::TwoClusters { .. } => "TwoClusters",
            Self::Learner { .. } => "Learner",
            Self::RestoreUnfinished => "RestoreUnfinished",
            Self::Unconfirmed { .. } => "Unconfirmed",
            Self::Unprotected { .. } => "Unprotected",
            Self::AuditBehind { .. } => "AuditBehind",
        }
    }

    /// What is so.
    #[must_use]
    pub fn english(&self) -> String {
        match self {
            Self::NoQuorum { answering, members } => {
                format!(
                    "{answering} of {members} members of the arbiter answer with a leader: no majority, every site fences itself"
                )
            }
            Self::NoTolerance { lost } if lost.is_empty() => {
                "the arbiter cannot lose a member: no tolerance left".to_owned()
            }
            Self::NoTolerance { lost } => {
                format!("the arbiter has lost {} and cannot lose another member: no tolerance left", lost.join(", "))
            }
            Self::OutOfSpace { member } => format!("the arbiter is out of space at {member}: nothing can be written"),
            Self::NearlyFull { member, percent } => {
                format!("the database of {member} has reached {percent} % of its quota")
            }
            Self::Corrupt { member } => format!("the data of {member} differ from the other members'"),
            Self::Slow { member, millis } => {
                format!("{member} takes {millis} ms to answer; its disk or the network is slow")
            }
            Self::Lagging { member, behind } => format!("{member} is {behind} entries behind the other members"),
            Self::CertificateExpired { whose } => format!("the certificate of {whose} has expired"),
            Self::CertificateExpires { whose, at } => format!("the certificate of {whose} expires at {at}"),
            Self::TwoClusters { clusters } => {
                format!("the endpoints belong to {} different clusters: {}", clusters.len(), clusters.join(", "))
            }
            Self::Learner { member } => format!("{member} does not vote yet: it is being replaced"),
            Self::RestoreUnfinished => "a restore of the arbiter was begun and not ended".to_owned(),
            Self::Unconfirmed { groups } => {
                format!("{groups} groups are not confirmed after a restore: nobody holds them")
            }
            Self::AuditBehind { waiting } => {
                format!(
                    "{waiting} entries of what was done wait for their place in the audit chain, some for over a minute"
                )
            }
            Self::Unprotected { silent } => {
                format!("{silent} is not heard: what is active here could not move there and is not protected")
            }
        }
    }

    /// What is so, in Chinese.
    #[must_use]
    pub fn chinese(&self) -> String {
        match self {
            Self::NoQuorum { answering, members } => {
                format!("仲裁 {members} 个成员中仅 {answering} 个应答且有主，未达多数，各站点将自行隔离")
            }
            Self::NoTolerance { lost } if lost.is_empty() => "仲裁已无法承受失去任何成员".to_owned(),
            Self::NoTolerance { lost } => format!("仲裁已失去成员 {}，无法再承受失去一个成员", lost.join("、")),
            Self::OutOfSpace { member } => format!("仲裁成员 {member} 空间已满，无法写入"),
            Self::NearlyFull { member, percent } => format!("成员 {member} 的数据库已达配额的 {percent}%"),
            Self::Corrupt { member } => format!("成员 {member} 的数据与其他成员不一致"),
            Self::Slow { member, millis } => format!("成员 {member} 应答耗时 {millis} 毫秒，磁盘或网络过慢"),
            Self::Lagging { member, behind } => format!("成员 {member} 落后其他成员 {behind} 条日志"),
            Self::CertificateExpired { whose } => format!("{whose} 的证书已过期"),
            Self::CertificateExpires { whose, at } => format!("{whose} 的证书将于 {at} 过期"),
            Self::TwoClusters { clusters } => {
                format!("各地址属于 {} 个不同集群：{}", clusters.len(), clusters.join("、"))
            }
            Self::Learner { member } => format!("成员 {member} 尚无表决权，正在更换"),
            Self::RestoreUnfinished => "仲裁恢复已开始但未完成".to_owned(),
            Self::Unconfirmed { groups } => format!("恢复后仍有 {groups} 个组未确认，无站点持有"),
            Self::AuditBehind { waiting } => {
                format!("有 {waiting} 条审计记录已完成操作，却超过一分钟未入审计链")
            }
            Self::Unprotected { silent } => format!("站点 {silent} 失去联系：本站点主用的组无处可切换，不受保护"),
        }
    }

    /// What to do.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        match self {
            Self::NoQuorum { .. } => {
                "bring members back until a majority answers; sites then serve again by themselves"
            }
            Self::NoTolerance { .. } => "bring the lost member back, or tandem arbiter replace MEMBER",
            Self::OutOfSpace { .. } => {
                "etcdctl compact and defrag, or give it a larger --quota-backend-bytes; then etcdctl alarm disarm"
            }
            Self::NearlyFull { .. } => {
                "etcdctl compact and defrag each member in turn, or give it a larger --quota-backend-bytes"
            }
            Self::Corrupt { .. } => "tandem arbiter replace MEMBER",
            Self::Slow { .. } => "look at its disk (etcd_disk_wal_fsync_duration_seconds) and at the network to it",
            Self::Lagging { .. } => "look whether its disk keeps up; it follows by itself",
            Self::CertificateExpired { .. } | Self::CertificateExpires { .. } => {
                "give it a new certificate; etcd reads it anew at the next connection, operators after a restart"
            }
            Self::TwoClusters { .. } => "stop the one that was forced or restored by mistake; never run both",
            Self::Learner { .. } => "run tandem arbiter replace again: it goes on",
            Self::RestoreUnfinished => "run tandem arbiter restore again: it goes on",
            Self::Unconfirmed { .. } => "tandem arbiter confirm --all",
            Self::AuditBehind { .. } => {
                "read the operator's log at this site: it says why; nothing is lost, what waits stands in the arbiter"
            }
            Self::Unprotected { .. } => "bring the site back; nothing moves there meanwhile",
        }
    }

    /// What to do, in Chinese.
    #[must_use]
    pub fn mend_chinese(&self) -> &'static str {
        match self {
            Self::NoQuorum { .. } => "恢复成员直至多数应答，各站点将自动恢复服务",
            Self::NoTolerance { .. } => "恢复失去的成员，或执行 tandem arbiter replace 成员名",
            Self::OutOfSpace { .. } => {
                "执行 etcdctl compact 与 defrag，或调大 --quota-backend-bytes；随后 etcdctl alarm disarm"
            }
            Self::NearlyFull { .. } => "逐个成员执行 etcdctl compact 与 defrag，或调大 --quota-backend-bytes",
            Self::Corrupt { .. } => "执行 tandem arbiter replace 成员名",
            Self::Slow { .. } => "检查其磁盘（etcd_disk_wal_fsync_duration_seconds）与网络",
            Self::Lagging { .. } => "检查其磁盘能否跟上；成员会自行追赶",
            Self::CertificateExpired { .. } | Self::CertificateExpires { .. } => {
                "更换证书；etcd 在下次连接时重新读取，operator 须重启"
            }
            Self::TwoClusters { .. } => "停止误启动的集群，切勿同时运行两个",
            Self::Learner { .. } => "再次执行 tandem arbiter replace 即可继续",
            Self::RestoreUnfinished => "再次执行 tandem arbiter restore 即可继续",
            Self::Unconfirmed { .. } => "执行 tandem arbiter confirm --all",
            Self::AuditBehind { .. } => "查看本站点 operator 日志中的原因；记录仍保存在 arbiter 中，不会丢失",
            Self::Unprotected { .. } => "恢复该站点；在此之前不会向其切换",
        }
    }
}

/// What to do about a finding that is known by its reason alone, as conditions and events bear it: in English and Chinese.
/// Nothing where no finding has that reason.
#[must_use]
pub fn mend(reason: &str) -> Option<[&'static str; 2]> {
    let found = examples().into_iter().find(|finding| finding.reason() == reason)?;
    Some([found.mend(), found.mend_chinese()])
}

/// One finding of each reason.
fn examples() -> [Finding; 15] {
    let member = String::new;
    [
        Finding::NoQuorum { answering: 0, members: 0 },
        Finding::NoTolerance { lost: Vec::new() },
        Finding::OutOfSpace { member: member() },
        Finding::NearlyFull { member: member(), percent: 0 },
        Finding::Corrupt { member: member() },
        Finding::Slow { member: member(), millis: 0 },
        Finding::Lagging { member: member(), behind: 0 },
        Finding::CertificateExpired { whose: member() },
        Finding::CertificateExpires { whose: member(), at: jiff::Timestamp::UNIX_EPOCH },
        Finding::TwoClusters { clusters: Vec::new() },
        Finding::Learner { member: member() },
        Finding::RestoreUnfinished,
        Finding::Unconfirmed { groups: 0 },
        Finding::AuditBehind { waiting: 0 },
        Finding::Unprotected { silent: member() },
    ]
}
