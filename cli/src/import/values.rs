//! What people write in cells, as values. Every function takes a cell's text and answers with the value, or with what is
//! wrong and what would be right.

use super::decode::half_width;
use tandem_crds::{Purpose, StandbyClass, UnitLevel};

/// Why a cell has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// What is wrong; begins with the text as it stands.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

fn bad<T>(what: impl Into<String>, remedy: impl Into<String>) -> Result<T, BadValue> {
    Err(BadValue { what: what.into(), remedy: remedy.into() })
}

/// The unit of a number of bytes that has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteUnit {
    /// 2^20 bytes.
    Mebi,
    /// 2^30 bytes.
    Gibi,
    /// 2^40 bytes.
    Tebi,
}

impl ByteUnit {
    fn bytes(self) -> i128 {
        match self {
            Self::Mebi => 1 << 20,
            Self::Gibi => 1 << 30,
            Self::Tebi => 1 << 40,
        }
    }
}

/// The longest name of a unit or system, in bytes of its code.
pub const LONGEST_CODE: usize = 40;
const MOST_MILLICORES: i128 = 256_000;
const MOST_MEMORY: i128 = 4 << 40;
const MOST_STORAGE: i128 = 8 << 50;
/// The longest recovery objective: a year, in seconds.
pub const LONGEST_OBJECTIVE: i64 = 31_536_000;

/// The cell's text in one form: half-width, in lower case, without spaces.
fn plain(text: &str) -> String {
    half_width(text).to_lowercase().chars().filter(|c| !c.is_whitespace()).collect()
}

/// A number with up to three decimals, in thousandths, and what follows it.
fn number(text: &str) -> Option<(i128, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if whole.is_empty() || whole.len() > 12 || fraction.is_empty() || fraction.len() > 3 || fraction.contains('.') {
        return None;
    }
    let thousandths: i128 = format!("{fraction:0<3}").parse().ok()?;
    Some((whole.parse::<i128>().ok()? * 1_000 + thousandths, rest))
}

/// Processor time in millicores: `4`, `4C`, `4核`, `0.5 cores`, `500m`.
///
/// # Errors
/// For anything else, for nothing and for more than `most` millicores.
fn millicores_up_to(text: &str, most: i128) -> Result<i64, BadValue> {
    const REMEDY: &str = "Write processor cores, such as 4, 4C, 4核, 0.5核 or 500m.";
    let form = plain(text);
    let value = number(&form).and_then(|(thousandths, rest)| match rest {
        "" | "c" | "核" | "核心" | "core" | "cores" | "cpu" | "cpus" | "vcpu" | "vcpus" | "个" => Some(thousandths),
        "m" if thousandths % 1_000 == 0 => Some(thousandths / 1_000),
        _ => None,
    });
    match value {
        None => bad(format!("'{text}' is no amount of processor time."), REMEDY),
        Some(0) => bad(format!("'{text}' is nothing at all."), REMEDY),
        Some(millis) if millis > most => bad(
            format!("'{text}' is more than {} cores.", most / 1_000),
            "Write the cores of one pod, not those of all.",
        ),
        Some(millis) => Ok(i64::try_from(millis).unwrap_or(i64::MAX)),
    }
}

/// Processor time of one pod in millicores; at most 256 cores.
///
/// # Errors
/// As described in [`BadValue`].
pub fn millicores(text: &str) -> Result<i64, BadValue> {
    millicores_up_to(text, MOST_MILLICORES)
}

/// Processor time of a whole unit in millicores; at most a million cores.
///
/// # Errors
/// As described in [`BadValue`].
pub fn budget_millicores(text: &str) -> Result<i64, BadValue> {
    millicores_up_to(text, 1_000_000_000)
}

/// Bytes. `8G`, `8GB`, `8Gi` and `8GiB` are all 8 × 2^30: this is what a spreadsheet of servers means.
fn bytes(text: &str, bare: ByteUnit, remedy: &str, most: i128, too_much: &str) -> Result<i64, BadValue> {
    let form = plain(text);
    let value = number(&form).and_then(|(thousandths, rest)| {
        let unit: i128 = match rest {
            "" => bare.bytes(),
            "k" | "kb" | "ki" | "kib" => 1 << 10,
            "m" | "mb" | "mi" | "mib" | "兆" => 1 << 20,
            "g" | "gb" | "gi" | "gib" => 1 << 30,
            "t" | "tb" | "ti" | "tib" => 1 << 40,
            "p" | "pb" | "pi" | "pib" => 1 << 50,
            _ => return None,
        };
        thousandths.checked_mul(unit).map(|amount| (amount + 999) / 1_000)
    });
    match value {
        None => bad(format!("'{text}' is no amount of bytes."), remedy),
        Some(amount) if amount > most => bad(format!("'{text}' is {too_much}."), remedy),
        Some(amount) => Ok(i64::try_from(amount).unwrap_or(i64::MAX)),
    }
}

