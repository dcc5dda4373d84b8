"""What is on the dashboards: every panel with its question, its queries and what they mean. generate.py makes Grafana's JSON of it."""

from dataclasses import dataclass, field

OK, BAD, WARN, PLAIN = "green", "red", "orange", "blue"
GOOD_AT_ANY = ((None, OK),)
NEUTRAL = ((None, PLAIN),)
NONE_IS_GOOD = ((None, OK), (1, BAD))
NONE_IS_BEST = ((None, OK), (1, WARN))
NEARLY_FULL = ((None, OK), (0.8, WARN), (0.95, BAD))
YES_NO = ((0, "no", "transparent"), (1, "yes", OK))
FENCED = ((0, "serves", OK), (1, "fenced", BAD))


@dataclass(frozen=True)
class Query:
    """An expression, and what its series are called."""

    expr: str
    legend: str = ""
    table: bool = False


@dataclass(frozen=True)
class Panel:
    """One picture. `says` is for somebody who sees it for the first time."""

    title: str
    chinese: str
    says: str
    queries: tuple
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    colours: tuple = NEUTRAL
    words: tuple = ()
    stacked: bool = False
    names: bool = False
    hidden: tuple = ()


@dataclass(frozen=True)
class Row:
    """Panels under one title."""

    title: str
    panels: tuple = field(default=())


@dataclass(frozen=True)
class Dashboard:
    """A page."""

    name: str
    title: str
    chinese: str
    says: str
    variables: tuple
    rows: tuple


HERE = 'dc=~"$site"'


def city(metric, by, matching=""):
    """What is true of the city as a whole, by replicas that are not fenced: what a fenced one knows is old."""
    return f"max by ({by}) ({metric}{{{matching}}} unless on (dc, instance) tandem_fenced == 1)"


def total(metric, by, matching, zero=True):
    return f"sum({city(metric, by, matching)})" + (" or vector(0)" if zero else "")


def rate(metric, by, matching=HERE):
    return f"sum by ({by}) (rate({metric}{{{matching}}}[$__rate_interval]))"


def quantile(share, metric, by, matching=HERE):
    """Of a histogram."""
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{{{matching}}}[$__rate_interval])))"


def q(expr, legend=""):
    return (Query(expr, legend),)


def stat(title, chinese, says, expr, legend="", width=4, **more):
    return Panel(title, chinese, says, q(expr, legend), kind="stat", width=width, height=4, **more)


# Panels that are on more than one page.
FENCE_LEFT = Panel(
    "Time left before the fence", "自我隔离前的剩余时间",
    "How long each replica's gate stays open if the arbiter answered no more. It falls and is filled up again every two seconds; at 0 the "
    "site serves nothing that fails over.",
    q(f"tandem_fence_time_left_seconds{{{HERE}}}", "{{dc}} {{instance}}"), unit="s")
ACTIVE_BY_SITE = Panel(
    "Groups by the site that holds them", "各站点持有的组数",
    "How many failover groups the arbiter's records give to each site. A failover is a step from one to the other.",
    q(f"sum by (site) ({city('tandem_group_active_site', 'group, site')})", "{{site}}"), stacked=True)
EXPOSED = Panel(
    "Groups that would not survive a loss, by reason", "失去站点时无法存续的组（按原因）",
    "A group may have several reasons. docs/failover.md explains each.",
    q(city("tandem_groups_exposed", "reason"), "{{reason}}"), stacked=True)
LAGS = Panel(
    "Publish and follow lag", "发布与跟随延迟",
    "Age of the oldest edit that is not in the arbiter yet, and for how long something of the arbiter is not applied here yet. Both are "
    "0 nearly all the time.",
    (Query(f"max by (dc) (tandem_publish_lag_seconds{{{HERE}}})", "publish {{dc}}"),
     Query(f"max by (dc) (tandem_follow_lag_seconds{{{HERE}}})", "follow {{dc}}")), unit="s")
NOT_READY = Panel(
    "Objects that are not ready, by reason", "未就绪对象（按原因）",
    "Units, environments, applications, groups. `tandem status` names them.",
    q(f'sum by (dc, reason) (max by (dc, kind, reason) (tandem_objects{{{HERE}, ready="false"}}))', "{{dc}} {{reason}}"), stacked=True)
AGENCY_REQUESTS = Panel(
    "Agencies' requests by phase", "各单位申请（按阶段）",
    "Requests for environments, as they stand. Pending ones wait for people.",
    q(city("tandem_requests", "phase"), "{{phase}}"), stacked=True)
