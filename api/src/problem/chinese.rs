//! The sentences in Chinese.

use super::{Allowance, Fault, Problem, Refusal};
use tandem_core::failover::Language;
use tandem_core::ledger;

pub(super) fn title(problem: &Problem) -> &'static str {
    match problem {
        Problem::Unauthenticated(_) => "未登录",
        Problem::Forbidden => "无权操作",
        Problem::OfficesConflict => "岗位须分离",
        Problem::UnitUnclear => "所属单位不唯一",
        Problem::NotFound => "未找到",
        Problem::NoSuchPath => "路径不存在",
        Problem::MethodNotAllowed => "不支持该方法",
        Problem::Invalid(_) => "字段有误",
        Problem::TooLarge { .. } => "请求体过长",
        Problem::TooMany { .. } => "请求过于频繁",
        Problem::Overloaded => "系统过载",
        Problem::TooSlow => "处理超时",
        Problem::KeysUnavailable => "无法校验令牌",
        Problem::NotRead => "数据尚未读取",
        Problem::NotJson => "请求体不是 JSON",
        Problem::NotAcceptable { .. } => "没有该格式",
        Problem::NotInForce(_) => "尚未生效",
        Problem::NoReport => "没有报告",
        Problem::Unfinished => "请求体不完整",
        Problem::Declined(_) | Problem::FailoverDeclined(_) => "当前不允许",
        Problem::OverBudget(_) => "超出单位预算",
        Problem::Misdirected { .. } => "写入权在另一站点",
        Problem::AuthorityMoved => "写入权正在迁移",
        Problem::KeyReused => "该键已用于其他请求",
        Problem::InProgress => "正在处理",
        Problem::Exists => "已存在",
        Problem::KeptChanging => "对象不断被他人修改",
        Problem::ArbiterUnavailable => "仲裁集群无响应",
        Problem::NoAudit => "无法写入审计",
        Problem::NotWritten => "未写入",
        Problem::NotKnown => "是否写入未知",
        Problem::NotDurable => "尚未确认发布",
        Problem::ChainBroken { .. } => "审计链断裂",
        Problem::Internal => "服务内部错误",
    }
}

