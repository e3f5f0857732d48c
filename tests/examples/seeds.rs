//! Writes the fuzzers' seeds to `fuzz/seeds`: `cargo run -p koherent-tests --example seeds`.

use std::path::Path;

use koherent_tests::seeds;

#[expect(clippy::print_stdout, reason = "this is what the command answers")]
fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    for target in seeds::TARGETS {
        let folder = root.join(target);
        std::fs::create_dir_all(&folder)?;
        let seeds = seeds::of(target);
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("{number:04}")), seed)?;
        }
        println!("{} seeds for {target}", seeds.len());
    }
    Ok(())
}
