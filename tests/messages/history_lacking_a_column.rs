//~ cannot find type `name` in module `samples_history`
diesel::table! { samples (id) { id -> BigInt, name -> Text, } }
diesel::table! { samples_history (history_id) { history_id -> BigInt, id -> BigInt, } }

koherent_diesel::audited!(samples (id) => samples_history (id, name));

fn main() {}
