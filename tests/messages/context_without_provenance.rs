//~ the trait bound `Provenance: FromContext<Lab>` is not satisfied
#![allow(dead_code)]
use koherent_juniper::provenance;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }

pub struct Lab {
    provenance: koherent_juniper::Provenance,
}
impl juniper::Context for Lab {}

pub struct Sample {
    id: i64,
}

#[provenance(samples, key = self.id)]
#[juniper::graphql_object(context = Lab)]
impl Sample {
    fn id(&self) -> String {
        self.id.to_string()
    }
}

fn main() {}
