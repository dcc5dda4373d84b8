//! The sentences in Chinese.

use super::{Reason, Step};

fn groups_named(groups: &[String]) -> String {
    let (shown, left_out) = super::first(groups);
    let shown = shown.join("、");
    if left_out == 0 { shown } else { format!("{shown} 等 {} 个组", groups.len()) }
}

pub(super) fn sentence(reason: &Reason) -> String {
    match reason {
        Reason::Going { step } => format!("{}进行中", self::step(*step)),
        Reason::Over => "本次执行已结束".to_owned(),
        Reason::NotConcerned { site } => format!("站点 {site} 不参与本次切换"),
        Reason::NotLeader => "本站点由另一个副本负责执行".to_owned(),
        Reason::NotDriver { site } => format!("当前由站点 {site} 推进"),
        Reason::Fenced { site } => format!("站点 {site} 已自行隔离：仲裁未在时限内应答"),
        Reason::AnswerOutstanding => "上一个事务的结果未知，正在重新读取记录".to_owned(),
        Reason::StaleView => "本地看到的记录不是最新，等待更新".to_owned(),
        Reason::TokenRefused => "调用被拒绝：对方已见到更新的决定".to_owned(),
        Reason::Contradiction => "组记录与执行日志相互矛盾，处理之前请先核对两者".to_owned(),
        Reason::Unconfirmed => "仲裁数据经过恢复，须先确认当前持有方".to_owned(),
        Reason::NotBegun => "组记录中已不再登记任何执行".to_owned(),
        Reason::OtherExecution { execution } => format!("该组正由执行 {execution} 切换"),
        Reason::Superseded { epoch } => format!("该组已由其他执行推进，当前纪元为 {epoch}"),
        Reason::EpochMoved { expected, found } => {
            format!("申请时纪元为 {expected}，当前为 {found}，请重新查看后再申请")
        }
        Reason::AbortAsked => "有人要求中止并回退".to_owned(),
        Reason::PauseAsked => "有人要求暂停".to_owned(),
        Reason::Reclaimed => "源站点已收回该组".to_owned(),
        Reason::ApprovalsLacking { given, wanted } => format!("需要 {wanted} 名不同人员批准，已有 {given} 名"),
        Reason::Held { scope } => format!("冻结 {scope} 生效期间禁止任何提升"),
        Reason::DrillRunning => "须先清除演练的副本".to_owned(),
        Reason::DrillIsElsewhere => "演练不切换任何组".to_owned(),
        Reason::WaitsFor { groups } => format!("等待以下组：{}", groups_named(groups)),
        Reason::DependsOnStuck { groups } => format!("所依赖的组无法继续：{}", groups_named(groups)),
        Reason::SourceNotReady { site } => format!("该组在站点 {site} 不健康；若该站点已失效，请申请故障切换"),
        Reason::SourceSilent { site } => format!("站点 {site} 失去联系；可申请故障切换，或待其恢复后继续"),
        Reason::SourceNotFollowing { site } => format!("站点 {site} 尚未作为备用跟随"),
        Reason::TargetNotReady { site } => format!("该组在站点 {site} 未就绪"),
        Reason::TargetSilent { site } => format!("站点 {site} 失去联系"),
        Reason::TargetBehind { site } => format!("站点 {site} 尚未收到全部数据"),
        Reason::StandbyNotFollowing { site } => format!("站点 {site} 的数据未跟随主用站点"),
        Reason::NoOtherSite => "未发现其他站点".to_owned(),
        Reason::NoRoom { site } => format!("站点 {site} 容量不足"),
        Reason::RoomUnknown { site } => format!("站点 {site} 的容量情况未知"),
        Reason::LagUnknown { site } => format!("站点 {site} 的复制延迟未知"),
        Reason::LagTooGreat { site, lag, most } => format!("站点 {site} 落后 {lag} 秒，计划切换要求不超过 {most} 秒"),
        Reason::RpoExceeded { exposure, rpo } => {
            format!("最多可能丢失 {exposure} 秒的写入，RPO 为 {rpo} 秒；须接受数据丢失并由两人批准")
        }
        Reason::RpoUnknown { rpo } => {
            format!("可能丢失的数据量未知，RPO 为 {rpo} 秒；须不设上限地接受数据丢失并由两人批准")
        }
        Reason::MoreThanAccepted { exposure, accepted } => {
            format!("最多可能丢失 {exposure} 秒的写入，仅接受 {accepted} 秒")
        }
        Reason::HolderAlive { site, silent, least } => {
            format!("站点 {site} 已静默 {silent} 秒，须达到 {least} 秒；若其仍存活，请申请计划切换")
        }
        Reason::HolderUnwatched { site } => format!("本站点未监视站点 {site} 的心跳"),
        Reason::HolderReturned { site } => format!("尚未执行任何操作，站点 {site} 已恢复联系"),
        Reason::HeldHere => "该组由本站点持有".to_owned(),
        Reason::ReleasedTo { site } => format!("该组已释放给站点 {site}，尚未被接管"),
        Reason::NotAutomatic => "该组为手动模式".to_owned(),
        Reason::NotReadyLongEnough { site, ready, least } => {
            format!("站点 {site} 已就绪 {ready} 秒，自动切换要求 {least} 秒")
        }
        Reason::Dwelling { here, least } => format!("该组在当前站点停留 {here} 秒，须停留 {least} 秒"),
        Reason::TooManyFailovers { lately, most } => format!("一天内已自动切换 {lately} 次，最多允许 {most} 次"),
        Reason::TooLong { step } => format!("{}超过时限", self::step(*step)),
        Reason::CallFailed { what, why } => format!("调用 {what} 失败，将重试：{why}"),
        Reason::ClaimTooLate { site } => format!("站点 {site} 未在时限内接管"),
        Reason::AwaitsClaim { site } => format!("已释放，等待站点 {site} 接管"),
        Reason::ReleaseNotSeen { site } => format!("站点 {site} 并非所有副本都已看到释放"),
        Reason::NoFenceProof => "没有源站点已隔离的证据，不予提升".to_owned(),
        Reason::NoTolerance => "仲裁已无法再承受失去一个成员".to_owned(),
        Reason::GateOnly => "没有数据提供方：只保证单一主用站点，不保证数据".to_owned(),
        Reason::SecretMissing { site, secret } => {
            format!("站点 {site} 缺少 Secret {secret} 或其不可用，请在该站点创建")
        }
        Reason::NoEndpoint { site } => {
            format!("数据提供者的设置未给出站点 {site}，请补充 spec.hook.sites 或 spec.patroni.sites")
        }
        Reason::ProviderSilent { site, why } => format!("站点 {site} 的数据服务未正常应答：{why}"),
        Reason::BelowFloor { field, seconds, least } => format!("{field} 为 {seconds} 秒，请设为 {least} 秒或以上"),
        Reason::AboveCeiling { field, value, most } => format!("{field} 为 {value}，请设为 {most} 或以下"),
        Reason::RpoTooStrictForAutomatic { rpo, least } => {
            format!("异步复制下自动切换无法满足 {rpo} 秒的 RPO；请设为 {least} 秒或以上、改用同步复制或手动模式")
        }
        Reason::Unknown => "新版本给出了本版本不认识的原因".to_owned(),
    }
}

pub(super) fn step(step: Step) -> &'static str {
    match step {
        Step::Validating => "校验",
        Step::AwaitingApproval => "等待批准",
        Step::Quiescing => "停写",
        Step::FinalSync => "最终同步",
        Step::Demoting => "降级",
        Step::Fencing => "隔离",
        Step::EpochCommitted => "提交纪元",
        Step::Promoting => "提升",
        Step::Redirecting => "切换流量",
        Step::Verifying => "验证",
        Step::Completed => "完成",
        Step::Resyncing => "重新同步",
        Step::Protected => "受保护",
        Step::RolledBack => "回退",
    }
}
