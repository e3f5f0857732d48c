//! Declaring a table audited.
//!
//! `audited!(samples (id) => samples_history (id, name));` writes what a person would write by hand:
//!
//! ```text
//! impl Audited for samples::table {
//!     type History = samples_history::table;
//!     fn tracked() -> &'static TrackedTable { /* the names of the columns, once */ }
//! }
//! const _: () = { /* each history column can hold its base column */ };
//! ```

/// Declares that a table's changes are kept in a history table.
///
/// The list names the columns to keep; the key must be among them. Columns that are not listed are excluded from history:
/// secrets, say. Each history column must be able to hold its base column. What a row is called, for people, can follow:
/// `audited!(samples (id) => samples_history (id, name), label = "Sample");`.
///
/// ```
/// diesel::table! {
///     samples (id) { id -> BigInt, name -> Text, note -> Nullable<Text>, storage_code -> Text, }
/// }
/// diesel::table! {
///     use diesel::sql_types::*;
///     use koherent_diesel::sql_types::*;
///
///     samples_history (history_id) {
///         id -> BigInt, name -> Text, note -> Nullable<Text>,
///         history_id -> BigInt,
///         history_kind -> Text,
///         history_date -> HistoryDate,
///         history_user -> Nullable<Text>,
///         history_client -> Nullable<Text>,
///         history_organization -> Nullable<Text>,
///         history_task -> Nullable<Text>,
///         history_transaction -> HistoryTransaction,
///         history_reason -> Nullable<Text>,
///         history_context -> Nullable<HistoryContext>,
///     }
/// }
///
/// koherent_diesel::audited!(samples (id) => samples_history (id, name, note)); // storage_code is excluded
/// # fn main() {
/// use koherent_diesel::Audited;
/// assert_eq!(samples::table::tracked().columns().len(), 3);
/// # }
/// ```
#[macro_export]
macro_rules! audited {
    (
        $base:ident ($($key:ident),+ $(,)?) => $history:ident ($($column:ident),+ $(,)?)
        $(, label = $label:literal)? $(,)? $(;)?
    ) => {
        impl $crate::Audited for $base::table {
            type History = $history::table;

            const KEPT: &'static [&'static str] = &[$(stringify!($column)),+];

            fn tracked() -> &'static $crate::TrackedTable {
                static TRACKED: ::std::sync::LazyLock<$crate::TrackedTable> =
                    ::std::sync::LazyLock::new(|| {
                        $crate::TrackedTable::new(
                            $crate::__private::name::<$base::table>(),
                            $crate::__private::name::<$history::table>(),
                            ::std::vec![$($crate::__private::column_name::<$base::$key>()),+],
                            ::std::vec![
                                $($crate::TrackedColumn::of::<$base::$column, $history::$column>()),+
                            ],
                        )
                        $(.with_label($label))?
                    });
                &TRACKED
            }
        }

        $crate::__private::inventory::submit! {
            $crate::__private::Submitted {
                type_name: ::std::any::type_name::<$base::table>,
                tracked: <$base::table as $crate::Audited>::tracked,
            }
        }

        const _: () = {
            // One call per column, so that the compiler's message points at the column.
            $($crate::__private::column_is_held::<$base::$column, $history::$column>();)+
            $crate::__private::key_is_primary::<$base::table, ($($base::$key),+)>();
            $crate::__private::key_is_kept(&[$(stringify!($key)),+], &[$(stringify!($column)),+]);
        };
    };
}

