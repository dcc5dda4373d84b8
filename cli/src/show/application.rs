//! Applications for people.

use super::{called, facts, ready_cells, sites};
use crate::failover::groups;
use crate::failover::plan_text::sentence;
use crate::failover::table::{self, duration};
use crate::language::Lang;
use crate::ready;
use tandem_crds::{Application, Endpoint, FailoverGroup, StandbyClass};

fn standby(class: StandbyClass, lang: Lang) -> &'static str {
    match class {
        StandbyClass::Cold => lang.say("Cold", "冷备"),
        StandbyClass::Warm => lang.say("Warm", "温备"),
        StandbyClass::Hot => lang.say("Hot", "热备"),
    }
}

/// A list of them.
#[must_use]
pub fn table(applications: &[&Application], wide: bool, lang: Lang) -> String {
    let mut header = lang
        .say(
            ["APPLICATION", "NAME", "GROUP", "ACTIVE", "TIER", "STANDBY", "PODS", "READY", "WHY"],
            ["应用", "名称", "组", "主用", "级别", "备用方式", "容器组", "就绪", "原因"],
        )
        .to_vec();
    if wide {
        header.extend(["RTO", "RPO"]);
    }
    let mut table = table::table(header);
    for application in applications {
        let (spec, status) = (&application.spec, application.status.clone().unwrap_or_default());
        let pods = status
            .sites
            .iter()
            .filter_map(|site| site.pods.map(|pods| format!("{} {}/{}", site.site, pods.ready, pods.wanted)));
        let mut row = vec![
            ready::full_name(*application),
            called(&spec.display_name, lang),
            status.failover_group.unwrap_or_else(|| "?".to_owned()),
            status.active_site.unwrap_or_else(|| "?".to_owned()),
            spec.tier.to_string(),
            standby(spec.standby_class, lang).to_owned(),
            pods.collect::<Vec<_>>().join(", "),
        ];
        row.extend(ready_cells(*application, wide, lang));
        if wide {
            row.extend([spec.rto_seconds, spec.rpo_seconds].map(seconds));
        }
        table.add_row(row);
    }
    table::text(&table)
}

// Seconds as people say them; no objective comes near what a f64 cannot hold.
#[allow(clippy::cast_precision_loss)]
fn seconds(seconds: Option<i64>) -> String {
    seconds.map(|seconds| duration(seconds as f64)).unwrap_or_default()
}

/// One in detail; with its group, where that can be read.
#[must_use]
pub fn detail(application: &Application, group: Option<&FailoverGroup>, lang: Lang) -> String {
    let (spec, status) = (&application.spec, application.status.clone().unwrap_or_default());
    let mut text = format!("{}  {}\n\n", ready::full_name(application), called(&spec.display_name, lang));
    let own = lang.say("its own", "独立").to_owned();
    let reference = |other: &tandem_crds::ApplicationRef| match &other.environment {
        Some(environment) => format!("{environment}/{}", other.application),
        None => other.application.clone(),
    };
    text.push_str(&facts(&[
        (
            lang.say("failover group", "故障切换组"),
            status.failover_group.clone().or_else(|| spec.failover_group.clone()).unwrap_or(own),
        ),
        (lang.say("active at", "主用站点"), status.active_site.clone().unwrap_or_else(|| "?".to_owned())),
        (lang.say("tier", "级别"), spec.tier.to_string()),
        (lang.say("standby", "备用方式"), standby(spec.standby_class, lang).to_owned()),
        ("RTO", seconds(spec.rto_seconds)),
        ("RPO", seconds(spec.rpo_seconds)),
        (lang.say("after", "依赖"), spec.dependencies.iter().map(reference).collect::<Vec<_>>().join(", ")),
    ]));
    if let Some(group) = group {
        text.push_str(&protection(group, lang));
    }
    text.push('\n');
    text.push_str(&components(application, lang));
    let endpoints = spec.endpoints.iter().flatten().map(endpoint).collect::<Vec<_>>();
    if !endpoints.is_empty() {
        text.push_str(&format!("\n{}\n", lang.say("Endpoints", "访问入口")));
        endpoints.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text.push('\n');
    text.push_str(&sites(&status.sites, lang));
    // What no site says: why it is not published, or that it is on its way.
    if let Some(why) = ready::why_not(application).filter(|_| status.sites.iter().all(|site| site.ready)) {
        text.push_str(&format!("{}: {}\n", why.reason, why.message));
    }
    text
}

fn protection(group: &FailoverGroup, lang: Lang) -> String {
    let row = groups::row(group);
    let state = match row.protected {
        Some(true) => lang.say("would survive the loss of that site", "主用站点失效时可接管"),
        Some(false) => lang.say("would not survive the loss of that site", "主用站点失效时无法接管"),
        None => lang.say("nobody has said whether it would survive the loss of that site", "保护状态未知"),
    };
    let why = row.why.iter().map(|why| sentence(why, lang)).collect::<Vec<_>>().join("; ");
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    let mut text = format!("{state}{why}\n");
    if let Some(execution) = row.execution {
        let moving = lang.say("moving: tandem failover watch", "切换中：tandem failover watch");
        text.push_str(&format!("{moving} {execution}\n"));
    }
    text
}

fn components(application: &Application, lang: Lang) -> String {
    let mut table = table::table(lang.say(
        ["COMPONENT", "IMAGE", "ACTIVE", "STANDBY", "CPU", "MEMORY"],
        ["组件", "镜像", "主用数", "备用数", "CPU", "内存"],
    ));
    // How many run at the standby is for the class to say; one where a warm one leaves it out.
    let resting = |replicas: tandem_crds::Replicas| match application.spec.standby_class {
        StandbyClass::Cold => 0,
        StandbyClass::Warm => replicas.standby.unwrap_or(1),
        StandbyClass::Hot => replicas.active,
    };
    for component in application.spec.components.iter().flatten() {
        table.add_row([
            component.name.clone(),
            component.image.clone(),
            component.replicas.active.to_string(),
            resting(component.replicas).to_string(),
            component.resources.cpu.0.clone(),
            component.resources.memory.0.clone(),
        ]);
    }
    for adopted in application.spec.adopt.iter().flatten() {
        table.add_row([
            format!("{} {}", adopted.kind.name(), adopted.name),
            lang.say("(adopted)", "（接管）").to_owned(),
            adopted.replicas.active.to_string(),
            resting(adopted.replicas).to_string(),
            String::new(),
            String::new(),
        ]);
    }
    table::text(&table)
}

fn endpoint(endpoint: &Endpoint) -> String {
    let scheme = if endpoint.tls_secret.is_some() { "https" } else { "http" };
    let urls = endpoint.hosts.iter().map(|host| format!("{scheme}://{host}{}", endpoint.path));
    let component = endpoint.component.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let urls: Vec<String> = urls.collect();
    format!("{}:{component} port {} {}", endpoint.name, endpoint.port, urls.join(" ")).trim_end().to_owned()
}