ALARMS = Panel(
    "Alarms of the operators", "告警条件",
    "1 while the operators say that the arbiter, the other site or the audit chain is not in order. `tandem status` says what to do.",
    q(f"max by (dc, condition) (tandem_alarm{{{HERE}}})", "{{dc}} {{condition}}"), kind="state-timeline",
    words=((0, "in order", OK), (1, "alarm", BAD)))
CERTIFICATES = Panel(
    "Certificates: time left", "证书剩余有效期",
    "Until each certificate expires. Renew it and restart the program before that.",
    q(f"min by (dc, certificate) (tandem_certificate_expiry_timestamp_seconds{{{HERE}}}) - time()", "{{dc}} {{certificate}}"),
    kind="bargauge", unit="s", colours=((None, BAD), (2 * 86400, WARN), (14 * 86400, OK)))
FIRING = Panel(
    "What is wrong now", "当前告警",
    "Alerts that fire. Each has a page in docs/runbooks.",
    (Query('sum by (alertname, severity, dc, site, reason, unit, resource) (ALERTS{alertname=~"Tandem.*", alertstate="firing"})', "", True),),
    kind="table", width=16, height=8, hidden=("Value",))
VERSIONS = Panel(
    "Versions", "程序版本",
    "Which release each program is.",
    (Query(f"max by (dc, instance, program, version) (tandem_build_info{{{HERE}}})", "", True),), kind="table", hidden=("Value",))

CITY = Dashboard(
    "city", "City", "全市总览", "All at a glance: who serves, what is wrong, whether a loss would be survived.", ("site",),
    (
        Row("Now", (
            stat("Sites that serve", "可服务站点", "Sites whose operators are answered by the arbiter. The others serve nothing that fails over.",
                 "count(min by (dc) (tandem_fenced) == 0) or vector(0)", colours=((None, BAD), (1, WARN), (2, OK))),
            stat("Authority", "发布权所在站点", "Where desired state is written.",
                 "max by (dc) (tandem_authority unless on (dc, instance) tandem_fenced == 1) == 1", "{{dc}}", names=True, colours=GOOD_AT_ANY),
            stat("Groups protected", "受保护的组", "Groups that would survive the loss of their site now.",
                 total("tandem_groups", "readiness", 'readiness="Protected"', zero=False), colours=GOOD_AT_ANY),
            stat("Groups exposed", "未受保护的组", "Groups that would not, or of which it is not known.",
                 total("tandem_groups", "readiness", 'readiness!="Protected"'), colours=NONE_IS_BEST),
            stat("Moves under way", "进行中的切换", "Groups that are being moved, until they serve.",
                 total("tandem_executions", "step", 'step!~"Completed|Resyncing|Protected"'), colours=NONE_IS_BEST),
            stat("Moves that wait for somebody", "等待人工处理的切换", "Blocked by a rule, paused, or in need of a person.",
                 total("tandem_executions_aside", "side", ""), colours=NONE_IS_GOOD),
            FIRING,
            ACTIVE_BY_SITE,
        )),
        Row("Would a loss be survived", (EXPOSED, FENCE_LEFT, LAGS)),
        Row("What runs", (
            Panel("Applications ready", "就绪的应用",
                  "At each site: at the active one they run, at the other they stand by.",
                  q(f'sum by (dc) (max by (dc, reason) (tandem_objects{{{HERE}, kind="Application", ready="true"}}))', "{{dc}}")),
            NOT_READY,
            Panel("Units, environments, applications", "单位、环境与应用数量", "How many there are.",
                  q(f"max by (kind) (sum by (dc, kind) (max by (dc, kind, ready, reason) (tandem_objects{{{HERE}}})))", "{{kind}}")),
        )),
        Row("Agencies", (
            AGENCY_REQUESTS,
            Panel("Requests to the API", "API 请求速率", "Answers a second, by site and class of status. Health checks are left out.",
                  q(rate("tandem_api_requests_total", "dc, status", f'{HERE}, class!="health"'), "{{dc}} {{status}}"), unit="reqps"),
            Panel("Units nearest to their budget", "预算使用最高的单位", "What their environments' quotas take of the budget; the ten highest.",
                  q("topk(10, max by (unit, resource) (tandem_unit_allocated / tandem_unit_budget))", "{{unit}} {{resource}}"),
                  kind="bargauge", unit="percentunit", colours=NEARLY_FULL),
        )),
    ))


