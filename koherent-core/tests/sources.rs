//! Keys that change while the service runs: when they are loaded, what is used meanwhile, and what no traffic can force.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use koherent_core::mint::TokenIssuer;
use koherent_core::source::{FetchError, Live, MAX_KEY_SET_BYTES, Need};
use koherent_core::testing::{TestClock, TestFetcher};
use koherent_core::{
    Clock, Error, ErrorCode, KeySource, RevocationList, SetupError, TrustedIssuer, VerifiedToken,
    Verifier,
};

const NOW: u64 = 1_790_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The issuer with its key of that id.
fn issuer(key_id: &str) -> TokenIssuer {
    let secret = [u8::try_from(key_id.len()).unwrap(); 32];
    TokenIssuer::new("rekuest", key_id, &secret)
}

fn token(key_id: &str) -> String {
    issuer(key_id).task("task-a").mint()
}

/// A document with these keys.
fn jwks(key_ids: &[&str]) -> String {
    let keys = key_ids.iter().map(|key_id| {
        let document = issuer(key_id).jwks();
        document["{\"keys\":[".len()..document.len() - 2].to_owned()
    });
    format!("{{\"keys\":[{}]}}", keys.collect::<Vec<_>>().join(","))
}

struct Service {
    server: TestFetcher,
    clock: Arc<TestClock>,
    verifier: Verifier,
}

impl Service {
    /// A verifier whose one issuer publishes these keys at a URL.
    fn with_keys(key_ids: &[&str]) -> Self {
        Self::with_source(key_ids, |source| source)
    }

    fn with_source(key_ids: &[&str], set: impl FnOnce(KeySource) -> KeySource) -> Self {
        let server = TestFetcher::serving(jwks(key_ids));
        let source = KeySource::url("https://rekuest.example/jwks", server.clone()).unwrap();
        let clock = Arc::new(TestClock::at(NOW));
        let trusted = TrustedIssuer::new("rekuest", set(source)).unwrap();
        let verifier = Verifier::new("lab", [trusted])
            .unwrap()
            .with_clock(clock.clone());
        Self {
            server,
            clock,
            verifier,
        }
    }

    async fn verify(&self, token: &str) -> Result<VerifiedToken, Error> {
        self.verifier.verify_with_refresh(token).await
    }
}

#[tokio::test]
async fn keys_are_fetched_when_the_first_token_needs_them() {
    let service = Service::with_keys(&["a"]);
    assert_eq!(
        service.verifier.verify(&token("a")),
        Err(Error::KeysUnavailable)
    );
    assert_eq!(service.server.fetches(), 0, "`verify` loads nothing");
    service.verify(&token("a")).await.unwrap();
    assert!(service.verifier.verify(&token("a")).is_ok());
    assert_eq!(service.server.fetches(), 1);
}

/// What cannot verify anyway makes nobody fetch anything.
#[tokio::test]
async fn hopeless_tokens_cause_no_fetch() {
    let service = Service::with_keys(&["a"]);
    let stranger = TokenIssuer::new("stranger", "a", &[1; 32]).task("x").mint();
    let symmetric = issuer("a").task("x").header("alg", "HS256").mint();
    let nameless = issuer("a").task("x").header("kid", "").mint();
    for hopeless in [
        "",
        "a.b.c",
        &stranger,
        &symmetric,
        &nameless,
        &"x".repeat(20_000),
    ] {
        assert!(service.verify(hopeless).await.is_err());
    }
    assert_eq!(service.server.fetches(), 0);
}

#[tokio::test]
async fn rotation_is_picked_up_at_once_and_removed_keys_are_refused() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.clock.advance(seconds(10));
    service.server.serve(jwks(&["a", "bb"]));
    service.verify(&token("bb")).await.unwrap();
    service.verify(&token("a")).await.unwrap();
    assert_eq!(service.server.fetches(), 2);

    service.clock.advance(seconds(10));
    service.server.serve(jwks(&["bb", "ccc"]));
    service.verify(&token("ccc")).await.unwrap();
    // It had been verified and remembered; its key is gone.
    assert_eq!(service.verify(&token("a")).await, Err(Error::UnknownKey));
    assert_eq!(service.verifier.verify(&token("a")), Err(Error::UnknownKey));
    service.verify(&token("bb")).await.unwrap();
}

