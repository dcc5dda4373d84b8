//! The sentences in English.

use super::{Allowance, Fault, Problem, Refusal};
use tandem_core::failover::Language;

pub(super) fn title(problem: &Problem) -> &'static str {
    match problem {
        Problem::Unauthenticated(_) => "Not signed in",
        Problem::Forbidden => "Not allowed",
        Problem::OfficesConflict => "Offices to be kept apart",
        Problem::UnitUnclear => "More than one unit",
        Problem::NotFound => "Not found",
        Problem::NoSuchPath => "No such path",
        Problem::MethodNotAllowed => "Method not allowed",
        Problem::Invalid(_) => "Fields are wrong",
        Problem::TooLarge { .. } => "Body too long",
        Problem::TooMany { .. } => "Too many requests",
        Problem::Overloaded => "Overloaded",
        Problem::TooSlow => "Took too long",
        Problem::KeysUnavailable => "Tokens cannot be checked",
        Problem::NotRead => "Not read yet",
        Problem::NotJson => "Not JSON",
        Problem::NotAcceptable { .. } => "Not in that form",
        Problem::NotInForce(_) => "Not in force",
        Problem::NoReport => "No report",
        Problem::Unfinished => "The body broke off",
        Problem::Declined(_) | Problem::FailoverDeclined(_) => "Not as things stand",
        Problem::OverBudget(_) => "Over the unit's budget",
        Problem::Misdirected { .. } => "Another site has authority",
        Problem::AuthorityMoved => "Authority is moving",
        Problem::KeyReused => "Key used for another request",
        Problem::InProgress => "Being worked on",
        Problem::Exists => "There is one already",
        Problem::KeptChanging => "Others kept changing it",
        Problem::ArbiterUnavailable => "The arbiter does not answer",
        Problem::NoAudit => "No audit entry",
        Problem::NotWritten => "Not written",
        Problem::NotKnown => "Not known whether written",
        Problem::NotDurable => "Not known to be published",
        Problem::ChainBroken { .. } => "The audit chain is broken",
        Problem::Internal => "A fault of ours",
    }
}

pub(super) fn detail(problem: &Problem) -> String {
    match problem {
        Problem::Unauthenticated(refusal) => self::refusal(refusal),
        Problem::Forbidden => "your roles do not allow this; /v1/me shows which you have".to_owned(),
        Problem::OfficesConflict => {
            "you have more than one of the roles platform-operator, security-administrator and \
            auditor, which must be three people's; have the roles corrected where they are given"
                .to_owned()
        }
        Problem::UnitUnclear => {
            "your groups belong to more than one unit; have the issuer put the one you act for into the unit claim"
                .to_owned()
        }
        Problem::NotFound => {
            "there is nothing of that name, or it is not yours; the list shows what you can see".to_owned()
        }
        Problem::NoSuchPath => "there is nothing at this path; /docs shows what there is".to_owned(),
        Problem::MethodNotAllowed => "this path does not have that method; /docs shows which it has".to_owned(),
        Problem::Invalid(faults) => match faults.as_slice() {
            [one] => format!("{}: {}", one.field, fault(&one.fault)),
            many => format!("{} fields are wrong; errors names each", many.len()),
        },
        Problem::TooLarge { most } => format!("the body is longer than {most} bytes, which is the most that is read"),
        Problem::TooMany { whose, .. } => {
            let whose = match whose {
                Allowance::Address => "this address",
                Allowance::Client => "you",
                Allowance::Unit => "your unit",
            };
            format!("{whose} sent more requests than are taken; ask again after the time in Retry-After")
        }
        Problem::Overloaded => {
            "more is asked than can be worked on; nothing was done; ask again after the time in Retry-After".to_owned()
        }
        Problem::TooSlow => {
            "the request was not finished in time; send its body faster, or ask again after the time in Retry-After"
                .to_owned()
        }
        Problem::KeysUnavailable => {
            "the issuer's keys cannot be fetched, so no token can be checked; ask again later or show \
            a client certificate"
                .to_owned()
        }
        Problem::NotRead => {
            "the site's objects have not been read yet; ask again after the time in Retry-After".to_owned()
        }
        Problem::NotJson => "send Content-Type: application/json and a body that is JSON".to_owned(),
        Problem::NotAcceptable { known } => {
            format!("there is nothing here in a form that Accept names; there are {}", known.join(", "))
        }
        Problem::NotInForce(gap) => gap.sentence(Language::English),
        Problem::NoReport => {
            "There is no report on this failover: one is written some seconds after it has ended, and none of what was \
                              refused. Follow it until then."
                .to_owned()
        }
        Problem::Unfinished => {
            "the body ended before it was complete; send it again with the same Idempotency-Key".to_owned()
        }
        Problem::Declined(refusal) => refusal.sentence(Language::English),
        Problem::FailoverDeclined(refusal) => refusal.sentence(Language::English),
        Problem::OverBudget(refusal) => refusal.to_string(),
        Problem::Misdirected { site, address: Some(address) } => {
            format!(
                "{site} has authority now: send it to {address} with the same Idempotency-Key; nothing was done here"
            )
        }
        Problem::Misdirected { site, address: None } => {
            format!(
                "{site} has authority now: send it to the API there with the same Idempotency-Key; nothing was done here"
            )
        }
        Problem::AuthorityMoved => "authority is moving between the sites, and nothing was done; ask again after the \
            time in Retry-After with the same Idempotency-Key"
            .to_owned(),
        Problem::KeyReused => {
            "this Idempotency-Key was used for another request; give each request one of its own".to_owned()
        }
        Problem::InProgress => "a request with this Idempotency-Key is being worked on; ask again after the time in \
            Retry-After"
            .to_owned(),
        Problem::Exists => {
            "there is something else of that name already; look at it in the list, or choose another name".to_owned()
        }
        Problem::KeptChanging => {
            "others kept changing it at the same time, and nothing was done; look at it again and \
            ask again"
                .to_owned()
        }
        Problem::ArbiterUnavailable => {
            "what both sites share does not answer, and without it nothing is decided; reads \
            go on; ask again with the same Idempotency-Key"
                .to_owned()
        }
        Problem::NoAudit => "nothing can be written to the audit chain now, and without an entry nothing is done; ask \
            again with the same Idempotency-Key"
            .to_owned(),
        Problem::NotWritten => "the site's API server did not take it, and nothing was done; ask again with the same \
            Idempotency-Key"
            .to_owned(),
        Problem::NotKnown => "the site's API server did not say whether it was done; ask again with the same \
            Idempotency-Key: it is done once"
            .to_owned(),
        Problem::NotDurable => {
            "it is written at this site and not yet known to be published, so that it is not promised; \
            ask again with the same Idempotency-Key: it is done once"
                .to_owned()
        }
        Problem::ChainBroken { seq } => format!(
            "entry {seq} does not follow from what is before it: somebody changed the chain, or the arbiter was restored; \
             compare it with heads and segments that were kept elsewhere"
        ),
        Problem::Internal => "something went wrong on our side; the log of this server says what".to_owned(),
    }
}

fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Nothing => {
            "neither a token nor a client certificate was shown; send Authorization: Bearer and a token of the issuer's"
                .to_owned()
        }
        Refusal::NotBearer => "the Authorization header must be Bearer, one space and one token".to_owned(),
        Refusal::NoIssuer => "no issuer of tokens is configured here; show a client certificate".to_owned(),
        Refusal::TooLong { most } => {
            format!("the token is longer than {most} bytes; have the issuer put fewer claims into it")
        }
        Refusal::Malformed => "the token is not a signed JSON Web Token; get a new one from the issuer".to_owned(),
        Refusal::Algorithm => {
            "the token's algorithm is not allowed here; have the issuer sign with RS256, ES256 or EdDSA, as configured"
                .to_owned()
        }
        Refusal::NoKeyId => "the token names no key; have the issuer put kid into its header".to_owned(),
        Refusal::UnknownKey => "the issuer does not publish the key that the token names; get a new token".to_owned(),
        Refusal::Signature => "the token's signature does not fit; get a new one from the issuer".to_owned(),
        Refusal::Issuer => "the token is from another issuer than the one that is configured here".to_owned(),
        Refusal::Audience => "the token is for another service; get one for this audience".to_owned(),
        Refusal::Expired => "the token has expired; get a new one".to_owned(),
        Refusal::NotYet => {
            "the token is not valid yet; compare your clock and the issuer's with the right time".to_owned()
        }
        Refusal::Claim { claim } => format!("the token's claim {claim} is missing or not what it should be"),
        Refusal::CertificateExpired => "the client certificate has expired; connect with a new one".to_owned(),
        Refusal::Subject => "the client certificate must have one CN with a name in it, and every O must be \
            tandem:unit:<unit> or tandem:role:<role>"
            .to_owned(),
    }
}

pub(super) fn fault(fault: &Fault) -> String {
    match fault {
        Fault::Range { least, most } => format!("must be a number from {least} to {most}"),
        Fault::Unknown { known } => format!("is not known here; known are {}", known.join(", ")),
        Fault::Twice => "is given more than once; give it once".to_owned(),
        Fault::Value { known } => format!("must be one of {}", known.join(", ")),
        Fault::Key { longest } => format!(
            "is missing or no key: give 1 to {longest} visible characters without blanks, new for each request, such as \
             a random UUID"
        ),
        Fault::Shape(what) => format!("is not what is wanted there: {what}"),
        Fault::NoSuchField => {
            "is not known here; leave it out or correct its name; /docs shows which fields there are".to_owned()
        }
        Fault::Said(what) => what.clone(),
        Fault::Plan(error) => error.sentence(Language::English),
        Fault::OneOf { fields: [one, other] } => format!("give {one} or {other}, and not both"),
        Fault::Moment => "is no moment of the past: give a revision such as 42, or a time such as \
            2026-01-31T08:00:00+08:00"
            .to_owned(),
        Fault::Gap(gap) => gap.sentence(Language::English),
        Fault::Continue => "is not what an earlier list gave as continue; begin without it".to_owned(),
    }
}
