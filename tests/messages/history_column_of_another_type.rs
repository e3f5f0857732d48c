//~ a history column of type `diesel::sql_types::BigInt` cannot hold a base column of type `diesel::sql_types::Text`
//~ declare the history column with the type of its base column, or with `Nullable` of it
diesel::table! { samples (id) { id -> BigInt, name -> Text, } }
diesel::table! { samples_history (history_id) { history_id -> BigInt, id -> BigInt, name -> BigInt, } }

koherent_diesel::audited!(samples (id) => samples_history (id, name));

fn main() {}