/// No unknown key ever comes, and still a removed key is refused: a document has a maximum age.
#[tokio::test]
async fn removed_keys_are_refused_although_nobody_asks_for_new_ones() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.server.serve(jwks(&[]));
    service.clock.advance(seconds(59));
    service.verify(&token("a")).await.unwrap();
    assert_eq!(service.server.fetches(), 1);
    service.clock.advance(seconds(2));
    // Loaded beside this request, by whoever has a runtime for it, and used by the next.
    let (verdict, need) = service.verifier.verdict(&token("a"));
    verdict.unwrap();
    let Need::Beside(refresh) = need else {
        panic!("{need:?}")
    };
    refresh.await;
    assert_eq!(service.server.fetches(), 2);
    assert_eq!(service.verify(&token("a")).await, Err(Error::UnknownKey));

    // Who has none waits for it when the document is twice as old.
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.server.serve(jwks(&[]));
    service.clock.advance(seconds(119));
    service.verify(&token("a")).await.unwrap();
    assert_eq!(service.server.fetches(), 1);
    service.clock.advance(seconds(1));
    assert_eq!(service.verify(&token("a")).await, Err(Error::UnknownKey));

    // After a quiet night the first request waits for the document.
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.server.serve(jwks(&[]));
    service.clock.advance(DAY / 3);
    assert_eq!(service.verify(&token("a")).await, Err(Error::UnknownKey));
}

/// The same key id with another key: remembered tokens of the old one do not pass.
#[tokio::test]
async fn key_replaced_under_its_id_refuses_what_was_remembered() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    let other = TokenIssuer::new("rekuest", "a", &[99; 32]);
    service.server.serve(other.jwks());
    service.clock.advance(seconds(120));
    assert_eq!(service.verify(&token("a")).await, Err(Error::BadSignature));
    service.verify(&other.task("task-a").mint()).await.unwrap();
}

#[tokio::test]
async fn any_traffic_of_unknown_keys_fetches_once_per_interval() {
    let service = Service::with_source(&["a"], |source| source.with_interval(seconds(20)).unwrap());
    service.verify(&token("a")).await.unwrap();
    // A minute of it: 100,000 requests, each with a key id of its own.
    let signed = issuer("a");
    let mut refused = 0;
    for number in 0..100_000 {
        if number % 1667 == 1666 {
            service.clock.advance(seconds(1));
        }
        let unknown = if number % 100 == 0 {
            signed
                .task("task-a")
                .header("kid", format!("random-{number}"))
                .mint()
        } else {
            // Unsigned ones are as good for the purpose, and quicker to make.
            unsigned(number)
        };
        refused += usize::from(service.verify(&unknown).await == Err(Error::UnknownKey));
        if number % 1000 == 0 {
            service.verify(&token("a")).await.unwrap();
        }
    }
    assert_eq!(refused, 100_000);
    assert!(
        service.server.fetches() <= 3,
        "{}",
        service.server.fetches()
    );
}

