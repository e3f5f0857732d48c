//! The names that tokens and history rows carry, each a type of its own.
//!
//! All of them are opaque text, compared byte for byte: no case folding, no trimming, no Unicode normalisation.
//! Cloning one is a reference count, so a value read from a token travels to the history row without a copy.

use std::fmt;
use std::sync::Arc;

use crate::error::SetupError;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(from = "String", into = "String"))]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

text_id! {
    /// Who: the `sub` of a token, unique only together with its [`Issuer`] (RFC 7519 §4.1.2).
    ///
    /// ```
    /// use koherent_core::Subject;
    /// assert_eq!(Subject::from("ann"), "ann");
    /// ```
    Subject
}
text_id! {
    /// Who vouches: the `iss` of a token (RFC 7519 §4.1.1).
    ///
    /// ```
    /// use koherent_core::Issuer;
    /// assert_ne!(Issuer::from("https://login.example"), "https://login.example/");
    /// ```
    Issuer
}
impl Issuer {
    /// An issuer from a configuration, if tokens can have it: it is compared byte for byte.
    ///
    /// # Errors
    ///
    /// [`SetupError::BlankIssuer`], and [`SetupError::PaddedIssuer`] where it begins or ends with white space.
    ///
    /// ```
    /// use koherent_core::Issuer;
    /// assert!(Issuer::from("rekuest").checked().is_ok());
    /// assert!(Issuer::from("rekuest ").checked().is_err());
    /// ```
    pub fn checked(self) -> Result<Self, SetupError> {
        let name = self.as_str();
        if name.trim().is_empty() {
            Err(SetupError::BlankIssuer)
        } else if name.trim() != name {
            Err(SetupError::PaddedIssuer(name.to_owned()))
        } else {
            Ok(self)
        }
    }
}

text_id! {
    /// Through which application: an OAuth 2.0 `client_id` (RFC 6749 §2.2).
    ///
    /// ```
    /// use koherent_core::ClientId;
    /// assert_eq!(ClientId::from("lab-ui").to_string(), "lab-ui");
    /// ```
    ClientId
}
text_id! {
    /// For whom: the slug of the organization (tenant) in which the principal acts.
    ///
    /// ```
    /// use koherent_core::Organization;
    /// assert_eq!(Organization::from("bio-lab").as_str(), "bio-lab");
    /// ```
    Organization
}
text_id! {
    /// One attested run of work: the `tsk` claim of a provenance token.
    ///
    /// ```
    /// use koherent_core::TaskId;
    /// assert_eq!(TaskId::from("task-a"), "task-a");
    /// ```
    TaskId
}
text_id! {
    /// The `jti` of a provenance token. One token accompanies every request of its task, so repeats are normal;
    /// under another task they are an error.
    ///
    /// ```
    /// use koherent_core::TokenId;
    /// assert_eq!(TokenId::from("931e2837").as_str(), "931e2837");
    /// ```
    TokenId
}
