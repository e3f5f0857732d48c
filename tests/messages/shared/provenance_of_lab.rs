// The line that leads from the context to what is asked of histories.
impl juniper::FromContext<Lab> for koherent_juniper::Provenance {
    fn from(lab: &Lab) -> &Self {
        &lab.provenance
    }
}