fn unsigned(number: usize) -> String {
    use base64::Engine as _;
    let encode = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.AAAA",
        encode(format!(r#"{{"alg":"Ed25519","kid":"random-{number}"}}"#)),
        encode(r#"{"iss":"rekuest"}"#.to_owned())
    )
}

#[tokio::test]
async fn all_that_wait_share_one_fetch() {
    let service = Service::with_keys(&["a"]);
    service.server.hang(true);
    let waiting: Vec<_> = (0..64)
        .map(|_| {
            let verifier = service.verifier.clone();
            tokio::spawn(async move { verifier.verify_with_refresh(&token("a")).await })
        })
        .collect();
    while service.server.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    service.server.hang(false);
    for waiter in waiting {
        waiter.await.unwrap().unwrap();
    }
    assert_eq!(service.server.fetches(), 1);
}

/// Whoever began a fetch may go away; the next one that needs it brings it to its end.
#[tokio::test]
async fn fetch_survives_the_request_that_began_it() {
    let service = Service::with_keys(&["a"]);
    service.server.hang(true);
    let first = token("a");
    let mut abandoned = Box::pin(service.verify(&first));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(
        Future::poll(abandoned.as_mut(), &mut cx),
        Poll::Pending
    ));
    drop(abandoned);
    service.server.hang(false);
    service.verify(&token("a")).await.unwrap();
    assert_eq!(service.server.fetches(), 1);
}

#[tokio::test]
async fn failed_loads_keep_known_keys_and_are_remembered_for_the_interval() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    let too_long = vec![b' '; MAX_KEY_SET_BYTES + 1];
    let failures: [&dyn Fn(); 8] = [
        &|| service.server.fail(FetchError::TimedOut),
        &|| service.server.fail(FetchError::Status(500)),
        &|| service.server.fail(FetchError::Status(302)),
        &|| {
            service
                .server
                .fail(FetchError::transport("connection refused"))
        },
        &|| service.server.serve("<html>it works!</html>"),
        &|| service.server.serve("{}"),
        &|| service.server.serve(b"\xff\xfe".as_slice()),
        &|| service.server.serve(too_long.clone()),
    ];
    for fail in failures {
        fail();
        service.clock.advance(seconds(10));
        let before = service.server.fetches();
        for _ in 0..100 {
            // Newer keys cannot be had: that the key does not exist cannot be said.
            let error = service.verify(&token("bb")).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Unavailable);
            service.verify(&token("a")).await.unwrap();
        }
        assert_eq!(service.server.fetches(), before + 1);
    }
    service.server.serve(jwks(&["a", "bb"]));
    service.clock.advance(seconds(10));
    service.verify(&token("bb")).await.unwrap();
}

#[tokio::test]
async fn fetcher_that_panics_is_a_failed_load() {
    #[derive(Debug)]
    struct Panicking;
    impl koherent_core::source::Fetch for Panicking {
        fn fetch<'a>(&'a self, _: &'a str, _: usize) -> koherent_core::source::FetchFuture<'a> {
            Box::pin(async { panic!("a bug of the fetcher's") })
        }
    }
    let source = KeySource::url("https://rekuest.example/jwks", Panicking).unwrap();
    let verifier = Verifier::new("lab", [TrustedIssuer::new("rekuest", source).unwrap()]).unwrap();
    for _ in 0..2 {
        let verdict = verifier.verify_with_refresh(&token("a")).await;
        assert_eq!(verdict, Err(Error::KeysUnavailable));
    }
}

/// Looking changes nothing: a need that nobody acts on is there at the next look, and the one after.
#[tokio::test]
async fn needs_that_are_dropped_are_not_lost() {
    let service = Service::with_keys(&["a"]);
    for _ in 0..3 {
        let (verdict, need) = service.verifier.verdict(&token("a"));
        assert_eq!(verdict, Err(Error::KeysUnavailable));
        assert!(matches!(need, Need::First(_)));
        assert_eq!(
            service.verifier.verify(&token("a")),
            Err(Error::KeysUnavailable)
        );
    }
    service.verify(&token("a")).await.unwrap();
    // A failed load, so that nobody is made to wait; and a key that is removed meanwhile.
    service.server.fail(FetchError::TimedOut);
    service.clock.advance(seconds(120));
    service.verify(&token("a")).await.unwrap();
    service.server.serve(jwks(&[]));
    service.clock.advance(seconds(10));
    for _ in 0..3 {
        let (verdict, need) = service.verifier.verdict(&token("a"));
        verdict.unwrap();
        assert!(matches!(need, Need::Beside(_)));
        service.verifier.verify(&token("a")).unwrap();
    }
    assert_eq!(service.server.fetches(), 2);
    let (_, Need::Beside(refresh)) = service.verifier.verdict(&token("a")) else {
        panic!("it is still due")
    };
    refresh.await;
    assert_eq!(service.verify(&token("a")).await, Err(Error::UnknownKey));
}

