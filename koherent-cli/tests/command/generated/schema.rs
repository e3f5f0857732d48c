// @generated automatically by Diesel CLI.

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

diesel::allow_tables_to_appear_in_same_query!(samples, tags,);
