//~ the trait bound `Provenance: FromContext<Lab>` is not satisfied
include!("shared/lab.rs");

#[provenance(samples, key = self.id)]
#[juniper::graphql_object(context = Lab)]
impl Sample {
    fn id(&self) -> String {
        self.id.to_string()
    }
}

fn main() {}
