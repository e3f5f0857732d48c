//~ cannot hold a base column of type `diesel::sql_types::Nullable<diesel::sql_types::Text>`
diesel::table! { samples (id) { id -> BigInt, note -> Nullable<Text>, } }
diesel::table! { samples_history (history_id) { history_id -> BigInt, id -> BigInt, note -> Text, } }

koherent_diesel::audited!(samples (id) => samples_history (id, note));

fn main() {}
