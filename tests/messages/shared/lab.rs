// What the programs about GraphQL share: an audited table, a context, and an object that shows a row.
#[allow(unused_imports, reason = "not all of them need it")]
use koherent_juniper::provenance;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }

pub struct Lab {
    pub provenance: koherent_juniper::Provenance,
}
impl juniper::Context for Lab {}

pub struct Sample {
    pub id: i64,
}