pub(super) fn detail(problem: &Problem) -> String {
    match problem {
        Problem::Unauthenticated(refusal) => self::refusal(refusal),
        Problem::Forbidden => "您的角色不允许此操作；可在 /v1/me 查看您的角色".to_owned(),
        Problem::OfficesConflict => "您同时具有系统管理员、安全管理员、审计管理员中的多个角色，三者须由不同人员担任；\
            请在授予角色处更正"
            .to_owned(),
        Problem::UnitUnclear => "您所在的用户组属于多个单位；请让签发方在单位声明中写明您代表的单位".to_owned(),
        Problem::NotFound => "没有该名称的对象，或该对象不属于您；列表中可查看您能看到的内容".to_owned(),
        Problem::NoSuchPath => "该路径下没有内容；可在 /docs 查看全部接口".to_owned(),
        Problem::MethodNotAllowed => "该路径不支持此方法；可在 /docs 查看支持的方法".to_owned(),
        Problem::Invalid(faults) => match faults.as_slice() {
            [one] => format!("{}：{}", one.field, fault(&one.fault)),
            many => format!("有 {} 个字段有误，详见 errors", many.len()),
        },
        Problem::TooLarge { most } => format!("请求体超过 {most} 字节的上限"),
        Problem::TooMany { whose, .. } => {
            let whose = match whose {
                Allowance::Address => "该地址",
                Allowance::Client => "您",
                Allowance::Unit => "您所在的单位",
            };
            format!("{whose}的请求超出限额；请在 Retry-After 所示时间之后重试")
        }
        Problem::Overloaded => "当前请求过多，本次请求未作任何处理；请在 Retry-After 所示时间之后重试".to_owned(),
        Problem::TooSlow => "请求未能按时完成；请加快发送请求体，或在 Retry-After 所示时间之后重试".to_owned(),
        Problem::KeysUnavailable => "无法获取签发方的公钥，因而不能校验令牌；请稍后重试，或使用客户端证书".to_owned(),
        Problem::NotRead => "尚未读取本站点的对象；请在 Retry-After 所示时间之后重试".to_owned(),
        Problem::NotJson => "请发送 Content-Type: application/json 及 JSON 格式的请求体".to_owned(),
        Problem::NotAcceptable { known } => format!("没有 Accept 所要求的格式；可用格式为 {}", known.join("、")),
        Problem::NotInForce(gap) => gap.sentence(Language::Chinese),
        Problem::NoReport => {
            "该切换没有报告：报告在切换结束数秒后写成，被拒绝的请求没有报告。此前请跟踪其进度。".to_owned()
        }
        Problem::Unfinished => "请求体未发送完整；请使用同一 Idempotency-Key 重新发送".to_owned(),
        Problem::Declined(refusal) => refusal.sentence(Language::Chinese),
        Problem::FailoverDeclined(refusal) => refusal.sentence(Language::Chinese),
        Problem::OverBudget(refusal) => over_budget(refusal),
        Problem::Misdirected { site, address: Some(address) } => {
            format!("当前写入权在 {site}：请使用同一 Idempotency-Key 发送至 {address}；此处未作任何处理")
        }
        Problem::Misdirected { site, address: None } => {
            format!("当前写入权在 {site}：请使用同一 Idempotency-Key 发送至该站点的接口；此处未作任何处理")
        }
        Problem::AuthorityMoved => {
            "写入权正在站点之间迁移，本次未作任何处理；请在 Retry-After 所示时间之后使用同一 Idempotency-Key 重试"
                .to_owned()
        }
        Problem::KeyReused => "该 Idempotency-Key 已用于另一请求；请为每个请求使用各自的键".to_owned(),
        Problem::InProgress => "使用该 Idempotency-Key 的请求正在处理；请在 Retry-After 所示时间之后再查询".to_owned(),
        Problem::Exists => "已有同名的其他对象；请在列表中查看，或另选名称".to_owned(),
        Problem::KeptChanging => "该对象同时被他人反复修改，本次未作任何处理；请重新查看后再试".to_owned(),
        Problem::ArbiterUnavailable => {
            "两站点共用的仲裁集群无响应，此时不作任何决定，查询仍可进行；请使用同一 Idempotency-Key 重试".to_owned()
        }
        Problem::NoAudit => "目前无法写入审计链，未留痕则不执行；请使用同一 Idempotency-Key 重试".to_owned(),
        Problem::NotWritten => {
            "本站点的 API 服务器未接受，本次未作任何处理；请使用同一 Idempotency-Key 重试".to_owned()
        }
        Problem::NotKnown => {
            "本站点的 API 服务器未答复是否已写入；请使用同一 Idempotency-Key 重试，不会重复执行".to_owned()
        }
        Problem::NotDurable => {
            "已写入本站点，但尚未确认发布，因而暂不承诺；请使用同一 Idempotency-Key 重试，不会重复执行".to_owned()
        }
        Problem::ChainBroken { seq } => {
            format!("第 {seq} 条记录与之前的内容不衔接：审计链被改动过，或仲裁集群曾恢复；请与另行保存的链头和分段核对")
        }
        Problem::Internal => "服务内部出错，原因见服务日志".to_owned(),
    }
}

fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Nothing => "未出示令牌或客户端证书；请发送 Authorization: Bearer 和签发方的令牌".to_owned(),
        Refusal::NotBearer => "Authorization 请求头须为 Bearer、一个空格和一个令牌".to_owned(),
        Refusal::NoIssuer => "此处未配置令牌签发方；请出示客户端证书".to_owned(),
        Refusal::TooLong { most } => format!("令牌超过 {most} 字节；请让签发方减少其中的声明"),
        Refusal::Malformed => "令牌不是已签名的 JSON Web Token；请向签发方重新获取".to_owned(),
        Refusal::Algorithm => "此处不允许该令牌的签名算法；请让签发方按配置使用 RS256、ES256 或 EdDSA".to_owned(),
        Refusal::NoKeyId => "令牌未指明密钥；请让签发方在头部写入 kid".to_owned(),
        Refusal::UnknownKey => "签发方未公布令牌所指的密钥；请重新获取令牌".to_owned(),
        Refusal::Signature => "令牌签名不符；请向签发方重新获取".to_owned(),
        Refusal::Issuer => "令牌并非由此处配置的签发方签发".to_owned(),
        Refusal::Audience => "令牌不是发给本服务的；请获取以本服务为受众的令牌".to_owned(),
        Refusal::Expired => "令牌已过期；请重新获取".to_owned(),
        Refusal::NotYet => "令牌尚未生效；请核对您与签发方的时钟".to_owned(),
        Refusal::Claim { claim } => format!("令牌的声明 {claim} 缺失或不正确"),
        Refusal::CertificateExpired => "客户端证书已过期；请使用新证书重新连接".to_owned(),
        Refusal::Subject => "客户端证书须有且只有一个写明姓名的 CN，且每个 O 须为 tandem:unit:<单位> 或 \
            tandem:role:<角色>"
            .to_owned(),
    }
}

pub(super) fn fault(fault: &Fault) -> String {
    match fault {
        Fault::Range { least, most } => format!("须为 {least} 至 {most} 之间的数字"),
        Fault::Unknown { known } => format!("此处没有该字段；可用的有 {}", known.join("、")),
        Fault::Twice => "重复给出；请只给出一次".to_owned(),
        Fault::Value { known } => format!("须为以下之一：{}", known.join("、")),
        Fault::Key { longest } => {
            format!("缺失或不可用：须为 1 至 {longest} 个不含空格的可见字符，每个请求各不相同，例如随机 UUID")
        }
        Fault::Shape(what) => format!("格式不符：{what}"),
        Fault::NoSuchField => "此处没有该字段；请去掉或更正名称；可在 /docs 查看可用字段".to_owned(),
        Fault::Said(what) => format!("不符合规则：{what}"),
        Fault::Plan(error) => error.sentence(Language::Chinese),
        Fault::OneOf { fields: [one, other] } => format!("{one} 与 {other} 须给出且只给出其一"),
        Fault::Moment => "不是过去的时点：请给出修订号（如 42）或时间（如 2026-01-31T08:00:00+08:00）".to_owned(),
        Fault::Gap(gap) => gap.sentence(Language::Chinese),
        Fault::Continue => "不是此前列表返回的 continue；请去掉后从头开始".to_owned(),
    }
}

fn over_budget(refusal: &ledger::Refusal) -> String {
    let list = |shortfalls: &[ledger::Shortfall]| {
        let parts: Vec<String> = shortfalls
            .iter()
            .map(|s| {
                let human = |amount| s.resource.human(amount);
                format!("{} 申请 {}，可用 {}，总额 {}", s.resource, human(s.asked), human(s.free), human(s.budget))
            })
            .collect();
        parts.join("；")
    };
    match refusal {
        ledger::Refusal::OverBudget { environment, shortfalls } => {
            format!("环境 {environment} 超出单位预算：{}；请减少申请、缩减其他环境或提高预算", list(shortfalls))
        }
        ledger::Refusal::NoBudget => "该单位尚无预算；请先建立单位及其预算".to_owned(),
        // Those below are not met by requests.
        ledger::Refusal::BelowTaken { .. } => "预算不能低于已占用的数量".to_owned(),
        ledger::Refusal::NameHeld { environment, .. } => format!("名称 {environment} 已被其他环境占用"),
        ledger::Refusal::StillTaken { .. } => "该单位仍有环境".to_owned(),
    }
}
