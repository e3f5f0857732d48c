//! Who is calling.

use serde_json::{Map, Value};

use crate::id::{ClientId, Issuer, Organization, Subject};

/// The authenticated party whose request this is.
///
/// `koherent-tower`'s principal layer makes one from an access token. A service with another login makes its own and
/// puts it into the request's extensions.
///
/// ```
/// use koherent_core::Principal;
///
/// let principal = Principal::new("https://login.example", "ann", "lab-ui").with_organization("bio-lab");
/// assert_eq!(principal.subject, "ann");
/// assert!(!principal.has_role("admin"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Principal {
    /// Who vouches for the principal (`iss`).
    pub issuer: Issuer,
    /// Who it is (`sub`).
    pub subject: Subject,
    /// The OAuth application it uses (`client_id`, RFC 9068 §2.2), where the login says.
    pub client: Option<ClientId>,
    /// The organization it acts in (`org`).
    pub organization: Option<Organization>,
    /// What it is allowed in that organization (`roles`).
    pub roles: Vec<String>,
    /// What it delegated to the client (`scope`, RFC 6749 §3.3).
    pub scopes: Vec<String>,
    /// A name for people (`preferred_username`); it can change and identifies nobody.
    pub username: Option<String>,
    /// Who acts in the principal's stead (`act`, RFC 8693 §4.1), where the login says. It is kept with each change.
    #[cfg_attr(feature = "serde", serde(default))]
    pub impersonator: Option<Subject>,
    /// The claims that narrow the login and that the application said it understands: it must hold to them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub narrowed_by: Map<String, Value>,
}

impl Principal {
    /// A principal that uses an OAuth application, without organization, roles and scopes.
    pub fn new(
        issuer: impl Into<Issuer>,
        subject: impl Into<Subject>,
        client: impl Into<ClientId>,
    ) -> Self {
        Self {
            client: Some(client.into()),
            ..Self::without_client(issuer, subject)
        }
    }

    /// A principal whose login names no OAuth application. No task can be bound to it.
    pub fn without_client(issuer: impl Into<Issuer>, subject: impl Into<Subject>) -> Self {
        Self {
            issuer: issuer.into(),
            subject: subject.into(),
            client: None,
            organization: None,
            roles: Vec::new(),
            scopes: Vec::new(),
            username: None,
            impersonator: None,
            narrowed_by: Map::new(),
        }
    }

    /// The same principal, acting in an organization.
    #[must_use]
    pub fn with_organization(mut self, organization: impl Into<Organization>) -> Self {
        self.organization = Some(organization.into());
        self
    }

    /// Whether the principal has that role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }

    /// Whether the principal delegated that scope to its client.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }
}
