//! What an audited write costs, as ratios measured side by side in one run: `cargo xtask bench`.
//!
//! Each table compares ways to make the same change. They take turns in short rounds; what is printed is the median of each,
//! and the median of the ratios of neighbouring rounds, so that whatever else the machine does meets all of them. *bare
//! driver* is a prepared statement of the driver that Diesel stands on, *plain* is Diesel without history, *by hand* is what
//! one would write for the same history without looking whether a row changed, whose task it is, and whether each row has
//! its entry: the floor, with the indexes that history has.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark, whose output is its purpose"
)]

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

mod mariadb;
mod postgres;
mod sqlite;
mod tables;

/// A way to do some work; the number tells one round from another.
pub type Way<'w> = (
    &'static str,
    Box<dyn FnMut(usize) -> Pin<Box<dyn Future<Output = ()> + 'w>> + 'w>,
);

/// Makes a way of a closure that returns a future.
pub fn way<'w, F>(name: &'static str, mut way: impl FnMut(usize) -> F + 'w) -> Way<'w>
where
    F: Future<Output = ()> + 'w,
{
    (name, Box::new(move |round| Box::pin(way(round))))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test --all-targets` runs this too; it has nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let only: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    println!("| what | way | per change | × first | × plain |\n| --- | --- | --- | --- | --- |");
    if wanted("sqlite") {
        sqlite::run().await;
    }
    if wanted("postgres") {
        postgres::run().await;
    }
    if wanted("mariadb") {
        mariadb::run().await;
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn shown(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// The times of each way in each round, and what they say.
#[derive(Debug)]
pub struct Table {
    what: String,
    names: Vec<&'static str>,
    times: Vec<Vec<f64>>,
}

impl Table {
    pub fn new(what: &str, names: &[&'static str]) -> Self {
        Self {
            what: what.to_owned(),
            names: names.to_vec(),
            times: vec![Vec::new(); names.len()],
        }
    }

    /// Adds what a way took in this round, per change.
    pub fn add(&mut self, way: usize, seconds: f64) {
        self.times[way].push(seconds);
    }

    pub fn print(&self) {
        let plain = self.names.iter().position(|name| name.starts_with("plain"));
        for (at, name) in self.names.iter().enumerate() {
            let against = |other: usize| {
                let ratios = self.times[at].iter().zip(&self.times[other]);
                format!("{:.2}", median(ratios.map(|(a, b)| a / b).collect()))
            };
            println!(
                "| {} | {name} | {} | {} | {} |",
                if at == 0 { &*self.what } else { "" },
                shown(median(self.times[at].clone())),
                against(0),
                plain.map_or("–".to_owned(), against),
            );
        }
    }
}

/// Lets the ways take turns: so many rounds, so many times in each.
pub async fn compare(what: &str, rounds: usize, each: usize, ways: &mut [Way<'_>]) {
    let names: Vec<_> = ways.iter().map(|(name, _)| *name).collect();
    let mut table = Table::new(what, &names);
    // The first round prepares statements and fills caches.
    for round in 0..=rounds {
        for (at, (_, way)) in ways.iter_mut().enumerate() {
            let started = Instant::now();
            for n in 0..each {
                way(round * each + n).await;
            }
            if round > 0 {
                table.add(at, started.elapsed().as_secs_f64() / each as f64);
            }
        }
    }
    table.print();
}
