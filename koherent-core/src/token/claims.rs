//! The claims of a provenance token: which there must be, of which type, and which values cannot be.

use super::args_hash::{ARGS_HASH_ALGORITHM, UnknownArgsHash};
use crate::error::Error;
use crate::id::{ClientId, Issuer, Subject, TaskId, TokenId};
use crate::json::Json;
use crate::task::Task;

/// The longest identifier, in characters: what the columns of `koherent_task` hold.
const MAX_ID_CHARS: usize = 1000;

/// 0001-01-01T00:00:00Z and 10000-01-01T00:00:00Z: dates outside cannot be shown by most calendars.
const FIRST_SECOND: f64 = -62_135_596_800.0;
const PAST_LAST_SECOND: f64 = 253_402_300_800.0;

/// Seconds since 1970-01-01T00:00:00Z, with a fraction where the token has one (RFC 7519 §2).
///
/// ```
/// use koherent_core::token::NumericDate;
/// # use koherent_core::testing::test_issuer;
/// # let issuer = test_issuer("rekuest");
/// # let token = issuer.verifier("lab").verify(&issuer.task("task-a").mint())?;
/// let expires: NumericDate = token.claims().expires;
/// assert_eq!(expires.seconds(), 4_102_444_800.0);
/// # Ok::<(), koherent_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct NumericDate(f64);

impl NumericDate {
    /// The seconds.
    #[must_use]
    pub const fn seconds(self) -> f64 {
        self.0
    }
}

/// The claims of a verified token, checked and typed.
///
/// Claims that Koherent does not know are dropped.
///
/// ```
/// # use koherent_core::testing::test_issuer;
/// # let issuer = test_issuer("rekuest");
/// # let token = issuer.verifier("lab").verify(&issuer.task("task-a").mint())?;
/// let claims = token.claims();
/// assert_eq!(claims.task.task_id, "task-a");
/// assert_eq!(claims.audience, ["lab"]);
/// # Ok::<(), koherent_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Claims {
    /// The task the token attests.
    pub task: std::sync::Arc<Task>,
    /// The identity provider that vouches for the actor (`act.iss`), where the token names one.
    pub actor_issuer: Option<Issuer>,
    /// The services the token is meant for (`aud`).
    pub audience: Vec<String>,
    /// When it was issued (`iat`).
    pub issued: NumericDate,
    /// From when on it holds (`nbf`), where the token says so.
    pub not_before: Option<NumericDate>,
    /// From when on it does not hold any more (`exp`).
    pub expires: NumericDate,
}

impl Claims {
    /// Reads the claims: each required one there, each of its type. `issuer` has been matched already.
    pub(super) fn read(payload: &Json<'_>, issuer: &Issuer) -> Result<Self, Error> {
        let subject = required_text(payload, "sub", "sub")?;
        let act = required(payload, "act", "act")?;
        if !matches!(act, Json::Object(_)) {
            return Err(invalid("act", "not an object"));
        }
        let agent = required_text(act, "sub", "act.sub")?;
        let agent_client = required_text(act, "cid", "act.cid")?;
        let actor_issuer = optional_text(act, "iss", "act.iss")?;
        let issued = date(required(payload, "iat", "iat")?, "iat")?;
        let expires = date(required(payload, "exp", "exp")?, "exp")?;
        let not_before = payload
            .member("nbf")
            .map(|value| date(value, "nbf"))
            .transpose()?;
        let token_id = required_text(payload, "jti", "jti")?;
        let task_id = required_text(payload, "tsk", "tsk")?;
        let root_task_id = required_text(payload, "rtk", "rtk")?;
        let assigner = required_text(payload, "rcb", "rcb")?;
        let args_hash = required_text(payload, "ahs", "ahs")?;
        let args_hash_algorithm = required_text(payload, "aha", "aha")?;
        let parent_task_id = optional_text(payload, "ptk", "ptk")?;
        let audience = audience(required(payload, "aud", "aud")?)?;
        let task = Task {
            task_id: TaskId::from(task_id),
            parent_task_id: parent_task_id.map(TaskId::from),
            root_task_id: TaskId::from(root_task_id),
            assigner: Subject::from(assigner),
            caller: Subject::from(subject),
            agent: Subject::from(agent),
            agent_client_id: ClientId::from(agent_client),
            issuer: issuer.clone(),
            token_id: TokenId::from(token_id),
            args_hash: args_hash.to_owned(),
            args_hash_algorithm: args_hash_algorithm.to_owned(),
        };
        let actor_issuer = actor_issuer.map(Issuer::from);
        Ok(Self {
            task: task.into(),
            actor_issuer,
            audience,
            issued,
            not_before,
            expires,
        })
    }