def of_unit(title, chinese, resource, unit):
    mine = f'unit="$unit", resource="{resource}"'
    return Panel(title, chinese, "The unit's budget, what the quotas of its environments take of it, and what is used of these at each site.",
                 (Query(f"max(tandem_unit_budget{{{mine}}})", "budget"),
                  Query(f"max(tandem_unit_allocated{{{mine}}})", "quotas"),
                  Query(f"max by (dc) (tandem_unit_used{{{mine}, {HERE}}})", "used {{dc}}")), unit=unit)


UNIT = Dashboard(
    "unit", "Unit", "单位", "One agency: its budget, its quotas, and what it uses of them.", ("site", "unit"),
    (
        Row("How full", (
            Panel("Budget given to environments", "预算分配比例", "What the quotas of the unit's environments take of its budget.",
                  q('max by (resource) (tandem_unit_allocated{unit="$unit"} / tandem_unit_budget{unit="$unit"})', "{{resource}}"),
                  kind="bargauge", unit="percentunit", width=12, colours=NEARLY_FULL),
            Panel("Quotas used", "配额使用比例", "What counts against the quotas, of what the quotas allow. Near 100 % a pod more is refused.",
                  q('max by (dc, resource) (tandem_unit_used{unit="$unit", resource!="environments", dc=~"$site"} / tandem_unit_allocated)',
                    "{{dc}} {{resource}}"),
                  kind="bargauge", unit="percentunit", width=12, colours=NEARLY_FULL),
        )),
        Row("By resource", (
            of_unit("Processors", "处理器", "cpu_cores", "short"),
            of_unit("Memory", "内存", "memory_bytes", "bytes"),
            of_unit("Storage", "存储", "storage_bytes", "bytes"),
            of_unit("Pods", "容器组", "pods", "short"),
            of_unit("Environments", "环境", "environments", "short"),
        )),
    ))

FAILOVER = Dashboard(
    "failover", "Data centres and failover", "数据中心与切换", "Who is active, how near a site is to its fence, and how moves go.", ("site", "group"),
    (
        Row("The sites and the arbiter", (
            Panel("Fenced", "自我隔离", "Whether each replica is fenced: then its gate lets nobody through.",
                  q(f"tandem_fenced{{{HERE}}}", "{{dc}} {{instance}}"), kind="state-timeline", words=FENCED),
            Panel("Leader", "主副本", "Which replica acts for its site.",
                  q(f"tandem_leader{{{HERE}}}", "{{dc}} {{instance}}"), kind="state-timeline", words=YES_NO),
            Panel("Authority", "发布权", "Which site may publish desired state.",
                  q(f"max by (dc) (tandem_authority{{{HERE}}})", "{{dc}}"), kind="state-timeline", words=YES_NO),
            FENCE_LEFT,
            Panel("Heartbeats", "心跳", "A second, by how they ended.",
                  q(rate("tandem_heartbeats_total", "dc, result"), "{{dc}} {{result}}"), unit="ops"),
            Panel("How long the arbiter takes to answer a heartbeat", "仲裁应答心跳的时长", "Half of them, and 99 of 100, are answered within this.",
                  (Query(quantile(0.5, "tandem_heartbeat_duration_seconds", "dc"), "half {{dc}}"),
                   Query(quantile(0.99, "tandem_heartbeat_duration_seconds", "dc"), "99 % {{dc}}")), unit="s"),
            Panel("Silence of the other site", "对端站点静默时长", "Since when its replicas were last heard, by those of this site that hear best.",
                  q(f"min by (dc, site) (tandem_peer_silent_seconds{{{HERE}}})", "{{site}}, as {{dc}} hears it"), unit="s"),
            ALARMS,
            CERTIFICATES,
        )),
        Row("The groups", (
            ACTIVE_BY_SITE,
            Panel("Groups by readiness for a loss", "各组的容灾就绪情况", "How many would survive the loss of their site.",
                  q(city("tandem_groups", "readiness"), "{{readiness}}"), stacked=True),
            EXPOSED,
            Panel("The gates' answers", "闸门应答", "Where the gate lets traffic through for the groups that were chosen above. At most one site, ever.",
                  q(f'max by (group, dc) (tandem_group_active{{{HERE}, group=~"$group"}})', "{{group}} at {{dc}}"),
                  kind="state-timeline", width=16, words=((0, "closed", "transparent"), (1, "active", OK))),
            Panel("Epochs", "纪元", "One more each time a group becomes active somewhere. They never fall.",
                  q(f'max by (group) (tandem_group_epoch{{group=~"$group"}})', "{{group}}")),
        )),
        Row("Moves", (
            Panel("Moves by step", "切换（按步骤）", "Groups that are being moved, by the step that each is at.",
                  q(city("tandem_executions", "step"), "{{step}}"), stacked=True),
            Panel("Moves that wait", "等待中的切换", "Blocked by a rule, paused by somebody, or in need of a person.",
                  q(city("tandem_executions_aside", "side"), "{{side}}"), stacked=True),
            Panel("Steps begun", "已开始的步骤", "Journal entries a second, by the step that they begin.",
                  q(rate("tandem_failover_entries_total", "step"), "{{step}}"), unit="ops"),
            Panel("How long steps take", "各步骤耗时", "19 of 20 take no longer.",
                  q(quantile(0.95, "tandem_failover_step_duration_seconds", "step"), "{{step}}"), unit="s"),
            Panel("How long moves take", "切换总耗时", "From the request, or from the decision, until the group serves: half of them, and 19 of 20.",
                  (Query(quantile(0.5, "tandem_failover_duration_seconds", "type, result"), "half {{type}} {{result}}"),
                   Query(quantile(0.95, "tandem_failover_duration_seconds", "type, result"), "95 % {{type}} {{result}}")), unit="s"),
            Panel("Take-overs", "接管次数", "Groups taken over from a site that fell silent, within ten minutes.",
                  q(f"sum by (dc, cause) (increase(tandem_take_overs_total{{{HERE}}}[10m]))", "{{dc}} {{cause}}")),
            Panel("Calls of moves", "切换调用", "What moves ask of workloads and data services, a second.",
                  q(rate("tandem_failover_calls_total", "call, result"), "{{call}} {{result}}"), unit="ops", width=12),
            Panel("Calls that failed", "失败的调用", "Within ten minutes. They are tried again.",
                  q(f'sum by (dc, call) (increase(tandem_failover_calls_total{{{HERE}, result="failed"}}[10m]))', "{{dc}} {{call}}"), width=12),
        )),
        Row("Drills", (
            Panel("Drills that ended", "已结束的演练", "Groups that were rehearsed within a day, by what that came to.",
                  q(f"sum by (dc, result) (increase(tandem_drills_total{{{HERE}}}[1d]))", "{{dc}} {{result}}"), width=12),
            Panel("Longest without a drill that passed", "最久未通过演练的组",
                  "Of the groups with a schedule: the eight that passed one longest ago.",
                  q(f"topk(8, min by (group) (tandem_drill_success_age_seconds{{{HERE}}}))", "{{group}}"), unit="s", width=12),
        )),
    ))