/// A load that was begun and abandoned is taken up by the next that wants it, also one that need not wait.
#[tokio::test]
async fn abandoned_load_is_taken_up_beside() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.server.hang(true);
    service.clock.advance(seconds(60));
    let (_, Need::Beside(refresh)) = service.verifier.verdict(&token("a")) else {
        panic!("it is due")
    };
    let mut begun = Box::pin(refresh);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Future::poll(begun.as_mut(), &mut cx).is_pending());
    // It is under way: nobody else need do anything.
    assert!(matches!(
        service.verifier.verdict(&token("a")).1,
        Need::Nothing
    ));
    drop(begun);
    service.server.hang(false);
    service.server.serve(jwks(&[]));
    let (_, Need::Beside(refresh)) = service.verifier.verdict(&token("a")) else {
        panic!("it was abandoned")
    };
    refresh.await;
    assert_eq!(service.server.fetches(), 2);
    assert_eq!(service.verify(&token("a")).await, Err(Error::UnknownKey));
}

/// A load that failed long ago says nothing about the server now: what is old is loaded first.
#[tokio::test]
async fn old_failure_does_not_let_old_keys_pass() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.server.fail(FetchError::TimedOut);
    service.clock.advance(seconds(120));
    service.verify(&token("a")).await.unwrap();
    service.server.serve(jwks(&[]));
    service.clock.advance(DAY / 3);
    assert_eq!(service.verify(&token("a")).await, Err(Error::UnknownKey));
}

/// Nor do they pass while they are loaded: an old failure does not become a new one when the next load begins.
#[tokio::test]
async fn old_keys_do_not_pass_while_newer_ones_are_loaded() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.server.fail(FetchError::TimedOut);
    service.clock.advance(seconds(120));
    service.verify(&token("a")).await.unwrap();
    service.server.serve(jwks(&[]));
    service.server.hang(true);
    service.clock.advance(DAY / 3);
    let old = token("a");
    let mut first = Box::pin(service.verify(&old));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Future::poll(first.as_mut(), &mut cx).is_pending());
    let (_, need) = service.verifier.verdict(&old);
    assert!(matches!(need, Need::First(_)), "{need:?}");
    service.server.hang(false);
    assert_eq!(service.verify(&old).await, Err(Error::UnknownKey));
    assert_eq!(first.await, Err(Error::UnknownKey));
}

/// What was begun an hour ago and left behind says nothing about now: it is not waited for.
#[tokio::test]
async fn load_that_was_left_behind_long_ago_is_begun_anew() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.clock.advance(seconds(10));
    service.server.hang(true);
    let unknown = token("bb");
    let mut abandoned = Box::pin(service.verify(&unknown));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Future::poll(abandoned.as_mut(), &mut cx).is_pending());
    drop(abandoned);
    service.server.hang(false);
    service.server.serve(jwks(&["a", "bb"]));
    service.clock.advance(seconds(3600));
    service.verify(&unknown).await.unwrap();
    assert_eq!(service.server.fetches(), 3);
}

/// A reader with a bug does not take the verifier with it: the load has failed, and the next one is tried.
#[tokio::test]
async fn reader_that_panics_is_a_failed_load() {
    let server = TestFetcher::serving("panic");
    let source = KeySource::url("https://rekuest.example/jwks", server.clone()).unwrap();
    let moved = Arc::new(TestClock::at(NOW));
    let clock: Arc<dyn Clock> = moved.clone();
    let read = |text: &str| {
        if text == "panic" {
            panic!("a bug")
        } else {
            Ok(text.len())
        }
    };
    let live = Live::new("lengths", "tests", source, read).unwrap();
    for _ in 0..2 {
        live.load(&clock).await;
        let (view, need) = live.look(&clock, |_| true);
        assert!(view.value.is_none() && view.failed && matches!(need, Need::Later(_)));
    }
    server.serve("good");
    moved.advance(seconds(10));
    live.load(&clock).await;
    assert_eq!(live.look(&clock, |_| true).0.value.as_deref(), Some(&4));
}

