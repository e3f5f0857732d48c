//~ where the table has a schema, its history has one as well
koherent_diesel::audited_table! {
    lab.samples => samples_history (id) { id -> BigInt, name -> Text, }
}

fn main() {}