    /// Checks what no honest issuer writes: identifiers that fit no column, a lineage that contradicts itself, a hash
    /// that is none.
    pub(super) fn check_policy(&self, unknown_hash: UnknownArgsHash) -> Result<(), Error> {
        let task = &*self.task;
        check_id("sub", task.caller.as_str())?;
        check_id("act.sub", task.agent.as_str())?;
        check_id("act.cid", task.agent_client_id.as_str())?;
        check_id("jti", task.token_id.as_str())?;
        check_id("tsk", task.task_id.as_str())?;
        check_id("rtk", task.root_task_id.as_str())?;
        check_id("rcb", task.assigner.as_str())?;
        match &task.parent_task_id {
            None if task.task_id != task.root_task_id => {
                return Err(invalid("rtk", "a task without parent is its own root"));
            }
            None => {}
            Some(parent) => {
                check_id("ptk", parent.as_str())?;
                if *parent == task.task_id {
                    return Err(invalid("ptk", "a task cannot be its own parent"));
                }
                if task.task_id == task.root_task_id {
                    return Err(invalid("rtk", "a task with a parent cannot be the root"));
                }
            }
        }
        if task.args_hash_algorithm != ARGS_HASH_ALGORITHM {
            return match unknown_hash {
                UnknownArgsHash::Refuse => Err(invalid("aha", "an unknown hash algorithm")),
                UnknownArgsHash::Keep => {
                    check_id("aha", &task.args_hash_algorithm)?;
                    check_id("ahs", &task.args_hash)
                }
            };
        }
        let hex = task.args_hash.as_bytes();
        if hex.len() != 64 || !hex.iter().all(u8::is_ascii_hexdigit) {
            return Err(invalid("ahs", "not 64 hex digits"));
        }
        Ok(())
    }
}

pub(super) const fn invalid(claim: &'static str, problem: &'static str) -> Error {
    Error::InvalidClaim { claim, problem }
}

/// The member of an object, absent and null alike being an error.
pub(super) fn required<'j>(
    object: &'j Json<'_>,
    member: &str,
    claim: &'static str,
) -> Result<&'j Json<'j>, Error> {
    match object.member(member) {
        None | Some(Json::Null) => Err(Error::MissingClaim { claim }),
        Some(value) => Ok(value),
    }
}

pub(super) fn required_text<'j>(
    object: &'j Json<'_>,
    member: &str,
    claim: &'static str,
) -> Result<&'j str, Error> {
    text(required(object, member, claim)?, claim)
}

fn optional_text<'j>(
    object: &'j Json<'_>,
    member: &str,
    claim: &'static str,
) -> Result<Option<&'j str>, Error> {
    match object.member(member) {
        None | Some(Json::Null) => Ok(None),
        Some(value) => text(value, claim).map(Some),
    }
}

fn text<'j>(value: &'j Json<'_>, claim: &'static str) -> Result<&'j str, Error> {
    match value {
        Json::String(text) => Ok(text),
        _ => Err(invalid(claim, "not a string")),
    }
}

fn date(value: &Json<'_>, claim: &'static str) -> Result<NumericDate, Error> {
    let Json::Number(text) = value else {
        return Err(invalid(claim, "not a number"));
    };
    match text.parse::<f64>() {
        Ok(seconds) if (FIRST_SECOND..PAST_LAST_SECOND).contains(&seconds) => {
            Ok(NumericDate(seconds))
        }
        _ => Err(invalid(claim, "not a date of the years 1 to 9999")),
    }
}

fn audience(value: &Json<'_>) -> Result<Vec<String>, Error> {
    match value {
        Json::String(one) => Ok(vec![one.clone().into_owned()]),
        Json::Array(many) => many
            .iter()
            .map(|item| text(item, "aud").map(ToOwned::to_owned))
            .collect(),
        _ => Err(invalid("aud", "neither a string nor a list of strings")),
    }
}

fn check_id(claim: &'static str, id: &str) -> Result<(), Error> {
    if id.is_empty() {
        Err(invalid(claim, "empty"))
    } else if id.len() > MAX_ID_CHARS && id.chars().count() > MAX_ID_CHARS {
        Err(invalid(claim, "longer than 1000 characters"))
    } else if id.contains('\0') {
        Err(invalid(claim, "it contains a NUL"))
    } else {
        Ok(())
    }
}
