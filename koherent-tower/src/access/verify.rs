//! The checks of an access token.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use koherent_core::source::{Live, Need};
use koherent_core::token::{
    CACHED_TOKENS, MAX_LEEWAY, Remembered, Scheme, TokenCache, last_verdict, verdict,
};
use koherent_core::{
    ClientId, Clock, Error, Issuer, KeySource, Malformed, Organization, Principal, RevocationList,
    Subject, SystemClock, UnverifiedToken,
};
use serde_json::{Map, Value};

use super::claims::{Claims, invalid};
use super::issuer::{AccessIssuer, DEVELOPMENT_ISSUER, SetupError};
use super::keys::{AccessKey, AccessKeys, algorithm};
use super::narrowing::Narrowing;
use crate::refresh;

/// Verifies access tokens for one service. Cloning it is cheap, and clones share their keys and the tokens they remember.
///
/// ```
/// use koherent_core::{Error, KeySource};
/// use koherent_tower::{AccessIssuer, AccessVerifier};
///
/// let keys = KeySource::inline(r#"{"keys": []}"#);
/// let login = AccessIssuer::new("https://login.example", keys, ["RS256"])?;
/// let verifier = AccessVerifier::new("lab", [login])?;
/// assert!(matches!(verifier.verify("not a token"), Err(Error::Malformed(_))));
/// # Ok::<(), koherent_tower::access::SetupError>(())
/// ```
#[derive(Debug, Clone)]
pub struct AccessVerifier {
    audience: Arc<str>,
    issuers: Arc<[AccessIssuer]>,
    organizations: Option<Arc<[Organization]>>,
    revocations: Option<RevocationList>,
    narrowing: Narrowing,
    impersonator_claim: Option<Arc<str>>,
    leeway: Duration,
    clock: Arc<dyn Clock>,
    cache: Arc<TokenCache<Arc<Login>>>,
}

/// What a verified access token said, with what must be checked again when it is seen again.
#[derive(Debug)]
pub struct Login {
    principal: Principal,
    token_id: Option<Box<str>>,
    expires: f64,
    starts: Option<f64>,
}

impl AccessVerifier {
    /// A verifier for the service called `audience`, trusting these issuers.
    ///
    /// The audience `"*"` takes tokens meant for any service, and is warned about: a service that received a user's token
    /// could then use it here.
    ///
    /// # Errors
    ///
    /// [`SetupError`]: a blank audience, no issuer, or one given twice.
    pub fn new(
        audience: impl Into<String>,
        issuers: impl IntoIterator<Item = AccessIssuer>,
    ) -> Result<Self, SetupError> {
        use koherent_core::SetupError as Common;
        let (audience, issuers) = (audience.into(), Arc::<[AccessIssuer]>::from_iter(issuers));
        if audience.trim().is_empty() {
            return Err(Common::BlankAudience.into());
        }
        if audience.trim() != audience {
            return Err(Common::PaddedAudience(audience).into());
        }
        if audience == ANY_AUDIENCE {
            tracing::warn!(
                "the audience \"*\" accepts access tokens that were meant for other services"
            );
        }
        if issuers.is_empty() {
            return Err(Common::NoIssuer.into());
        }
        for (at, AccessIssuer { issuer, .. }) in issuers.iter().enumerate() {
            if issuers[..at].iter().any(|other| other.issuer == *issuer) {
                return Err(Common::DuplicateIssuer(issuer.to_string()).into());
            }
        }
        Ok(Self {
            audience: audience.into(),
            issuers,
            organizations: None,
            revocations: None,
            narrowing: Narrowing::default(),
            impersonator_claim: None,
            leeway: Duration::ZERO,
            clock: Arc::new(SystemClock),
            cache: Arc::new(TokenCache::new(CACHED_TOKENS)),
        })
    }

    /// A verifier that trusts tokens of [`DEVELOPMENT_ISSUER`], signed with a key that lies on the developer's disk.
    ///
    /// Never for production: whoever can read that key is anybody. It says so in the log.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], and where `jwks` is no key set.
    pub fn development(audience: impl Into<String>, jwks: &str) -> Result<Self, SetupError> {
        tracing::warn!(
            "development tokens are accepted: whoever has the development key is anybody"
        );
        let issuer = Issuer::from(DEVELOPMENT_ISSUER);
        Self::new(
            audience,
            [AccessIssuer::with_algorithms(
                issuer,
                KeySource::inline(jwks),
                vec![Algorithm::EdDSA],
            )?],
        )
    }

