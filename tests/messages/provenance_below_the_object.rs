//~ `#[provenance]` stands above `#[graphql_object]`
include!("shared/lab.rs");
include!("shared/provenance_of_lab.rs");

#[provenance(samples, key = self.id)]
impl Sample {
    fn id(&self) -> i64 {
        self.id
    }
}

fn main() {}
