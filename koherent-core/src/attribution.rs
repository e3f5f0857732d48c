//! Whose change it is: the value that is stamped on a history entry.
//!
//! An attribution is decided once, at the edge of a request or a job, and handed on as a plain value. There is no
//! `Default` and no ambient one: a change without an attribution does not compile.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::id::{ClientId, Organization, Subject};
use crate::principal::Principal;
use crate::task::Task;
use crate::token::{VerifiedToken, verify_actor};

/// Principal, client and optional task, with the reason and whatever else an auditor should see.
///
/// Cloning it is cheap. The layers of `koherent-tower` make one per request; jobs make one by hand:
///
/// ```
/// use koherent_core::{Attribution, Principal};
///
/// let ann = Principal::new("https://login.example", "ann", "lab-ui");
/// let attribution = Attribution::of(ann).with_reason("wrong label on the tube");
/// assert_eq!(attribution.user().unwrap(), "ann");
///
/// let nightly = Attribution::system("nightly-import");
/// assert!(nightly.user().is_none());
/// ```
///
/// There is no default:
///
/// ```compile_fail
/// let nobody = koherent_core::Attribution::default();
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct Attribution(Arc<Parts>);

#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Parts {
    who: Who,
    task: Option<TaskStamp>,
    reason: Option<Arc<str>>,
    impersonator: Option<Subject>,
    correlation_id: Option<Arc<str>>,
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Map::is_empty")
    )]
    own: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Who {
    Principal(Arc<Principal>),
    System(Arc<str>),
    Anonymous,
}

/// The keys of a context that only Koherent sets.
const OUR_KEYS: [&str; 6] = [
    "issuer",
    "system",
    "impersonator",
    "correlation_id",
    "captured",
    "database_role",
];

#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct TaskStamp {
    task: Arc<Task>,
    #[cfg_attr(feature = "serde", serde(skip, default = "TaskOrigin::elsewhere"))]
    origin: TaskOrigin,
}

/// Where the token of an attribution's task was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskOrigin {
    /// In this process, by a [`Verifier`](crate::Verifier).
    VerifiedHere,
    /// By whoever serialised the attribution: it is as trustworthy as the channel it came through.
    VerifiedElsewhere,
}

impl TaskOrigin {
    #[cfg(feature = "serde")]
    const fn elsewhere() -> Self {
        Self::VerifiedElsewhere
    }
}

impl Attribution {
    /// The attribution of a principal's own change, or of the one who acts in its stead.
    ///
    /// ```
    /// use koherent_core::{Attribution, Principal};
    /// let ann = Principal { impersonator: Some("admin".into()), ..Principal::new("https://login.example", "ann", "lab-ui") };
    /// assert_eq!(Attribution::of(ann).impersonator().unwrap(), "admin");
    /// ```
    pub fn of(principal: impl Into<Arc<Principal>>) -> Self {
        let principal = principal.into();
        let impersonator = principal.impersonator.clone();
        let own = Self::from_who(Who::Principal(principal));
        match impersonator {
            Some(impersonator) => own.with_impersonator(impersonator),
            None => own,
        }
    }

    /// The attribution of a change that no person asked for, under the name of the job that makes it.
    pub fn system(name: &str) -> Self {
        Self::from_who(Who::System(name.into()))
    }

