//! `User`, `Client`, `Organization`: who, through what, for whom.

use juniper::{ID, graphql_object};

/// Who made a change.
///
/// ```
/// let ann = koherent_juniper::User { sub: "ann".into() };
/// assert_eq!(ann.sub, "ann");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
pub struct User {
    /// The subject of the identity provider.
    pub sub: String,
}

#[graphql_object(description = "Who made a change.")]
impl User {
    /// The same as `sub`.
    fn id(&self) -> ID {
        ID::from(self.sub.clone())
    }

    /// The subject of the identity provider.
    fn sub(&self) -> &str {
        &self.sub
    }
}

/// The OAuth application that was used.
///
/// ```
/// let client = koherent_juniper::Client { client_id: "lab-ui".into() };
/// assert_eq!(client.client_id, "lab-ui");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
pub struct Client {
    /// The id of the application.
    pub client_id: String,
}

#[graphql_object(description = "The OAuth application that was used.")]
impl Client {
    /// The same as `clientId`.
    fn id(&self) -> ID {
        ID::from(self.client_id.clone())
    }

    /// The id of the application.
    fn client_id(&self) -> &str {
        &self.client_id
    }
}

/// The organization in which the principal acted.
///
/// ```
/// let lab = koherent_juniper::Organization { slug: "bio-lab".into() };
/// assert_eq!(lab.slug, "bio-lab");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
pub struct Organization {
    /// The name by which the organization is known.
    pub slug: String,
}

#[graphql_object(description = "The organization in which the principal acted.")]
impl Organization {
    /// The same as `slug`.
    fn id(&self) -> ID {
        ID::from(self.slug.clone())
    }

    /// The name by which the organization is known.
    fn slug(&self) -> &str {
        &self.slug
    }
}

impl From<&koherent_core::Subject> for User {
    fn from(subject: &koherent_core::Subject) -> Self {
        Self {
            sub: subject.to_string(),
        }
    }
}

impl From<&koherent_core::ClientId> for Client {
    fn from(client: &koherent_core::ClientId) -> Self {
        Self {
            client_id: client.to_string(),
        }
    }
}

impl From<&koherent_core::Organization> for Organization {
    fn from(organization: &koherent_core::Organization) -> Self {
        Self {
            slug: organization.to_string(),
        }
    }
}
