//! `ProvenanceEntry` and `Task`, which lead to each other, and `FieldBlame`.

use std::collections::HashMap;

use crate::context::Provenance;
use crate::error::Error;
use crate::types::User;
use crate::user::{ProvenanceUser, UserId};

crate::provenance_types!(context = Provenance, user = User);

/// Everybody is who their subject says: nothing is looked up.
impl<X: Sync> ProvenanceUser<X> for User {
    async fn load(_: &X, ids: Vec<UserId>) -> Result<HashMap<UserId, Self>, Error> {
        let users = ids.into_iter();
        Ok(users.map(|id| (id.clone(), Self::from(&id.sub))).collect())
    }
}