    /// The same verifier, forgiving clocks that disagree by that much.
    ///
    /// # Errors
    ///
    /// [`koherent_core::SetupError::TooMuchLeeway`] above [`MAX_LEEWAY`].
    pub fn with_leeway(mut self, leeway: Duration) -> Result<Self, SetupError> {
        if leeway > MAX_LEEWAY {
            return Err(SetupError::Common(
                koherent_core::SetupError::TooMuchLeeway {
                    given: leeway,
                    limit: MAX_LEEWAY,
                },
            ));
        }
        self.leeway = leeway;
        Ok(self)
    }

    /// The same verifier, asking another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same verifier, for members of these organizations alone (`org`, compared byte for byte). A token without one is
    /// refused then.
    ///
    /// # Errors
    ///
    /// [`SetupError::NoOrganization`] where there is none.
    pub fn with_organizations<O: Into<Organization>>(
        mut self,
        organizations: impl IntoIterator<Item = O>,
    ) -> Result<Self, SetupError> {
        let organizations: Arc<[_]> = organizations.into_iter().map(Into::into).collect();
        if organizations.is_empty() {
            return Err(SetupError::NoOrganization);
        }
        self.organizations = Some(organizations);
        self.cache = Arc::new(self.cache.renewed());
        Ok(self)
    }

    /// The same verifier, refusing the tokens on that list. A token without `jti` is refused then: nobody could take it
    /// back.
    #[must_use]
    pub fn with_revocations(mut self, list: RevocationList) -> Self {
        self.revocations = Some(list);
        self.cache = Arc::new(self.cache.renewed());
        self
    }

