//~ both columns of a link must be among the audited columns of its table: list them in its `audited!`
koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }
koherent_diesel::audited_table! { tags => tags_history (id) { id -> BigInt, label -> Text, } }
koherent_diesel::audited_table! {
    sample_tags => sample_tags_history (id) { id -> BigInt, sample_id -> BigInt, }
    excluded { tag_id -> BigInt, }
}
koherent_diesel::audited_link!(sample_tags: sample_id => samples, tag_id => tags);

fn main() {}