/// The same for a file: it is read again, and what it said before stays meanwhile.
#[test]
fn reader_that_panics_on_a_file_reads_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    std::fs::write(&path, "good").unwrap();
    let moved = Arc::new(TestClock::at(NOW));
    let clock: Arc<dyn Clock> = moved.clone();
    let read = |text: &str| {
        if text == "panic" {
            panic!("a bug")
        } else {
            Ok(text.len())
        }
    };
    let live = Live::new("lengths", "tests", KeySource::file(&path), read).unwrap();
    for (text, expected) in [("panic", 4), ("panic", 4), ("better", 6)] {
        std::fs::write(&path, text).unwrap();
        moved.advance(seconds(1));
        let (view, _) = live.look(&clock, |_| true);
        assert_eq!(view.value.as_deref(), Some(&expected), "{text}");
    }
}

#[test]
fn maximum_age_and_interval_do_not_contradict_each_other() {
    let source = || KeySource::url("https://a.example/", TestFetcher::serving("")).unwrap();
    assert!(source().with_interval(seconds(3600)).is_ok());
    assert!(source().with_max_age(seconds(9)).is_err());
    assert!(
        source()
            .with_interval(seconds(5))
            .unwrap()
            .with_max_age(seconds(9))
            .is_ok()
    );
    assert!(
        source()
            .with_max_age(seconds(30))
            .unwrap()
            .with_interval(seconds(31))
            .is_err()
    );
    assert!(source().with_interval(seconds(0)).is_err());
    assert!(source().with_interval(seconds(3601)).is_err());
    assert!(source().with_max_age(DAY + seconds(1)).is_err());
}

/// With a key server that hangs, those with known keys are answered from what is known.
#[tokio::test]
async fn hanging_server_delays_no_known_key_twice() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.server.fail(FetchError::TimedOut);
    service.clock.advance(seconds(300));
    service.verify(&token("a")).await.unwrap();
    // From here on it is known that the server fails: nobody waits for it to confirm what is known.
    for _ in 0..10 {
        service.clock.advance(seconds(10));
        let (verdict, need) = service.verifier.verdict(&token("a"));
        verdict.unwrap();
        let Need::Beside(refresh) = need else {
            panic!("{need:?}")
        };
        refresh.await;
    }
}

#[tokio::test]
async fn stale_keys_are_used_for_a_day_and_not_longer() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.server.fail(FetchError::Status(500));
    service.clock.advance(DAY - seconds(1));
    service.verify(&token("a")).await.unwrap();
    service.clock.advance(seconds(1));
    assert_eq!(
        service.verify(&token("a")).await,
        Err(Error::KeysUnavailable)
    );
    service.server.serve(jwks(&["a"]));
    service.clock.advance(seconds(10));
    service.verify(&token("a")).await.unwrap();
}

/// Intervals count time that passed, not what the clock says.
#[tokio::test]
async fn clock_that_is_set_back_stretches_no_interval() {
    let service = Service::with_keys(&["a"]);
    service.verify(&token("a")).await.unwrap();
    service.clock.set_back(seconds(3600));
    service.clock.advance(seconds(10));
    service.server.serve(jwks(&["a", "bb"]));
    let valid_then = issuer("bb")
        .task("task-a")
        .valid(NOW - 7200, NOW + 60)
        .mint();
    service.verify(&valid_then).await.unwrap();
    assert_eq!(service.server.fetches(), 2);
}

