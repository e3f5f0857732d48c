//~ audited statements cannot run on `String`
//~ use `SqliteConnection` (feature `sqlite`)
use diesel::prelude::*;
use koherent_core::Attribution;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }

pub fn rejected(conn: &mut String) {
    let job = Attribution::system("job");
    let _ = koherent_diesel::audited_delete(samples::table.find(7)).by(&job).execute(conn);
}

fn main() {}
