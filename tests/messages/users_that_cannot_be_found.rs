//~ `Person` cannot be found by issuer and subject in the context `Lab`
//~ implement `koherent_juniper::ProvenanceUser<Lab>` for it
#![allow(dead_code)]
#[allow(unused_imports)]
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

#[derive(Clone, juniper::GraphQLObject)]
pub struct Person {
    sub: String,
}

koherent_juniper::provenance_types!(context = Lab, user = Person);

fn main() {}