    /// The attribution of a change of which nobody can say whose it is. It has to be asked for by name.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::from_who(Who::Anonymous)
    }

    fn from_who(who: Who) -> Self {
        Self(Arc::new(Parts {
            who,
            task: None,
            reason: None,
            impersonator: None,
            correlation_id: None,
            own: Map::new(),
        }))
    }

    fn set(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The same attribution, under a verified task.
    ///
    /// # Errors
    ///
    /// [`Error::ActorMismatch`] where the task was given to another actor than the attribution's principal, or where it has
    /// none.
    ///
    /// ```
    /// use koherent_core::{Attribution, Error, Principal};
    /// # use koherent_core::testing::test_issuer;
    /// # let issuer = test_issuer("rekuest");
    /// # let token = issuer.task("task-a").actor("agent-7", "robot").mint();
    /// let token = issuer.verifier("lab").verify(&token)?;
    ///
    /// let agent = Principal::new("https://login.example", "agent-7", "robot");
    /// assert_eq!(Attribution::of(agent).with_task(&token)?.task().unwrap().task_id, "task-a");
    ///
    /// let ann = Principal::new("https://login.example", "ann", "robot");
    /// assert_eq!(Attribution::of(ann).with_task(&token), Err(Error::ActorMismatch));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_task(self, token: &VerifiedToken) -> Result<Self, Error> {
        verify_actor(token, self.principal().ok_or(Error::ActorMismatch)?)?;
        Ok(self.with_unbound_task(token))
    }

    /// The same attribution, under a verified task whose actor nobody compared with the principal.
    ///
    /// For jobs, which have no principal, and for services that decided, by name, to run without actor binding.
    #[must_use]
    pub fn with_unbound_task(self, token: &VerifiedToken) -> Self {
        let task = Arc::clone(token.shared_task());
        self.set(|parts| {
            parts.task = Some(TaskStamp {
                task,
                origin: TaskOrigin::VerifiedHere,
            })
        })
    }

    /// The same attribution, with the reason of the change.
    #[must_use]
    pub fn with_reason(self, reason: &str) -> Self {
        self.set(|parts| parts.reason = Some(reason.into()))
    }

    /// The same attribution, saying who acts in the principal's stead (an administrator, say).
    #[must_use]
    pub fn with_impersonator(self, impersonator: impl Into<Subject>) -> Self {
        self.set(|parts| parts.impersonator = Some(impersonator.into()))
    }

    /// The same attribution, with the unsigned id by which logs know the request (`traceparent`, `X-Request-Id`).
    ///
    /// It is never taken for a task: anyone can send one.
    #[must_use]
    pub fn with_correlation_id(self, id: &str) -> Self {
        self.set(|parts| parts.correlation_id = Some(id.into()))
    }

    /// The same attribution, with a value of the application's own.
    ///
    /// Koherent's own keys (`issuer`, `system`, `impersonator`, `correlation_id`) cannot be set by it: such a value is
    /// dropped.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<Value>) -> Self {
        self.set(|parts| drop(parts.own.insert(key.to_owned(), value.into())))
    }

    /// The principal, where there is one.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        match &self.0.who {
            Who::Principal(principal) => Some(principal),
            Who::System(_) | Who::Anonymous => None,
        }
    }

    /// What `history_user` gets: the principal's `sub`.
    #[must_use]
    pub fn user(&self) -> Option<&Subject> {
        self.principal().map(|principal| &principal.subject)
    }

    /// What `history_client` gets.
    #[must_use]
    pub fn client(&self) -> Option<&ClientId> {
        self.principal()
            .and_then(|principal| principal.client.as_ref())
    }

    /// What `history_organization` gets.
    #[must_use]
    pub fn organization(&self) -> Option<&Organization> {
        self.principal()
            .and_then(|principal| principal.organization.as_ref())
    }

    /// The task, where there is one.
    #[must_use]
    pub fn task(&self) -> Option<&Arc<Task>> {
        self.0.task.as_ref().map(|stamp| &stamp.task)
    }

    /// Where the task's token was verified.
    #[must_use]
    pub fn task_origin(&self) -> Option<TaskOrigin> {
        self.0.task.as_ref().map(|stamp| stamp.origin)
    }

    /// Who acts in the principal's stead, where somebody does.
    #[must_use]
    pub fn impersonator(&self) -> Option<&Subject> {
        self.0.impersonator.as_ref()
    }

    /// What `history_reason` gets.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// What `history_context` gets: the keys `issuer`, `system`, `impersonator` and `correlation_id` as far as they are
    /// known, and the application's own. `None` where there is nothing to say.
    ///
    /// ```
    /// use koherent_core::Attribution;
    /// let job = Attribution::system("nightly-import").with("batch", 7);
    /// assert_eq!(job.context(), Some(serde_json::json!({"system": "nightly-import", "batch": 7})));
    /// assert_eq!(Attribution::anonymous().context(), None);
    /// assert_eq!(Attribution::anonymous().with("issuer", "me").context(), None, "it cannot be made up");
    /// ```
    #[must_use]
    pub fn context(&self) -> Option<Value> {
        let mut context = self.0.own.clone();
        context.retain(|key, _| !OUR_KEYS.contains(&key.as_str()));
        let mut put = |key: &str, value: &str| context.insert(key.to_owned(), value.into());
        match &self.0.who {
            Who::Principal(principal) => drop(put("issuer", principal.issuer.as_str())),
            Who::System(name) => drop(put("system", name)),
            Who::Anonymous => {}
        }
        if let Some(impersonator) = &self.0.impersonator {
            put("impersonator", impersonator.as_str());
        }
        if let Some(id) = &self.0.correlation_id {
            put("correlation_id", id);
        }
        (!context.is_empty()).then_some(Value::Object(context))
    }
}
