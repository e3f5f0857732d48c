//~ say of which table it shows a row, and its key: `#[provenance(samples, key = self.id)]`
include!("shared/lab.rs");
include!("shared/provenance_of_lab.rs");

#[provenance(samples)]
#[juniper::graphql_object(context = Lab)]
impl Sample {
    fn id(&self) -> String {
        self.id.to_string()
    }
}

fn main() {}
