//! How much of the same is tried: little in each run, and more where `KOHERENT_EFFORT` is `full` (`cargo xtask test --effort full`).

/// Returns the first number, or the second in the long run.
pub fn effort<T>(little: T, full: T) -> T {
    match std::env::var("KOHERENT_EFFORT").as_deref() {
        Ok("full") => full,
        _ => little,
    }
}
