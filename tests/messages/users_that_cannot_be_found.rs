//~ `Person` cannot be found by issuer and subject in the context `Lab`
//~ implement `koherent_juniper::ProvenanceUser<Lab>` for it
include!("shared/lab.rs");
include!("shared/provenance_of_lab.rs");

#[derive(Clone, juniper::GraphQLObject)]
pub struct Person {
    sub: String,
}

koherent_juniper::provenance_types!(context = Lab, user = Person);

fn main() {}
