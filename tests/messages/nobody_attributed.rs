//~ nobody said whose change this is
//~ put `.by(&attribution)` before this
//~ make the attribution at the edge of the request or job
use diesel::prelude::*;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }

pub fn rejected(conn: &mut SqliteConnection) {
    let _ = koherent_diesel::audited_update(samples::table.find(7), samples::name.eq("x")).execute(conn);
}

fn main() {}
