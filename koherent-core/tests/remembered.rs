//! Remembered tokens: the verdict is the same as if they were verified anew, whatever the clock does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use koherent_core::testing::{TestClock, test_issuer};
use koherent_core::{Algorithm, Error, Verifier};

const NOW: u64 = 1_790_000_000;

/// What a verifier with a memory, and one without, say about the token at this moment. They must agree.
fn verdict(pair: &[Verifier; 2], token: &str) -> &'static str {
    let verdicts = pair.each_ref().map(|verifier| {
        verifier
            .verify(token)
            .map_or_else(|error| error.reason(), |_| "ACCEPTED")
    });
    assert_eq!(verdicts[0], verdicts[1]);
    verdicts[0]
}

fn pair(clock: &Arc<TestClock>, leeway: u64) -> [Verifier; 2] {
    let verifier = || {
        test_issuer("rekuest")
            .verifier("lab")
            .with_leeway(Duration::from_secs(leeway))
            .unwrap()
            .with_clock(clock.clone())
    };
    [verifier(), verifier().with_cached_tokens(0)]
}

#[test]
fn dates_count_to_the_second_with_and_without_leeway() {
    let token = test_issuer("rekuest")
        .task("a")
        .valid(NOW, NOW + 100)
        .mint();
    for leeway in [0, 1, 30, 60] {
        let (first, last) = (NOW - leeway, NOW + 100 + leeway);
        for (moment, expected) in [
            (first - 1, "NOT_YET_VALID"),
            (first, "ACCEPTED"),
            (NOW + 99, "ACCEPTED"),
            (last - 1, "ACCEPTED"),
            (last, "EXPIRED"),
            (last + 1, "EXPIRED"),
        ] {
            // Never seen before at that moment, and seen since the token was valid.
            let fresh = pair(&Arc::new(TestClock::at(moment)), leeway);
            assert_eq!(verdict(&fresh, &token), expected, "{leeway} {moment}");
            let clock = Arc::new(TestClock::at(NOW));
            let seen = pair(&clock, leeway);
            assert_eq!(verdict(&seen, &token), "ACCEPTED");
            if moment >= NOW {
                clock.advance(Duration::from_secs(moment - NOW));
            } else {
                clock.set_back(Duration::from_secs(NOW - moment));
            }
            assert_eq!(verdict(&seen, &token), expected, "{leeway} {moment}");
        }
    }
}

#[test]
fn clock_that_steps_back_an_hour_accepts_what_holds_then_and_nothing_else() {
    let hour = Duration::from_secs(3600);
    let clock = Arc::new(TestClock::at(NOW));
    let pair = pair(&clock, 0);
    let issuer = test_issuer("rekuest");
    let recent = issuer.task("recent").valid(NOW - 60, NOW + 60).mint();
    let long = issuer.task("long").valid(NOW - 7200, NOW + 7200).mint();
    let not_before = issuer
        .task("nbf")
        .valid(NOW - 7200, NOW + 7200)
        .claim("nbf", NOW)
        .mint();
    let all = [&recent, &long, &not_before];
    assert!(all.iter().all(|token| verdict(&pair, token) == "ACCEPTED"));
    clock.set_back(hour);
    assert_eq!(verdict(&pair, &recent), "NOT_YET_VALID");
    assert_eq!(verdict(&pair, &long), "ACCEPTED");
    assert_eq!(verdict(&pair, &not_before), "NOT_YET_VALID");
    clock.advance(hour + Duration::from_secs(60));
    assert_eq!(verdict(&pair, &recent), "EXPIRED");
    assert_eq!(verdict(&pair, &long), "ACCEPTED");
    clock.set_back(Duration::from_secs(1));
    assert_eq!(
        verdict(&pair, &recent),
        "ACCEPTED",
        "as a verifier that never saw it expire says"
    );
}

/// A clone with other settings does not take over what passed under the old ones.
#[test]
fn other_settings_remember_nothing_of_the_old_ones() {
    let issuer = test_issuer("rekuest");
    let verifier = issuer.verifier("lab");
    let token = issuer.task("a").header("alg", "EdDSA").mint();
    verifier.verify(&token).unwrap();
    let stricter = verifier
        .clone()
        .with_algorithms([Algorithm::Ed25519])
        .unwrap();
    assert_eq!(stricter.verify(&token), Err(Error::UnsupportedAlgorithm));
    verifier.verify(&token).unwrap();
}

/// The memory is by the whole token: one that differs in a byte is another one.
#[test]
fn what_differs_from_a_remembered_token_is_verified_anew() {
    let issuer = test_issuer("rekuest");
    let verifier = issuer.verifier("lab");
    let token = issuer.task("a").mint();
    verifier.verify(&token).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{other}{}", &signature[1..]);
    assert_eq!(verifier.verify(&forged), Err(Error::BadSignature));
    assert!(verifier.verify(&format!("{token} ")).is_err());
    assert!(verifier.verify(signed).is_err());
}
