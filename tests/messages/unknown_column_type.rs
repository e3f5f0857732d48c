//~ cannot find type `Txet` in this scope
koherent_diesel::audited_table! {
    samples => samples_history (id) { id -> BigInt, name -> Txet, }
}

fn main() {}
