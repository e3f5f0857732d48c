//~ `keys` is none of `key`, `as_of`, `entry`, `context` and `field`
include!("shared/lab.rs");
include!("shared/provenance_of_lab.rs");

#[provenance(samples, keys = self.id)]
#[juniper::graphql_object(context = Lab)]
impl Sample {
    fn id(&self) -> String {
        self.id.to_string()
    }
}

fn main() {}