/// Memory of one pod in bytes.
///
/// # Errors
/// For what is no amount, for nothing and for more than 4 TiB.
pub fn memory(text: &str, bare: ByteUnit) -> Result<i64, BadValue> {
    const REMEDY: &str =
        "Write the memory of one pod with its unit, such as 8Gi or 512Mi (8G and 8GB are read as 8Gi).";
    match bytes(text, bare, REMEDY, MOST_MEMORY, "more than 4 TiB")? {
        0 => bad(format!("'{text}' is nothing at all."), REMEDY),
        amount => Ok(amount),
    }
}

/// Storage of a system in bytes; 0 is allowed.
///
/// # Errors
/// For what is no amount, and for more than 8 PiB.
pub fn storage(text: &str, bare: ByteUnit) -> Result<i64, BadValue> {
    const REMEDY: &str = "Write the storage with its unit, such as 200Gi or 4Ti (200G and 200GB are read as 200Gi).";
    bytes(text, bare, REMEDY, MOST_STORAGE, "more than 8 PiB")
}

/// Memory or storage of a whole unit in bytes.
///
/// # Errors
/// For what is no amount, and for more than 1024 PiB.
pub fn budget_bytes(text: &str, bare: ByteUnit) -> Result<i64, BadValue> {
    bytes(text, bare, "Write the budget with its unit, such as 500Gi or 20Ti.", 1 << 60, "more than 1024 PiB")
}

/// A whole number in a range.
///
/// # Errors
/// For what is no whole number or is outside the range.
pub fn whole(text: &str, from: i64, to: i64) -> Result<i64, BadValue> {
    let form = plain(text);
    let form = form.strip_suffix(".0").unwrap_or(&form);
    let form = form.strip_suffix(['个', '级']).unwrap_or(form);
    let digits_only = !form.is_empty() && form.len() <= 12 && form.bytes().all(|b| b.is_ascii_digit());
    match form.parse::<i64>().ok().filter(|_| digits_only) {
        Some(value) if (from..=to).contains(&value) => Ok(value),
        _ => bad(
            format!("'{text}' is no whole number from {from} to {to}."),
            format!("Write a number from {from} to {to}."),
        ),
    }
}

/// A tier: 0 (brought up first) to 3 (last).
///
/// # Errors
/// For anything else.
pub fn tier(text: &str) -> Result<i32, BadValue> {
    let form = plain(text);
    let form = form.trim_start_matches("tier").trim_start_matches('t');
    match whole(form, 0, 3) {
        Ok(value) => Ok(i32::try_from(value).unwrap_or(3)),
        Err(_) => bad(format!("'{text}' is no tier."), "Write 0 (brought up first), 1, 2 or 3 (brought up last)."),
    }
}

/// A recovery objective in seconds: `30s`, `15分钟`, `4h`, `1小时30分钟`, `1天`, `0`.
///
/// # Errors
/// For a number without a unit of time, for what is no duration, and for more than a year.
pub fn seconds(text: &str) -> Result<i64, BadValue> {
    const REMEDY: &str = "Write a time with its unit, such as 30s, 15分钟, 4h, 1小时30分钟 or 1天.";
    let form = plain(text);
    let mut rest = form.trim_start_matches(['≤', '<', '=']);
    if rest == "0" {
        return Ok(0);
    }
    let mut total: i128 = 0;
    let wrong = || bad(format!("'{text}' is no time."), REMEDY);
    if rest.is_empty() {
        return wrong();
    }
    while !rest.is_empty() {
        let Some((thousandths, after)) = number(rest) else { return wrong() };
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let unit: i128 = match unit {
            "s" | "sec" | "secs" | "second" | "seconds" | "秒" | "秒钟" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" | "分" | "分钟" => 60,
            "h" | "hr" | "hrs" | "hour" | "hours" | "时" | "小时" | "个小时" => 3_600,
            "d" | "day" | "days" | "天" | "日" => 86_400,
            "" => return bad(format!("'{text}' has no unit of time."), REMEDY),
            _ => return wrong(),
        };
        total += thousandths * unit;
        rest = next;
    }
    match i64::try_from((total + 999) / 1_000) {
        Ok(seconds) if seconds <= LONGEST_OBJECTIVE => Ok(seconds),
        _ => bad(format!("'{text}' is more than a year."), REMEDY),
    }
}

