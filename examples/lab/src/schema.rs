//! The tables.

koherent_diesel::audited_table! {
    use crate::database::moment::*;

    /// Things that were taken, prepared and looked at.
    samples => samples_history (id) {
        /// Its number.
        id -> BigInt,
        /// What it is called.
        name -> Text,
        /// What else there is to say.
        note -> Nullable<Text>,
        /// Whose it is.
        owner -> Text,
        /// In milligrams.
        mass -> Nullable<Double>,
        /// Whatever the instruments say.
        metadata -> Nullable<Json>,
        /// When it was registered.
        created_at -> Moment,
    }
    excluded {
        /// Where it stands: a secret of the store.
        storage_code -> Text,
    }
    label = "Sample"
}

koherent_diesel::audited_table! {
    /// What was measured of a sample.
    measurements => measurements_history (id) {
        /// Its number.
        id -> BigInt,
        /// Of which sample.
        sample_id -> BigInt,
        /// What was measured.
        kind -> Text,
        /// How much.
        value -> Double,
        /// Of what.
        unit -> Text,
    }
    label = "Measurement"
}

koherent_diesel::audited_table! {
    /// What samples can be marked with.
    tags => tags_history (id) {
        /// Its number.
        id -> BigInt,
        /// What it says.
        label -> Text,
    }
    label = "Tag"
}

koherent_diesel::audited_table! {
    /// Which samples are marked with what.
    sample_tags => sample_tags_history (sample_id, tag_id) {
        /// The sample.
        sample_id -> BigInt,
        /// The tag.
        tag_id -> BigInt,
    }
    label = "Tag of a sample"
}

koherent_diesel::audited_link!(sample_tags: sample_id => samples, tag_id => tags);

diesel::joinable!(measurements -> samples (sample_id));
diesel::joinable!(sample_tags -> samples (sample_id));
diesel::joinable!(sample_tags -> tags (tag_id));
diesel::allow_tables_to_appear_in_same_query!(samples, measurements, tags, sample_tags);