/// Declares a table and its history table, and links the two.
///
/// It emits `diesel::table!` for both. The history table gets the same columns and those of the attribution. Columns under
/// `excluded` stand in the table alone; what a row is called, for people, comes last: `label = "Sample"`. Doc comments and attributes such as `#[sql_name = "…"]` can stand where `table!`
/// takes them, and before the name of the history table; `use path::to::types::*;` lines come first. Tables in a schema of their own are
/// declared with it, both of them: `lab.samples => lab.samples_history (id) { … }`.
///
/// ```
/// koherent_diesel::audited_table! {
///     samples => samples_history (id) {
///         id -> BigInt,
///         name -> Text,
///         note -> Nullable<Text>,
///     }
///     excluded {
///         storage_code -> Nullable<Text>,
///     }
/// }
/// # fn main() {
/// use koherent_diesel::Audited;
/// assert_eq!(samples::table::tracked().history_name(), "samples_history");
/// # let _ = (samples::storage_code, samples_history::history_user);
/// # }
/// ```
///
/// In a schema of their own:
///
/// ```
/// koherent_diesel::audited_table! {
///     lab.samples => lab.samples_history (id) { id -> BigInt, name -> Text, }
/// }
/// # fn main() {
/// use diesel::sqlite::Sqlite;
/// use koherent_diesel::Audited;
/// let ddl = samples::table::history_ddl::<Sqlite>();
/// assert!(ddl.contains("CREATE TABLE `lab`.`samples_history`"));
/// # }
/// ```
#[macro_export]
macro_rules! audited_table {
    (use $($import:tt)::+; $($rest:tt)+) => {
        $crate::audited_table! { @with [use $($import)::+;] $($rest)+ }
    };
    (@with [$($uses:tt)*] use $($import:tt)::+; $($rest:tt)+) => {
        $crate::audited_table! { @with [$($uses)* use $($import)::+;] $($rest)+ }
    };
    (
        @with [$($uses:tt)*]
        $(#[$base_attribute:meta])*
        $base:ident => $(#[$history_attribute:meta])* $history:ident ($($key:ident),+ $(,)?) {
            $($(#[$attribute:meta])* $column:ident -> $sql_type:ty),+ $(,)?
        }
        $(excluded {
            $($(#[$excluded_attribute:meta])* $excluded:ident -> $excluded_type:ty),* $(,)?
        })?
        $(label = $label:literal)?
    ) => {
        $crate::audited_table! {
            @emit [$($uses)*] [] []
            $(#[$base_attribute])*
            $base => $(#[$history_attribute])* $history ($($key),+) {
                $($(#[$attribute])* $column -> $sql_type),+
            }
            excluded { $($($(#[$excluded_attribute])* $excluded -> $excluded_type),*)? }
            $(label = $label)?
        }
    };
    (
        @with [$($uses:tt)*]
        $(#[$base_attribute:meta])*
        $base_schema:ident . $base:ident => $(#[$history_attribute:meta])* $history_schema:ident . $history:ident ($($key:ident),+ $(,)?) {
            $($(#[$attribute:meta])* $column:ident -> $sql_type:ty),+ $(,)?
        }
        $(excluded {
            $($(#[$excluded_attribute:meta])* $excluded:ident -> $excluded_type:ty),* $(,)?
        })?
        $(label = $label:literal)?
    ) => {
        $crate::audited_table! {
            @emit [$($uses)*] [$base_schema .] [$history_schema .]
            $(#[$base_attribute])*
            $base => $(#[$history_attribute])* $history ($($key),+) {
                $($(#[$attribute])* $column -> $sql_type),+
            }
            excluded { $($($(#[$excluded_attribute])* $excluded -> $excluded_type),*)? }
            $(label = $label)?
        }
    };
    (
        @emit [$($uses:tt)*] [$($base_schema:tt)*] [$($history_schema:tt)*]
        $(#[$base_attribute:meta])*
        $base:ident => $(#[$history_attribute:meta])* $history:ident ($($key:ident),+) {
            $($(#[$attribute:meta])* $column:ident -> $sql_type:ty),+
        }
        excluded {
            $($(#[$excluded_attribute:meta])* $excluded:ident -> $excluded_type:ty),*
        }
        $(label = $label:literal)?
    ) => {
        ::diesel::table! {
            use diesel::sql_types::*;
            $($uses)*

            $(#[$base_attribute])*
            $($base_schema)* $base ($($key),+) {
                $($(#[$attribute])* $column -> $sql_type,)+
                $($(#[$excluded_attribute])* $excluded -> $excluded_type,)*
            }
        }
        ::diesel::table! {
            use diesel::sql_types::*;
            use $crate::sql_types::*;
            $($uses)*

            /// The history of a tracked table.
            $(#[$history_attribute])*
            $($history_schema)* $history (history_id) {
                /// The order of the entries of one row.
                history_id -> BigInt,
                $($(#[$attribute])* $column -> $sql_type,)+
                /// Create, update or delete: `+`, `~` or `-`.
                history_kind -> Text,
                /// When, to the microsecond.
                history_date -> HistoryDate,
                /// Who.
                history_user -> Nullable<Text>,
                /// Through which OAuth client.
                history_client -> Nullable<Text>,
                /// In which organization.
                history_organization -> Nullable<Text>,
                /// Under which task.
                history_task -> Nullable<Text>,
                /// In which transaction.
                history_transaction -> HistoryTransaction,
                /// Why.
                history_reason -> Nullable<Text>,
                /// What else the attribution said.
                history_context -> Nullable<HistoryContext>,
            }
        }
        ::diesel::allow_tables_to_appear_in_same_query!($base, $history);
        $crate::audited!($base ($($key),+) => $history ($($column),+) $(, label = $label)?);
    };
    (@ $($declaration:tt)*) => {
        ::core::compile_error! {
            "`audited_table!` is `table => table_history (key) { column -> Type, }`, with `excluded { … }` and `label = \"…\"` behind it; \
             where the table has a schema, its history has one as well: `lab.samples => lab.samples_history (id) { … }`"
        }
    };
    ($($declaration:tt)+) => {
        $crate::audited_table! { @with [] $($declaration)+ }
    };
}

/// Declares that a join table links the rows of two audited tables. Its inserts and deletes are then read as
/// associations, with both ends: [`links_of`](crate::links_of).
///
/// The join table is declared with [`audited!`](crate::audited) or [`audited_table!`](crate::audited_table) as well, with
/// both columns among those that are kept. Each column must have the type of the key that it holds.
///
/// Ends stay where they are: put two others together with a row of its own. (An update that moves an end is shown as an update
/// at the new end alone.) The history's first index finds the links of the first column of the key; for those of the other
/// end, add one: `CREATE INDEX sample_tags_history_tag ON sample_tags_history (tag_id, history_date)`.
///
/// ```
/// koherent_diesel::audited_table! { samples => samples_history (id) { id -> BigInt, name -> Text, } }
/// koherent_diesel::audited_table! { tags => tags_history (id) { id -> BigInt, label -> Text, } }
/// koherent_diesel::audited_table! {
///     sample_tags => sample_tags_history (sample_id, tag_id) { sample_id -> BigInt, tag_id -> BigInt, }
/// }
/// koherent_diesel::audited_link!(sample_tags: sample_id => samples, tag_id => tags);
/// # fn main() {
/// use koherent_diesel::AuditedLink;
/// assert_eq!(sample_tags::table::ends()[1].table().name(), "tags");
/// # }
/// ```
#[macro_export]
macro_rules! audited_link {
    ($link:ident: $left:ident => $left_table:ident, $right:ident => $right_table:ident $(,)?) => {
        impl $crate::AuditedLink for $link::table {
            fn ends() -> [$crate::LinkEnd; 2] {
                [
                    $crate::__private::end::<$link::$left, $left_table::table>(),
                    $crate::__private::end::<$link::$right, $right_table::table>(),
                ]
            }
        }
        impl $crate::LinksTo<$left_table::table> for $link::table {
            const END: usize = 0;
        }
        impl $crate::LinksTo<$right_table::table> for $link::table {
            const END: usize = 1;
        }
        $crate::__private::inventory::submit! {
            $crate::__private::SubmittedLink {
                link: <$link::table as $crate::Audited>::tracked,
                ends: <$link::table as $crate::AuditedLink>::ends,
            }
        }
        const _: () = {
            let kept = <$link::table as $crate::Audited>::KEPT;
            $crate::__private::ends_are_kept(&[stringify!($left), stringify!($right)], kept);
            $crate::__private::end_holds_key::<$link::$left, $left_table::table>();
            $crate::__private::end_holds_key::<$link::$right, $right_table::table>();
        };
    };
}
