//! What a reason means, and what mends it; in English and Chinese. `{name}` stands for the first object that has it.

use super::problems::Severity;
use Severity::{Critical, Notice, Warning};

/// What something is wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The city as a whole.
    City,
    /// A site.
    Site,
    /// An operators' alarm, which stands on a site.
    Alarm,
    /// A hold.
    Hold,
    /// A move.
    Move,
    /// A failover group: whether it is held, and would survive the loss of its site.
    Group,
    /// An object of this kind that is not ready.
    Object(&'static str),
}

impl Subject {
    /// The kind of the objects.
    #[must_use]
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Self::City => None,
            Self::Site | Self::Alarm => Some("DataCentre"),
            Self::Hold => Some("Hold"),
            Self::Move => Some("Failover"),
            Self::Group => Some("FailoverGroup"),
            Self::Object(kind) => Some(kind),
        }
    }
}

/// What a reason means, and what mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// How bad it is.
    pub severity: Severity,
    /// Where it comes among those that are as bad, the lowest first.
    pub rank: u8,
    /// What it means, in English and Chinese.
    pub meaning: [&'static str; 2],
    /// What mends it, in English and Chinese.
    pub mend: [&'static str; 2],
}

/// What a reason means for a subject, and what mends it. A reason that this release does not know is a warning.
#[must_use]
pub fn advice(subject: Subject, reason: &str) -> Advice {
    match subject {
        Subject::City => city(reason),
        Subject::Site => site(reason),
        Subject::Alarm => alarm(reason),
        Subject::Hold => {
            let meaning = ["no promotion that it covers goes through while it stands", "冻结期间其范围内禁止任何提升"];
            of(
                Notice,
                200,
                meaning,
                ["tandem hold list; tandem hold clear lifts it", "tandem hold list 查看；tandem hold clear 解除"],
            )
        }
        Subject::Move => a_move(reason),
        Subject::Group => group(reason),
        Subject::Object(_) => object(reason),
    }
}

const fn of(severity: Severity, rank: u8, meaning: [&'static str; 2], mend: [&'static str; 2]) -> Advice {
    Advice { severity, rank, meaning, mend }
}

fn city(reason: &str) -> Advice {
    if reason == "NoSites" {
        return of(
            Critical,
            0,
            [
                "this cluster knows no data centre: no operator has worked here yet",
                "本集群没有数据中心对象：控制器尚未工作",
            ],
            [
                "kubectl -n tandem-system get pods; charts/tandem/README.md",
                "kubectl -n tandem-system get pods；charts/tandem/README.md",
            ],
        );
    }
    of(
        Critical,
        6,
        [
            "no site, or more than one, says that it may publish: changes reach nobody",
            "没有站点或不止一个站点声称有权发布，变更无法下发",
        ],
        [
            "ask the other site: tandem status --context SITE; docs/failover.md",
            "在另一站点执行 tandem status --context 站点；docs/failover.md",
        ],
    )
}

fn site(reason: &str) -> Advice {
    match reason {
        "Fenced" => of(
            Critical,
            2,
            [
                "the arbiter has not answered it in time: it serves nothing until it does",
                "仲裁未及时应答，站点已自行隔离，恢复应答前不提供服务",
            ],
            [
                "tandem arbiter status; mend the arbiter or the way to it. docs/failover.md",
                "tandem arbiter status；恢复仲裁或其网络。docs/failover.md",
            ],
        ),
        "SiteSilent" => of(
            Critical,
            3,
            [
                "its heartbeats do not move as seen from here: lost, cut off, or its operators are down",
                "从本站点看其心跳停止：站点失效、断网或控制器停止",
            ],
            [
                "tandem status --context {name}; tandem failover plan --site {name}. docs/failover.md",
                "tandem status --context {name}；tandem failover plan --site {name}。docs/failover.md",
            ],
        ),
        "NoLeader" => of(
            Warning,
            12,
            [
                "no operator replica acts for it: nothing is applied, published or moved there",
                "没有控制器副本主持该站点，无法下发、发布或切换",
            ],
            [
                "kubectl -n tandem-system get pods, and their logs, at {name}",
                "在 {name} 查看 kubectl -n tandem-system get pods 及日志",
            ],
        ),
        "Paused" => of(
            Warning,
            10,
            [
                "it publishes, follows, mends and moves nothing; its cluster shows how things stood then",
                "不发布、不跟随、不修复、不切换；其集群所示为暂停时的状态",
            ],
            [
                "tandem resume --context {name}, once the works are done",
                "工作结束后执行 tandem resume --context {name}",
            ],
        ),
        "OneReplica" => of(
            Notice,
            202,
            [
                "one operator replica alone: the next one that dies takes the site with it",
                "仅一个控制器副本，再失去一个该站点即被隔离",
            ],
            ["kubectl -n tandem-system get pods at {name}", "在 {name} 执行 kubectl -n tandem-system get pods"],
        ),
        _ => of(
            Notice,
            201,
            ["people are at work there", "正在维护"],
            [
                "kubectl patch dc {name} --type merge -p '{\"spec\":{\"maintenance\":false}}' ends it",
                "结束：kubectl patch dc {name} --type merge -p '{\"spec\":{\"maintenance\":false}}'",
            ],
        ),
    }
}

/// The arbiter's findings say themselves what mends them.
fn alarm(reason: &str) -> Advice {
    let mend = tandem_arbiter::health::mend(reason)
        .unwrap_or(["tandem arbiter status; docs/arbiter.md", "tandem arbiter status；docs/arbiter.md"]);
    let (severity, rank, meaning) = match reason {
        "NoQuorum" => {
            (Critical, 1, ["every site fences itself, and nothing is promoted", "各站点自行隔离，不会提升任何站点"])
        }
        "OutOfSpace" | "Corrupt" | "TwoClusters" | "CertificateExpired" => {
            (Critical, 1, ["what the sites agree on is at risk", "站点间的一致性受到威胁"])
        }
        "RestoreUnfinished" | "Unconfirmed" => {
            (Critical, 4, ["groups wait until the restore is done", "恢复完成前各组等待"])
        }
        "Unprotected" => {
            (Critical, 3, ["nothing could move if this site were lost too", "若本站点再失效，将无处可切换"])
        }
        "NoTolerance" => {
            (Warning, 10, ["losing one more member stops every site", "再失去一个成员，所有站点将停止服务"])
        }
        "AuditBehind" => (Warning, 30, ["what was done is not in the audit chain yet", "已执行的操作尚未入审计链"]),
        _ => {
            (Warning, 20, ["the arbiter still works; it is worth mending before it does not", "仲裁仍可用，宜尽早处理"])
        }
    };
    of(severity, rank, meaning, mend)
}

fn a_move(reason: &str) -> Advice {
    match reason {
        "NeedsHuman" => of(
            Critical,
            5,
            [
                "its epoch is committed: it cannot be taken back and is tried again until it works",
                "纪元已提交，无法回退，将持续重试",
            ],
            [
                "mend what it names; tandem failover watch {name}. docs/failover.md",
                "处理所指问题；tandem failover watch {name}。docs/failover.md",
            ],
        ),
        "FailoverBlocked" => of(
            Critical,
            7,
            [
                "a lost site's groups do not move; it goes on by itself once the rule allows it",
                "失效站点的组尚未切换；条件满足后自动继续",
            ],
            [
                "tandem failover watch {name}; docs/failover.md says what passes over which rule",
                "tandem failover watch {name}；可放行的规则见 docs/failover.md",
            ],
        ),
        "Blocked" => of(
            Warning,
            13,
            ["rules do not allow it yet; it goes on by itself once they do", "规则暂不允许；条件满足后自动继续"],
            [
                "tandem failover watch {name}, or tandem failover abort {name}",
                "tandem failover watch {name}，或 tandem failover abort {name}",
            ],
        ),
        "AwaitingApproval" => of(
            Warning,
            14,
            ["it waits for people to agree", "等待批准"],
            [
                "tandem failover approve {name}, or tandem failover abort {name}",
                "tandem failover approve {name}，或 tandem failover abort {name}",
            ],
        ),
        _ => of(
            Warning,
            15,
            ["somebody asked it to wait", "有人要求暂停"],
            ["tandem failover resume {name}", "tandem failover resume {name}"],
        ),
    }
}

fn group(reason: &str) -> Advice {
    const EXPOSED: [&str; 2] = ["would not survive the loss of the site where active", "主用站点失效时无法接管"];
    let exposed = |mend| of(Warning, 40, EXPOSED, mend);
    match reason {
        "Unconfirmed" => of(
            Critical,
            4,
            [
                "the arbiter was restored: nobody holds them until both sites have reported",
                "仲裁已恢复，两站点上报前无站点持有",
            ],
            ["tandem arbiter confirm --all. docs/arbiter.md", "tandem arbiter confirm --all。docs/arbiter.md"],
        ),
        "HolderSilent" => of(
            Critical,
            4,
            ["the site that holds them is silent: probably nobody serves them", "持有站点失去联系，可能无人提供服务"],
            [
                "tandem failover watch --next shows what moves by itself; tandem failover plan says what does not, and why",
                "tandem failover watch --next 查看自动切换；tandem failover plan 查看未切换者及原因",
            ],
        ),
        "NotProtectedYet" => of(
            Notice,
            209,
            [
                "being moved, or the other site does not follow again yet: a loss now would not be survived",
                "正在切换，或另一站点尚未恢复跟随：此时不能承受站点丢失",
            ],
            [
                "nothing; tandem groups says what is waited for where it stays so",
                "无需操作；若长时间如此，用 tandem groups 查看原因",
            ],
        ),
        "AwayFromHome" => of(
            Notice,
            210,
            ["active away from the preferred site, which is heard", "未在首选站点主用，而首选站点可达"],
            ["tandem failback --reason '…', once they are protected", "受保护后执行 tandem failback --reason '…'"],
        ),
        "NoRoom" | "RoomUnknown" => exposed([
            "give the other site nodes, or uncordon them: kubectl get nodes there",
            "在另一站点增加节点或解除封锁：kubectl get nodes",
        ]),
        "TargetNotReady" => exposed([
            "tandem app --not-ready says what keeps the other site",
            "tandem app --not-ready 查看另一站点的问题",
        ]),
        "SecretMissing" => {
            exposed(["create the Secret at that site: Tandem never copies one", "在该站点创建 Secret：Tandem 从不复制"])
        }
        "NoEndpoint" | "ProviderSilent" | "StandbyNotFollowing" | "LagUnknown" => {
            exposed(["look at the data service at that site; docs/hooks.md", "检查该站点的数据服务；docs/hooks.md"])
        }
        "RpoExceeded" | "RpoUnknown" | "MoreThanAccepted" => {
            exposed(["look why the standby's data lags; docs/failover.md", "检查备用数据滞后原因；docs/failover.md"])
        }
        "NoOtherSite" => {
            exposed(["install the second site; charts/tandem/README.md", "安装第二个站点；charts/tandem/README.md"])
        }
        _ => exposed([
            "tandem groups; docs/failover.md lists every reason",
            "tandem groups；全部原因见 docs/failover.md",
        ]),
    }
}

fn object(reason: &str) -> Advice {
    let (rank, meaning, mend) = match reason {
        "NotServed" => {
            return of(
                Critical,
                8,
                [
                    "its pods are not ready where it is active: it does not serve people",
                    "主用站点的容器未就绪，无法提供服务",
                ],
                [
                    "tandem app {name}; then kubectl describe the pods at that site",
                    "tandem app {name}；再在该站点 kubectl describe 其容器组",
                ],
            );
        }
        "BrakeTripped" => (
            11,
            [
                "too much would be deleted or scaled down at once: this site follows nothing until a person confirms",
                "变更幅度过大，确认前本站点停止跟随",
            ],
            [
                "look at what changed; confirm with the annotation that the message names",
                "核对变更；按消息中的注解确认",
            ],
        ),
        "ArbiterUnreachable" => (
            16,
            ["what was changed is not in the arbiter", "变更尚未写入仲裁"],
            ["tandem arbiter status", "tandem arbiter status"],
        ),
        "Quarantined" | "Conflict" => (
            17,
            [
                "both sites changed it, or the arbiter went back: the arbiter's version stands, the other is kept",
                "两站点均有修改或仲裁回退：以仲裁版本为准，另一版本已保存",
            ],
            [
                "look at the saved version (conflicts, in its Events), and write again what is missing",
                "核对事件中保存的版本，补写缺失内容",
            ],
        ),
        "PodsNotReady" => (
            50,
            ["pods at the standby, or of an adopted workload, are not ready", "备用站点或被接管工作负载的容器未就绪"],
            [
                "tandem app {name}; then kubectl describe the pods at that site",
                "tandem app {name}；再在该站点 kubectl describe 其容器组",
            ],
        ),
        "SecretMissing" => (
            51,
            ["Tandem never copies a Secret: each site must have it", "Tandem 从不复制 Secret，每个站点须各自具备"],
            ["create the Secret that the message names, at that site", "在该站点创建消息所指的 Secret"],
        ),
        "WorkloadMissing" => (
            52,
            ["a workload that it adopts is not at that site", "被接管的工作负载不在该站点"],
            ["create the workload there, or take it out of spec.adopt", "在该站点创建，或从 spec.adopt 移除"],
        ),
        "NotOurs" => (
            53,
            [
                "an object of that name belongs to somebody else; Tandem never takes one over",
                "同名对象属于他人，Tandem 从不接管",
            ],
            ["rename one of them, or remove the other if it is not needed", "更名，或在确认无用后删除该对象"],
        ),
        "OverBudget" => (
            60,
            ["the unit's budget has no room for it", "单位预算不足"],
            [
                "raise the unit's budget, or ask for less: tandem units shows both",
                "提高预算或减少申请：见 tandem units",
            ],
        ),
        "PolicyViolation" => (
            61,
            ["the security profile does not allow it", "安全规范不允许"],
            [
                "change what the message names, or ask the security team for a waiver; docs/findings.md",
                "按消息修改，或向安全团队申请豁免；docs/findings.md",
            ],
        ),
        "Invalid" | "NotFound" | "DependencyCycle" | "HostNameTaken" => (
            62,
            [
                "what is asked for cannot be; what was published before stays in force",
                "规格无法实现，先前发布的版本继续有效",
            ],
            ["change the field that the message names", "修改消息所指字段"],
        ),
        "ApplyFailed" => (
            63,
            ["the site's API server refused what Tandem sent", "站点 API 服务器拒绝了 Tandem 的请求"],
            [
                "read the message: quotas, admission webhooks and missing rights refuse most",
                "查看消息：多为配额、准入 webhook 或权限问题",
            ],
        ),
        "NotAuthority" => (
            64,
            ["it was written at a site that may not publish, and is put back", "写在无发布权的站点，将被还原"],
            ["write it at the site with authority", "请在有发布权的站点修改"],
        ),
        "DeletionRefused" | "Deleting" => (
            70,
            ["its deletion waits", "删除尚在等待"],
            [
                "the message says for what: deletion protection, or applications that are active",
                "消息说明原因：删除保护或仍有主用应用",
            ],
        ),
        "Suspended" | "Maintenance" | "Paused" => (
            71,
            ["what runs goes on; nothing new is admitted", "已运行的继续，不再接纳新的"],
            ["nothing, unless it should not be so", "若属计划内则无需处理"],
        ),
        "SiteNotReported" | "SiteNotReady" => (
            72,
            ["a site has not reported, or is not in order", "有站点未上报或未就绪"],
            ["if it stays so: the operator's log at that site", "若持续：查看该站点控制器日志"],
        ),
        "Progressing" => (
            80,
            ["under way; needs nobody, unless it stays so", "进行中，若不持续则无需处理"],
            ["wait a minute; then kubectl -n tandem-system logs of the operator", "稍候；仍如此则查看控制器日志"],
        ),
        _ => (
            90,
            [
                "a reason that this program does not know; is it older than the operator?",
                "本程序不认识的原因，可能版本较旧",
            ],
            ["read the message; docs/failover.md", "查看消息；docs/failover.md"],
        ),
    };
    of(Warning, rank, meaning, mend)
}