API = Dashboard(
    "api", "API and requests", "API 与申请", "What agencies ask, how fast they are answered, and what goes wrong.", ("site",),
    (
        Row("Now", (
            stat("Failures", "失败率", "Share of answers that are failures of the server's.",
                 f"dc:tandem_api_errors:ratio_rate5m{{{HERE}}}", "{{dc}}", width=6, unit="percentunit",
                 colours=((None, OK), (0.01, WARN), (0.05, BAD))),
            stat("Answered in time", "按时应答率", "Share of requests answered within half a second. The objective is 95 %.",
                 f"dc:tandem_api_in_time:ratio_rate10m{{{HERE}}}", "{{dc}}", width=6, unit="percentunit",
                 colours=((None, BAD), (0.95, WARN), (0.99, OK))),
            stat("Being worked on", "处理中的请求", "Requests that are not answered yet.",
                 f"sum by (dc) (tandem_api_requests_in_flight{{{HERE}}})", "{{dc}}", width=6),
            stat("Requests that wait for people", "待审批的申请", "Agencies' requests that nobody has decided on.",
                 total("tandem_requests", "phase", 'phase="Pending"'), width=6, colours=NONE_IS_BEST),
        )),
        Row("Answers", (
            Panel("Requests", "请求速率", "Answers a second, by class of path and of status.",
                  q(rate("tandem_api_requests_total", "class, status"), "{{class}} {{status}}"), unit="reqps"),
            Panel("How long answers take", "应答耗时", "Half of them, 19 of 20, 99 of 100. Health checks are left out.",
                  tuple(Query(quantile(share, "tandem_api_request_duration_seconds", "class", f'{HERE}, class!="health"'), f"{name} {{{{class}}}}")
                        for share, name in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))), unit="s"),
            Panel("Waiting for the arbiter", "等待仲裁落盘", "How long a write waits until the arbiter has it; it is answered only then.",
                  tuple(Query(quantile(share, "tandem_api_durable_wait_seconds", "dc"), f"{name} {{{{dc}}}}")
                        for share, name in ((0.5, "half"), (0.99, "99 %"))), unit="s"),
            Panel("Problems", "问题类型", "Answers that say what was wrong, a second, by kind. docs/api.md explains them.",
                  q(rate("tandem_api_problems_total", "kind"), "{{kind}}"), unit="ops"),
            Panel("Sign-ins", "登录", "A second, by way and result.",
                  q(rate("tandem_api_sign_ins_total", "way, result"), "{{way}} {{result}}"), unit="ops"),
            Panel("Requests being worked on", "并发请求", "How many at once.",
                  q(f"sum by (dc) (tandem_api_requests_in_flight{{{HERE}}})", "{{dc}}")),
        )),
        Row("What agencies asked for", (
            AGENCY_REQUESTS,
            CERTIFICATES,
        )),
    ))