/// Where in the government a unit stands.
///
/// # Errors
/// For anything but city, county, township and village, in Chinese or English.
pub fn level(text: &str) -> Result<UnitLevel, BadValue> {
    match plain(text).trim_end_matches('级').trim_end_matches("level") {
        "市" | "地市" | "city" | "municipal" | "prefecture" => Ok(UnitLevel::City),
        "县" | "区" | "县区" | "县(区)" | "县/区" | "区县" | "county" | "district" => Ok(UnitLevel::County),
        "乡" | "镇" | "乡镇" | "乡/镇" | "街道" | "township" | "town" => Ok(UnitLevel::Township),
        "村" | "社区" | "村居" | "village" => Ok(UnitLevel::Village),
        _ => bad(format!("'{text}' is no level."), "Write 市 (City), 县 (County), 乡 (Township) or 村 (Village)."),
    }
}

/// A level of the Multi-Level Protection Scheme, 1 to 4.
///
/// # Errors
/// For anything else.
pub fn mlps(text: &str) -> Result<i64, BadValue> {
    let form = plain(text);
    let form = form.trim_start_matches("等保").trim_start_matches("mlps").trim_start_matches("level");
    let form = form.trim_start_matches(['-', '第', 'l']).trim_end_matches('级');
    match form {
        "1" | "一" | "i" => Ok(1),
        "2" | "二" | "ii" => Ok(2),
        "3" | "三" | "iii" => Ok(3),
        "4" | "四" | "iv" => Ok(4),
        _ => bad(
            format!("'{text}' is no level of the MLPS (等保)."),
            "Write 二级 or 三级 (or 2, 3); 一级 and 四级 are known too.",
        ),
    }
}

/// What runs at the site that is not active.
///
/// # Errors
/// For an unknown class.
pub fn standby_class(text: &str) -> Result<StandbyClass, BadValue> {
    match plain(text).as_str() {
        "cold" | "冷备" | "冷" | "冷备份" | "冷备用" => Ok(StandbyClass::Cold),
        "warm" | "温备" | "温" | "温备份" | "温备用" | "暖备" => Ok(StandbyClass::Warm),
        "hot" | "热备" | "热" | "热备份" | "热备用" | "双活" => Ok(StandbyClass::Hot),
        _ => bad(
            format!("'{text}' is no standby class."),
            "Write 冷备 (Cold: no pods), 温备 (Warm: a few pods) or 热备 (Hot: as many pods as at the active site).",
        ),
    }
}

/// An environment's name, as namespaces bear it, and what it is for.
///
/// # Errors
/// For what neither names a purpose nor begins with one.
pub fn environment(text: &str) -> Result<(String, Purpose), BadValue> {
    let form = plain(text);
    let (name, purpose) = match form.trim_end_matches("环境") {
        "prod" | "production" | "生产" | "正式" => ("prod", Purpose::Production),
        "test" | "testing" | "测试" => ("test", Purpose::Test),
        "staging" | "uat" | "预发布" | "预生产" => ("staging", Purpose::Test),
        "dev" | "development" | "开发" => ("dev", Purpose::Development),
        "training" | "培训" => ("training", Purpose::Training),
        other => {
            let purpose = match other.split('-').next() {
                Some("prod") => Purpose::Production,
                Some("test" | "staging") => Purpose::Test,
                Some("dev") => Purpose::Development,
                Some("training") => Purpose::Training,
                _ => {
                    return bad(
                        format!("'{text}' is no environment."),
                        "Write 生产 (prod), 测试 (test), 预发布 (staging), 开发 (dev) or 培训 (training), or a name that begins so, such as test-2.",
                    );
                }
            };
            if !is_label(other) {
                return bad(
                    format!("'{text}' cannot name an environment."),
                    "Use lower-case letters, digits and dashes, such as test-2.",
                );
            }
            (other, purpose)
        }
    };
    Ok((name.to_owned(), purpose))
}