    /// The same verifier, for an application that understands these claims, which narrow a token, and holds to them: it finds
    /// them in [`Principal::narrowed_by`].
    ///
    /// A token that is narrowed by a claim of [`NARROWING_CLAIMS`](super::NARROWING_CLAIMS) which nobody understands is refused:
    /// [`Error::ScopedTokenUnsupported`].
    ///
    /// ```
    /// # use koherent_core::testing::test_issuer;
    /// # use koherent_core::Error;
    /// # use koherent_tower::AccessVerifier;
    /// # use koherent_tower::access::DEVELOPMENT_ISSUER;
    /// # use serde_json::json;
    /// # let issuer = test_issuer(DEVELOPMENT_ISSUER);
    /// # let claims = json!({"iss": DEVELOPMENT_ISSUER, "aud": "lab", "sub": "guest", "exp": 4_102_444_800_u64, "collabs": ["s-7"]});
    /// # let guest = issuer.sign(&json!({"alg": "EdDSA", "kid": "test-1"}), &claims);
    /// let verifier = AccessVerifier::development("lab", &issuer.jwks())?;
    /// assert!(matches!(verifier.verify(&guest), Err(Error::ScopedTokenUnsupported { .. })));
    ///
    /// let verifier = verifier.with_understood_claims(["collabs"]);
    /// assert_eq!(verifier.verify(&guest)?.narrowed_by["collabs"], json!(["s-7"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_understood_claims<'a>(mut self, claims: impl IntoIterator<Item = &'a str>) -> Self {
        self.narrowing.understand(claims.into_iter().map(Arc::from));
        self.cache = Arc::new(self.cache.renewed());
        self
    }

    /// The same verifier, refusing tokens with these claims too: those by which its issuers narrow a token in a way of their own.
    ///
    /// ```
    /// # fn with(verifier: koherent_tower::AccessVerifier) {
    /// let verifier = verifier.with_narrowing_claims(["https://login.example/shared"]);
    /// # }
    /// ```
    #[must_use]
    pub fn with_narrowing_claims<'a>(mut self, claims: impl IntoIterator<Item = &'a str>) -> Self {
        self.narrowing.add(claims.into_iter().map(Arc::from));
        self.cache = Arc::new(self.cache.renewed());
        self
    }

    /// The same verifier, taking from that claim who acts in the principal's stead, where the token has no `act` (RFC 8693
    /// §4.1): a text, or an object with `sub` or `id`. It is in [`Principal::impersonator`], and kept with each change.
    ///
    /// ```
    /// # fn with(verifier: koherent_tower::AccessVerifier) {
    /// let verifier = verifier.with_impersonator_claim("impersonator"); // as Keycloak writes it
    /// # }
    /// ```
    #[must_use]
    pub fn with_impersonator_claim(mut self, claim: &str) -> Self {
        self.impersonator_claim = Some(claim.into());
        self.cache = Arc::new(self.cache.renewed());
        self
    }

    /// The same verifier, remembering at most so many verified tokens; 0 verifies each anew. The default is 8192.
    ///
    /// A remembered token is still checked for what changes: its dates, whether it has been revoked, and whether its
    /// issuer's keys are still those that verified it.
    #[must_use]
    pub fn with_cached_tokens(mut self, tokens: usize) -> Self {
        self.cache = Arc::new(TokenCache::new(tokens));
        self
    }

    /// Verifies an access token by the keys at hand and says who it is.
    ///
    /// `exp`, `aud`, `iss` and `sub` are required (RFC 9068 §2.2); `nbf` and `iat` count where they are given;
    /// `client_id`, `org`, `roles`, `scope` and `preferred_username` are taken over.
    ///
    /// It never waits. Where keys or revocations come from a URL, use [`Self::verify_with_refresh`] or
    /// [`PrincipalLayer`](crate::PrincipalLayer): this one loads nothing.
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`].
    pub fn verify(&self, token: &str) -> Result<Principal, Error> {
        self.verdict(token, false).0
    }

    /// Verifies an access token and says who it is, and loads keys or revocations first where that may change the answer.
    ///
    /// For logins that come without the header, such as the `token` in the `connection_init` payload of a websocket:
    ///
    /// ```
    /// use koherent_core::{Error, Principal};
    /// use koherent_tower::AccessVerifier;
    ///
    /// async fn on_connect(verifier: &AccessVerifier, payload: &serde_json::Value) -> Result<Principal, Error> {
    ///     let token = payload["token"].as_str().unwrap_or_default();
    ///     verifier.verify_with_refresh(token).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`]; [`Error::KeysUnavailable`] and [`Error::RevocationsUnavailable`]
    /// where they cannot be loaded.
    pub async fn verify_with_refresh(&self, token: &str) -> Result<Principal, Error> {
        // Keys and revocations may both have to be loaded.
        for _ in 0..2 {
            match self.verdict(token, true) {
                (_, Need::First(load)) => refresh::drive(load).await,
                (verdict, need) => {
                    if let Need::Beside(load) = need {
                        refresh::begin(load);
                    }
                    return verdict;
                }
            }
        }
        self.verify(token)
    }

    /// Loads the keys and revocations that come from URLs now, rather than with the first token. What cannot be loaded is
    /// logged, and tried again when a token needs it.
    pub async fn load_keys(&self) {
        let keys = self
            .issuers
            .iter()
            .map(|issuer| issuer.keys.look(&self.clock, |_| true).1);
        let revocations = self.revocations.iter().map(|list| list.need(&self.clock));
        let needs = keys.chain(revocations).reduce(Need::and);
        if let Some(Need::First(load)) = needs {
            refresh::drive(load).await;
        }
    }

    /// Verifies an access token by the keys at hand, and says whether something must be loaded for a final answer.
    ///
    /// # Errors
    ///
    /// The first check that fails names the [`Error`].
    pub(crate) fn verdict(&self, token: &str, may_wait: bool) -> (Result<Principal, Error>, Need) {
        let (verdict, need) = if may_wait {
            verdict(self, token)
        } else {
            last_verdict(self, token)
        };
        (verdict.map(|login| login.principal.clone()), need)
    }

    fn login(&self, issuer: Issuer, claims: &Claims<'_>) -> Result<Login, Error> {
        // RFC 8725 §3.12: no token of one kind may pass as one of the other.
        if claims.has("tsk") {
            return Err(invalid("tsk", "a provenance token is no access token"));
        }
        let subject = claims.required_text("sub")?;
        let expires = claims
            .date("exp")?
            .ok_or(Error::MissingClaim { claim: "exp" })?;
        let starts = [claims.date("nbf")?, claims.date("iat")?];
        let audience = claims.audience()?;
        let token_id = claims.text("jti")?.map(Into::into);
        let principal = Principal {
            client: claims.text("client_id")?.map(ClientId::from),
            organization: claims.text("org")?.map(Into::into),
            roles: claims.texts("roles")?,
            scopes: claims.scopes()?,
            username: claims.text("preferred_username")?.map(ToOwned::to_owned),
            impersonator: claims.impersonator(self.impersonator_claim.as_deref())?,
            narrowed_by: Map::new(),
            ..Principal::without_client(issuer, Subject::from(subject))
        };
        let login = Login {
            principal,
            token_id,
            expires,
            starts: starts.into_iter().flatten().reduce(f64::max),
        };
        self.check_time(&login)?;
        if *self.audience != *ANY_AUDIENCE && !audience.contains(&&*self.audience) {
            return Err(Error::WrongAudience);
        }
        Ok(login)
    }

    fn check_time(&self, login: &Login) -> Result<(), Error> {
        let now = self.clock.since_epoch().as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        if login.expires <= now - leeway {
            return Err(Error::Expired);
        }
        if login.starts.is_some_and(|start| start > now + leeway) {
            return Err(Error::NotYetValid);
        }
        Ok(())
    }

    fn check_revoked(&self, login: &Login, need: &mut Need) -> Result<(), Error> {
        let Some(list) = &self.revocations else {
            return Ok(());
        };
        let token_id = login.token_id.as_deref();
        let token_id = token_id.ok_or(Error::MissingClaim { claim: "jti" })?;
        list.check(token_id, &self.clock, need)
    }

    fn check_organization(&self, principal: &Principal) -> Result<(), Error> {
        let Some(allowed) = &self.organizations else {
            return Ok(());
        };
        match &principal.organization {
            Some(own) if allowed.contains(own) => Ok(()),
            _ => Err(Error::OrganizationNotAllowed),
        }
    }
}

