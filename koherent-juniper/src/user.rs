//! Who made a change, as an application knows them.

use std::collections::HashMap;
use std::future::Future;

use koherent_core::{HistoryEntry, Issuer, Subject, TaskRecord};

use crate::error::Error;

/// Who somebody is: a `sub` means nothing without its issuer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct UserId {
    /// Who says so; `None` where the change was attributed by hand.
    pub issuer: Option<Issuer>,
    /// The subject there.
    pub sub: Subject,
}

impl UserId {
    /// Who made a change.
    #[must_use]
    pub fn of(entry: &HistoryEntry) -> Option<Self> {
        let issuer = entry
            .context
            .as_ref()
            .and_then(|context| context.get("issuer")?.as_str());
        Some(Self {
            issuer: issuer.map(Into::into),
            sub: entry.user.clone()?,
        })
    }

    /// The human at the root of a task's causal tree.
    #[must_use]
    pub fn assigner_of(task: &TaskRecord) -> Self {
        Self {
            issuer: Some(task.task.issuer.clone()),
            sub: task.task.assigner.clone(),
        }
    }
}

/// A user type of the application: how it is found by issuer and subject, many at once.
///
/// ```
/// use std::collections::HashMap;
/// use koherent_juniper::{Error, ProvenanceUser, UserId};
/// # struct Lab;
///
/// #[derive(Debug, Clone, juniper::GraphQLObject)]
/// struct User { sub: String, display_name: String }
///
/// impl ProvenanceUser<Lab> for User {
///     async fn load(context: &Lab, ids: Vec<UserId>) -> Result<HashMap<UserId, Self>, Error> {
///         let user = |id: &UserId| Self { sub: id.sub.to_string(), display_name: format!("Dr. {}", id.sub) };
///         Ok(ids.iter().map(|id| (id.clone(), user(id))).collect()) // one query for all of them
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be found by issuer and subject in the context `{X}`",
    note = "implement `koherent_juniper::ProvenanceUser<{X}>` for it: it loads many users at once"
)]
pub trait ProvenanceUser<X>: Clone + Send + Sync + Sized + 'static {
    /// The users with these ids; those that are not there are shown as null.
    fn load(
        context: &X,
        ids: Vec<UserId>,
    ) -> impl Future<Output = Result<HashMap<UserId, Self>, Error>> + Send;
}