OPERATOR = Dashboard(
    "operator", "Operator health", "operator 运行状况", "Whether the operators keep up with what they have to do.", ("site",),
    (
        Row("The replicas", (
            VERSIONS,
            Panel("Leader", "主副本", "Which replica acts for its site.",
                  q(f"tandem_leader{{{HERE}}}", "{{dc}} {{instance}}"), kind="state-timeline", words=YES_NO),
            Panel("Paused, or held by the brake", "暂停与制动", "While a site is paused it writes nothing; while the brake holds it follows nothing.",
                  (Query(f"max by (dc) (tandem_paused{{{HERE}}})", "paused {{dc}}"),
                   Query(f"max by (dc) (tandem_brake_tripped{{{HERE}}})", "brake {{dc}}")), kind="state-timeline",
                  words=((0, "no", "transparent"), (1, "yes", WARN))),
        )),
        Row("Work", (
            Panel("Reconciles", "调谐速率", "A second, by queue and result. `failed` is tried again, later and later.",
                  q(rate("tandem_reconciles_total", "dc, queue, result"), "{{dc}} {{queue}} {{result}}"), unit="ops"),
            Panel("How long reconciles take", "调谐耗时", "19 of 20 take no longer.",
                  q(quantile(0.95, "tandem_reconcile_duration_seconds", "dc, queue"), "{{dc}} {{queue}}"), unit="s"),
            Panel("Queues", "队列深度", "Keys that wait or are being worked on.",
                  q(f"sum by (dc, queue) (tandem_queue_depth{{{HERE}}})", "{{dc}} {{queue}}")),
            Panel("Writes to Kubernetes", "写入 Kubernetes", "A second, by verb. In a steady state there are none.",
                  q(rate("tandem_kubernetes_writes_total", "dc, verb"), "{{dc}} {{verb}}"), unit="ops"),
            NOT_READY,
            ALARMS,
        )),
        Row("Publish and follow", (
            LAGS,
            Panel("Revisions behind the arbiter", "落后的修订数", "The newest revision that is heard of, less the one that is applied everywhere here.",
                  q(f"max by (dc) (tandem_arbiter_revision{{{HERE}}}) - max by (dc) (tandem_applied_revision{{{HERE}}})", "{{dc}}")),
            Panel("Published", "发布", "Objects a second, by kind and result.",
                  q(rate("tandem_publishes_total", "kind, result"), "{{kind}} {{result}}"), unit="ops"),
            Panel("Conflicts", "冲突", "Edits made without authority that were saved and put back, within ten minutes.",
                  q(f"sum by (dc, kind) (increase(tandem_conflicts_total{{{HERE}}}[10m]))", "{{dc}} {{kind}}")),
        )),
        Row("Audit", (
            Panel("Audit chain: newest entry", "审计链最新编号", "Its number.",
                  q(f"max by (dc) (tandem_audit_head{{{HERE}}})", "{{dc}}")),
            Panel("Entries that wait", "待入链条目", "For their place in the chain. A few for a moment are usual.",
                  q(f"max by (dc) (tandem_audit_pending{{{HERE}}})", "{{dc}}")),
            Panel("Entries written, and drift that was not", "入链速率与未记录的漂移", "Entries a second; and what was put back within an hour and never written down.",
                  (Query(rate("tandem_audit_entries_total", "dc"), "entered {{dc}}"),
                   Query(f"sum by (dc) (increase(tandem_drift_untold_total{{{HERE}}}[1h]))", "untold {{dc}}"))),
        )),
    ))

DASHBOARDS = (CITY, UNIT, FAILOVER, API, OPERATOR)