impl Scheme for AccessVerifier {
    type Keys = AccessKeys;
    type Verified = Arc<Login>;
    const TOKEN: &'static str = "access";

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn cache(&self) -> &TokenCache<Arc<Login>> {
        &self.cache
    }

    fn keys(&self, issuer: usize) -> &Live<AccessKeys> {
        &self.issuers[issuer].keys
    }

    fn verify_anew(&self, token: &str, need: &mut Need) -> Result<Remembered<Arc<Login>>, Error> {
        let unverified = UnverifiedToken::parse(token)?;
        let (header, payload) = (object(token, 0)?, object(token, 1)?);
        let name = header.get("alg").and_then(Value::as_str);
        let algorithm = name
            .and_then(algorithm)
            .ok_or(Error::UnsupportedAlgorithm)?;
        if unverified.asks_for_extensions() {
            return Err(Error::Malformed(Malformed::Header));
        }
        let key_id = unverified
            .key_id()
            .filter(|id| !id.is_empty())
            .ok_or(Error::MissingKid)?;
        let claims = Claims(&payload);
        let name = claims.required_text("iss")?;
        let position = self.issuers.iter().position(|known| known.issuer == name);
        let position = position.ok_or(Error::UntrustedIssuer)?;
        let issuer = &self.issuers[position];
        if !issuer.algorithms.contains(&algorithm) {
            return Err(Error::UnsupportedAlgorithm);
        }
        let has_key = |keys: &AccessKeys| keys.find(key_id, algorithm).is_some();
        let (keys, key_need) = issuer.keys.look(&self.clock, has_key);
        *need = key_need;
        let key = keys.value.as_deref();
        let key = key.and_then(|keys| keys.find(key_id, algorithm));
        verify_signature(token, key.ok_or_else(|| keys.unknown_key())?, algorithm)?;
        let mut login = self.login(issuer.issuer.clone(), &claims)?;
        self.check_revoked(&login, need)?;
        self.check_organization(&login.principal)?;
        login.principal.narrowed_by = self.narrowing.of(&claims)?;
        Ok(Remembered {
            value: Arc::new(login),
            issuer: position,
            generation: keys.generation,
        })
    }

    fn still_holds(&self, login: &Arc<Login>, need: &mut Need) -> Result<(), Error> {
        self.check_time(login)?;
        self.check_revoked(login, need)
    }
}

/// The audience that takes tokens meant for any service.
const ANY_AUDIENCE: &str = "*";

/// A segment of a token that has been read strictly before.
fn object(token: &str, segment: usize) -> Result<Map<String, Value>, Error> {
    let segment = token.split('.').nth(segment).unwrap_or_default();
    let malformed = |_| Error::Malformed(Malformed::NotAnObject);
    let bytes = URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| Error::Malformed(Malformed::Base64))?;
    serde_json::from_slice(&bytes).map_err(malformed)
}

/// Lets `jsonwebtoken` check the signature, and nothing else: what it does with headers and claims depends on options and
/// on types it expects.
fn verify_signature(token: &str, key: &AccessKey, algorithm: Algorithm) -> Result<(), Error> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Error::BadSignature)?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Error::BadSignature)?;
    let verifier = key.verifier(algorithm).ok_or(Error::BadSignature)?;
    verifier
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| Error::BadSignature)
}
