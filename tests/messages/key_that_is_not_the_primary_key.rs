//~ type mismatch resolving `<table as Table>::PrimaryKey == name`
diesel::table! { samples (id) { id -> BigInt, name -> Text, } }
diesel::table! { samples_history (history_id) { history_id -> BigInt, id -> BigInt, name -> Text, } }

koherent_diesel::audited!(samples (name) => samples_history (id, name));

fn main() {}