#[tokio::test]
async fn issuers_share_neither_keys_nor_intervals() {
    let (first, second) = (
        TestFetcher::serving(jwks(&["a"])),
        TestFetcher::serving(jwks(&["bb"])),
    );
    let source =
        |server: &TestFetcher| KeySource::url("https://keys.example/jwks", server.clone()).unwrap();
    let trusted = [
        TrustedIssuer::new("rekuest", source(&first)).unwrap(),
        TrustedIssuer::new("other", source(&second)).unwrap(),
    ];
    let verifier = Verifier::new("lab", trusted).unwrap();
    verifier.verify_with_refresh(&token("a")).await.unwrap();
    let verdict = verifier.verify_with_refresh(&token("bb")).await;
    assert_eq!(
        verdict,
        Err(Error::UnknownKey),
        "that key is the other issuer's"
    );
    assert_eq!((first.fetches(), second.fetches()), (1, 0));
}

#[test]
fn file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, jwks(&["a"])).unwrap();
    let clock = Arc::new(TestClock::at(NOW));
    let trusted = TrustedIssuer::new("rekuest", KeySource::file(&path)).unwrap();
    let verifier = Verifier::new("lab", [trusted])
        .unwrap()
        .with_clock(clock.clone());
    verifier.verify(&token("a")).unwrap();

    std::fs::write(&path, jwks(&["bb"])).unwrap();
    verifier.verify(&token("a")).unwrap();
    clock.advance(seconds(1));
    assert_eq!(verifier.verify(&token("a")), Err(Error::UnknownKey));
    verifier.verify(&token("bb")).unwrap();

    // Half-written, then gone: what it said stays.
    for spoil in [
        &(|| std::fs::write(&path, &jwks(&["a"])[..40]).unwrap()) as &dyn Fn(),
        &|| std::fs::write(&path, "x".repeat(MAX_KEY_SET_BYTES + 1)).unwrap(),
        &|| std::fs::remove_file(&path).unwrap(),
    ] {
        spoil();
        clock.advance(seconds(1));
        verifier.verify(&token("bb")).unwrap();
        // What it would say cannot be known: no key is declared unknown.
        assert_eq!(verifier.verify(&token("a")), Err(Error::KeysUnavailable));
    }
    std::fs::write(&path, jwks(&["a", "bb"])).unwrap();
    clock.advance(seconds(1));
    verifier.verify(&token("a")).unwrap();

    let missing = TrustedIssuer::new("rekuest", KeySource::file(folder.path().join("no.json")));
    assert!(matches!(missing, Err(SetupError::UnreadableFile { .. })));
}

#[tokio::test]
async fn revocation_list_is_fresh_within_two_intervals_and_stale_rather_than_none() {
    let server = TestFetcher::serving(r#"{"revoked": ["x"]}"#);
    let source = KeySource::url("https://login.example/revoked", server.clone()).unwrap();
    let list = RevocationList::new(source).unwrap();
    let moved = Arc::new(TestClock::at(NOW));
    let clock: Arc<dyn Clock> = moved.clone();
    let check = async |id: &str| loop {
        let mut need = Need::Nothing;
        let verdict = list.check(id, &clock, &mut need);
        match need {
            Need::First(refresh) => refresh.await,
            Need::Beside(refresh) => {
                refresh.await;
                return verdict;
            }
            Need::Nothing | Need::Later(_) => return verdict,
        }
    };
    server.fail(FetchError::Status(500));
    assert_eq!(
        check("y").await,
        Err(Error::RevocationsUnavailable),
        "nobody knows"
    );
    server.serve(r#"{"revoked": ["x"]}"#);
    assert_eq!(
        check("y").await,
        Err(Error::RevocationsUnavailable),
        "not before the interval is over"
    );
    moved.advance(seconds(10));
    assert_eq!(check("y").await, Ok(()));
    assert_eq!(check("x").await, Err(Error::Revoked));
    server.serve(r#"["x", "y"]"#);
    assert_eq!(check("y").await, Ok(()));
    assert_eq!(server.fetches(), 2);
    moved.advance(seconds(20));
    assert_eq!(
        check("y").await,
        Err(Error::Revoked),
        "older than two intervals: loaded first"
    );
    server.serve("gone");
    moved.advance(DAY * 30);
    assert_eq!(
        check("x").await,
        Err(Error::Revoked),
        "stale, and better than none"
    );
    assert_eq!(check("z").await, Ok(()));
}
