//~ the link `places::table` has no end at
use diesel::prelude::*;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }
koherent_diesel::audited_table! { places => places_history (id) { id -> BigInt, name -> Text, } }

fn asks(conn: &mut SqliteConnection) {
    let _ = koherent_diesel::links_of(places::table, samples::table, 1).load(conn);
}

fn main() {}
