//~ no function or associated item named `default` found for struct `Attribution`
pub fn rejected() {
    let _ = koherent_core::Attribution::default();
}

fn main() {}
