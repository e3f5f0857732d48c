//~ say what the field is called, as a name of GraphQL
include!("shared/lab.rs");
include!("shared/provenance_of_lab.rs");

#[provenance(samples, key = self.id, field = "provenance-entries")]
#[juniper::graphql_object(context = Lab)]
impl Sample {
    fn id(&self) -> String {
        self.id.to_string()
    }
}

fn main() {}
