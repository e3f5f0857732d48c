//~ a history column of type `diesel::sql_types::BigInt` cannot hold a base column of type `diesel::sql_types::Text`
koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }
koherent_diesel::audited_table! { tags => tags_history (label) { label -> Text, } }
koherent_diesel::audited_table! {
    sample_tags => sample_tags_history (sample_id, tag_id) { sample_id -> BigInt, tag_id -> BigInt, }
}
koherent_diesel::audited_link!(sample_tags: sample_id => samples, tag_id => tags);

fn main() {}
