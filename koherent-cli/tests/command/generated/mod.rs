//! A schema as `diesel print-schema` writes it, and what `koherent schema` writes beside it.

pub mod koherent_schema;

pub mod schema {
    diesel::table! {
        samples (id) {
            id -> Integer,
            name -> Nullable<Text>,
            #[sql_name = "type"]
            type_ -> Nullable<Text>,
            code -> Nullable<Text>,
        }
    }

    diesel::table! {
        tags (sample_id, label) {
            sample_id -> Integer,
            label -> Text,
            note -> Nullable<Text>,
        }
    }

    diesel::allow_tables_to_appear_in_same_query!(samples, tags);
}
