//! Random and mutated inputs through each reader of what comes from outside, a million in the long run: none panics, and what must
//! hold for any input holds. The fuzzers in `fuzz/` run the same targets for as long as one likes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use koherent_tests::{inputs as targets, seeds};

/// How many inputs each reader takes: more in the long run.
fn inputs() -> usize {
    match std::env::var("KOHERENT_EFFORT").as_deref() {
        Ok("full") => 1_000_000,
        _ => 100_000,
    }
}

/// The longest input; real ones are shorter.
const LONGEST: usize = 4096;

/// Runs the target on many inputs: seeds, changed in a few places, and noise; the same ones in every run. An input on
/// which it panicked is the error.
fn many(name: &str, target: fn(&[u8])) -> Result<(), String> {
    let seeds = seeds::of(name);
    assert!(!seeds.is_empty());
    let workers = (0..2).map(|worker| {
        let seeds = seeds.clone();
        std::thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(worker);
            for _ in 0..inputs() / 2 {
                let input = input(&seeds, &mut random);
                let held = catch_unwind(AssertUnwindSafe(|| target(&input)));
                held.map_err(|_| String::from_utf8_lossy(&input).into_owned())?;
            }
            Ok(())
        })
    });
    let workers: Vec<_> = workers.collect();
    workers
        .into_iter()
        .try_for_each(|worker| worker.join().unwrap())
}

fn input(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    if random.u8(..) < 8 {
        let length = random.usize(..64);
        return std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect();
    }
    let seed = |random: &mut fastrand::Rng| seeds[random.usize(..seeds.len())].clone();
    let mut input = seed(random);
    for _ in 0..=random.usize(..3) {
        let at = random.usize(..=input.len());
        let to = random.usize(at..=input.len().min(at + 16));
        match random.u8(..7) {
            0 => drop(input.splice(at..to, [])),
            1 => drop(input.splice(at..to, [random.u8(..)])),
            2 => drop(input.splice(at..at, [random.u8(b' '..127)])),
            3 => {
                let word = WORDS[random.usize(..WORDS.len())];
                drop(input.splice(at..to, word.bytes()));
            }
            4 => {
                let part = input[at..to].to_vec();
                let behind = random.usize(..=input.len());
                drop(input.splice(behind..behind, part));
            }
            5 => {
                let other = seed(random);
                let from = random.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ if at < input.len() => input[at] ^= 1 << random.u8(..8),
            _ => input.truncate(at),
        }
    }
    input.truncate(LONGEST);
    input
}

/// What readers treat in a way of its own.
const WORDS: [&str; 28] = [
    "null",
    "true",
    "-0",
    "1e999",
    "NaN",
    "\"",
    "\\u0000",
    "\\ud800",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "=",
    ".",
    "..",
    "\n",
    "\r\n",
    "\u{feff}",
    "é",
    "\"keys\"",
    "[[auth.issuers]]\n",
    "rekuest-task: ",
    "Bearer ",
    "AAAA",
    "99999999999999999999",
];

#[test]
fn tokens() {
    assert_eq!(many("token", targets::token), Ok(()));
}

#[test]
fn header_sets() {
    assert_eq!(many("headers", targets::headers), Ok(()));
}

#[test]
fn key_sets() {
    assert_eq!(many("key_set", targets::key_set), Ok(()));
}

#[test]
fn arguments() {
    assert_eq!(many("arguments", targets::arguments), Ok(()));
}

#[test]
fn configurations() {
    assert_eq!(many("config", targets::config), Ok(()));
}

/// The harness finds what does not hold: a target that panics on some input gives that input away.
#[test]
fn target_that_panics_is_found() {
    let picky = |input: &[u8]| assert!(!input.ends_with(b"}}"));
    let found = many("arguments", picky).unwrap_err();
    assert!(found.ends_with("}}"), "{found}");
}
