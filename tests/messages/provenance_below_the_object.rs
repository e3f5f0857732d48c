//~ `#[provenance]` stands above `#[graphql_object]`
#![allow(dead_code)]
use koherent_juniper::provenance;

koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }

pub struct Lab {
    provenance: koherent_juniper::Provenance,
}
impl juniper::Context for Lab {}
impl juniper::FromContext<Lab> for koherent_juniper::Provenance {
    fn from(lab: &Lab) -> &Self {
        &lab.provenance
    }
}

pub struct Sample {
    id: i64,
}

#[provenance(samples, key = self.id)]
impl Sample {
    fn id(&self) -> i64 {
        self.id
    }
}

fn main() {}
