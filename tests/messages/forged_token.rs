//~ private field
pub fn rejected(claims: std::sync::Arc<koherent_core::token::Claims>) {
    let _ = koherent_core::VerifiedToken { claims };
}

fn main() {}
