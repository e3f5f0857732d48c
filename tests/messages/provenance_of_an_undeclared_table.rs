//~ the table `diesel_only::table` is not audited
//~ declare it: `koherent_diesel::audited!
include!("shared/lab.rs");
include!("shared/provenance_of_lab.rs");

diesel::table! { diesel_only (id) { id -> BigInt, } }

#[provenance(diesel_only, key = self.id)]
#[juniper::graphql_object(context = Lab)]
impl Sample {
    fn id(&self) -> String {
        self.id.to_string()
    }
}

fn main() {}
