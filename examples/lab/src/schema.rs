//! The tables.

koherent_diesel::audited_table! {
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
        created_at -> TimestamptzSqlite,
    }
    excluded {
        /// Where it stands: a secret of the store.
        storage_code -> Text,
    }
}