/// A unit's or system's code: a DNS label of at most 40 characters.
///
/// # Errors
/// For what is none; Chinese names have to be given a code.
pub fn code(text: &str) -> Result<String, BadValue> {
    let form = half_width(text).trim().to_owned();
    if form.len() > LONGEST_CODE && form.is_ascii() {
        return bad(
            format!("'{text}' has {} characters; a code has at most {LONGEST_CODE}.", form.len()),
            "Shorten it: codes begin the names of namespaces and workloads.",
        );
    }
    if is_label(&form) {
        return Ok(form);
    }
    let mended: String = form
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect::<String>()
        .trim_matches('-')
        .to_owned();
    let suggestion = if is_label(&mended) && form.is_ascii() { format!(", such as {mended}") } else { String::new() };
    bad(
        format!("'{text}' is no code."),
        format!(
            "Write lower-case letters, digits and dashes, beginning and ending with a letter or digit{suggestion}."
        ),
    )
}

/// Whether a text is a DNS label (RFC 1123), and so may be a name.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| inner(b) || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A name that people read, of at most so many characters.
///
/// # Errors
/// For one that is too long or holds control characters.
pub fn name(text: &str, longest: usize) -> Result<String, BadValue> {
    if text.chars().any(char::is_control) {
        return bad("the name holds a line break or another control character.", "Write the name on one line.");
    }
    match text.chars().count() {
        0..=0 => bad("the name is missing.", "Write the name."),
        count if count > longest => {
            bad(format!("the name has {count} characters; at most {longest} are allowed."), "Shorten it.")
        }
        _ => Ok(text.to_owned()),
    }
}

/// The parts of a cell that lists several things: separated by `;`, `、`, `,` or white space.
fn list(text: &str) -> Vec<String> {
    half_width(text)
        .split(|c: char| matches!(c, ';' | '、' | ',' | '，') || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Host names, in lower case.
///
/// # Errors
/// For what is no DNS name, for one given twice, and for more than 16.
pub fn hosts(text: &str) -> Result<Vec<String>, BadValue> {
    let mut hosts: Vec<String> = Vec::new();
    for part in list(text) {
        let host = part.to_lowercase();
        if host.len() > 253 || !host.contains('.') || !host.split('.').all(is_label) {
            return bad(
                format!("'{part}' is no host name."),
                "Write host names alone, without http:// or a port, such as hall.bz.gov.example, separated by ; or 、.",
            );
        }
        if hosts.contains(&host) {
            return bad(format!("'{part}' stands here twice."), "Write each host name once.");
        }
        hosts.push(host);
    }
    if hosts.len() > 16 {
        return bad(format!("there are {} host names; at most 16 are allowed.", hosts.len()), "Write at most 16.");
    }
    Ok(hosts)
}

/// A system that another needs, as it is written: `system`, `unit/system` or `unit/environment/system`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dependency {
    /// The unit; the same one where none is given.
    pub unit: Option<String>,
    /// The environment; the same one, or the unit's only one that has the system, where none is given.
    pub environment: Option<String>,
    /// The system.
    pub system: String,
}

/// Dependencies.
///
/// # Errors
/// For what is no code, for one given twice, and for more than 64.
pub fn dependencies(text: &str) -> Result<Vec<Dependency>, BadValue> {
    let mut found = Vec::new();
    for part in list(text) {
        let codes: Vec<&str> = part.split('/').collect();
        let dependency = match codes.as_slice() {
            _ if !codes.iter().all(|code| is_label(code)) => None,
            [system] => Some((None, None, system)),
            [unit, system] => Some((Some(unit), None, system)),
            [unit, environment, system] => Some((Some(unit), Some(environment), system)),
            _ => None,
        };
        let Some((unit, environment, system)) = dependency else {
            return bad(
                format!("'{part}' names no system."),
                "Write codes: system, unit/system or unit/environment/system, separated by ; or 、.",
            );
        };
        let dependency = Dependency {
            unit: unit.map(|code| (*code).to_owned()),
            environment: environment.map(|code| (*code).to_owned()),
            system: (*system).to_owned(),
        };
        if found.contains(&dependency) {
            return bad(format!("'{part}' stands here twice."), "Write each system once.");
        }
        found.push(dependency);
    }
    if found.len() > 64 {
        return bad(format!("there are {} dependencies; at most 64 are allowed.", found.len()), "Write at most 64.");
    }
    Ok(found)
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
