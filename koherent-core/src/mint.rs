//! Minting provenance tokens.
//!
//! Real tokens come from the server that hands out tasks. This is for a service's own development key and for tests:
//! both must sign with exactly the claims a real issuer writes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Map, Value, json};

use crate::source::KeySource;
use crate::token::{ARGS_HASH_ALGORITHM, JsonError, TrustedIssuer, Verifier, args_hash};

/// An issuer that holds its private key here.
///
/// ```
/// use koherent_core::mint::TokenIssuer;
///
/// let issuer = TokenIssuer::new("lab-dev", "dev-1", &[7; 32]);
/// let token = issuer.task("task-a").audience("lab").actor("agent-7", "robot").mint();
/// assert_eq!(issuer.verifier("lab").verify(&token)?.task().agent, "agent-7");
/// # Ok::<(), koherent_core::Error>(())
/// ```
#[derive(Clone)]
pub struct TokenIssuer {
    name: String,
    key_id: String,
    key: SigningKey,
}

impl TokenIssuer {
    /// An issuer from its name, the id of its key, and the 32 secret bytes of an Ed25519 key (RFC 8032 §5.1.5).
    #[must_use]
    pub fn new(name: &str, key_id: &str, secret: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(secret);
        Self {
            name: name.to_owned(),
            key_id: key_id.to_owned(),
            key,
        }
    }

    /// The public key set, as a JWKS document.
    #[must_use]
    pub fn jwks(&self) -> String {
        let point = URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes());
        let key =
            json!({"kty": "OKP", "crv": "Ed25519", "kid": self.key_id, "x": point, "use": "sig"});
        json!({ "keys": [key] }).to_string()
    }

    /// The issuer with its public key set, to be trusted by a verifier.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "a caller that gives a blank name is told so"
    )]
    pub fn trusted(&self) -> TrustedIssuer {
        TrustedIssuer::new(self.name.as_str(), KeySource::inline(self.jwks()))
            .expect("the document above is a key set")
    }

    /// A verifier that trusts this issuer alone.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "a caller that gives a blank name is told so"
    )]
    pub fn verifier(&self, audience: &str) -> Verifier {
        Verifier::new(audience, [self.trusted()]).expect("audience and issuer are not blank")
    }

    /// Begins a token for a root task, with the claims a real issuer writes, valid from 2023 to 2100 and meant for the
    /// service "lab".
    pub fn task(&self, task_id: &str) -> TokenBuilder<'_> {
        let no_args = args_hash(b"{}").unwrap_or_default();
        let claims = json!({
            "iss": self.name, "aud": ["lab"], "sub": "ann", "act": {"sub": "agent-7", "cid": "robot"},
            "iat": 1_700_000_000, "exp": 4_102_444_800_u64, "jti": format!("token-of-{task_id}"),
            "tsk": task_id, "ptk": null, "rtk": task_id, "rcb": "ann",
            "ahs": no_args, "aha": ARGS_HASH_ALGORITHM,
        });
        let header = json!({"typ": "JWT", "alg": "Ed25519", "kid": self.key_id});
        TokenBuilder {
            issuer: self,
            header: object(header),
            claims: object(claims),
        }
    }

    /// Signs any header and claims as they are: also what a verifier must refuse.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature.to_bytes()));
        token
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A provenance token in the making.
#[derive(Clone)]
#[must_use = "a token is made by `mint`"]
pub struct TokenBuilder<'i> {
    issuer: &'i TokenIssuer,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl TokenBuilder<'_> {
    /// The task that caused this one, and the root of the tree.
    pub fn parent(self, parent: &str, root: &str) -> Self {
        self.claim("ptk", parent).claim("rtk", root)
    }

    /// The agent that executes the task, and its OAuth client.
    pub fn actor(self, subject: &str, client: &str) -> Self {
        self.claim("act", json!({"sub": subject, "cid": client}))
    }

    /// The immediate causer (`sub`) and the human at the root of the tree (`rcb`).
    pub fn caused_by(self, caller: &str, assigner: &str) -> Self {
        self.claim("sub", caller).claim("rcb", assigner)
    }

    /// The one service the token is meant for.
    pub fn audience(self, audience: &str) -> Self {
        self.claim("aud", json!([audience]))
    }

    /// When the token is issued and expires, in seconds since 1970.
    pub fn valid(self, issued: u64, expires: u64) -> Self {
        self.claim("iat", issued).claim("exp", expires)
    }

    /// The id of the token itself.
    pub fn token_id(self, id: &str) -> Self {
        self.claim("jti", id)
    }

    /// The arguments of the task, as JSON text.
    ///
    /// # Errors
    ///
    /// The text has no canonical form; see [`canonical_json`](crate::token::canonical_json).
    pub fn try_args(self, json_text: &str) -> Result<Self, JsonError> {
        Ok(self.claim("ahs", args_hash(json_text.as_bytes())?))
    }

    /// Any claim, also a wrong one; null stays in the token as null.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// The token without that claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Any header member, also a wrong one.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// The signed token in compact form.
    #[must_use]
    pub fn mint(self) -> String {
        self.issuer
            .sign(&Value::Object(self.header), &Value::Object(self.claims))
    }
}

impl fmt::Debug for TokenBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("task_id", &self.claims.get("tsk"))
            .finish_non_exhaustive()
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
