//~ the key must be among the audited columns: list it in `audited!(table (key) => history (key, ...))`
diesel::table! { samples (id) { id -> BigInt, name -> Text, } }
diesel::table! { samples_history (history_id) { history_id -> BigInt, id -> BigInt, name -> Text, } }

koherent_diesel::audited!(samples (id) => samples_history (name));

fn main() {}
