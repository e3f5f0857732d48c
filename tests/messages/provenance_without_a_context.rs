//~ say which context the object has: `#[graphql_object(context = Lab)]`
include!("shared/lab.rs");
include!("shared/provenance_of_lab.rs");

#[provenance(samples, key = self.id)]
#[juniper::graphql_object]
impl Sample {
    fn id(&self) -> String {
        self.id.to_string()
    }
}

fn main() {}
