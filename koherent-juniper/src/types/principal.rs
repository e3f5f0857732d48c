//! `User`, `Client`, `Organization`: who, through what, for whom.

use juniper::GraphQLObject;

/// Who made a change.
///
/// ```
/// let ann = koherent_juniper::User { sub: "ann".into() };
/// assert_eq!(ann.sub, "ann");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, GraphQLObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
#[graphql(description = "Who made a change.")]
pub struct User {
    /// The subject of the identity provider.
    pub sub: String,
}

/// The OAuth application that was used.
///
/// ```
/// let client = koherent_juniper::Client { client_id: "lab-ui".into() };
/// assert_eq!(client.client_id, "lab-ui");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, GraphQLObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
#[graphql(description = "The OAuth application that was used.")]
pub struct Client {
    /// The id of the application.
    pub client_id: String,
}

/// The organization in which the principal acted.
///
/// ```
/// let lab = koherent_juniper::Organization { slug: "bio-lab".into() };
/// assert_eq!(lab.slug, "bio-lab");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, GraphQLObject)]
#[expect(clippy::exhaustive_structs, reason = "it mirrors a GraphQL type")]
#[graphql(description = "The organization in which the principal acted.")]
pub struct Organization {
    /// The name by which the organization is known.
    pub slug: String,
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
