//~ expected `&VerifiedToken`, found `&UnverifiedToken`
use koherent_core::{Attribution, UnverifiedToken};

pub fn rejected(token: &str) {
    let token = UnverifiedToken::parse(token).unwrap();
    let _ = Attribution::system("job").with_task(&token);
}

fn main() {}
