//! The types that lead to each other, and to users: written once, for any context and user type.

/// Writes the types `ProvenanceEntry`, `Task`, `FieldBlame` and `LinkEntry` for a context and a user type of the application's own.
///
/// They have these names in the schema, and stand in it once.
///
/// Without it, a user is `User { sub }`: `koherent_juniper::{ProvenanceEntry, Task, FieldBlame, LinkEntry}` are such types, for every
/// context.
///
/// ```
/// use std::collections::HashMap;
/// use koherent_juniper::{Error, Provenance, ProvenanceUser, UserId};
///
/// pub struct Lab { provenance: Provenance }
/// impl juniper::Context for Lab {}
/// impl juniper::FromContext<Lab> for Provenance { fn from(lab: &Lab) -> &Provenance { &lab.provenance } }
///
/// /// Somebody, with the name that the application knows.
/// #[derive(Debug, Clone, juniper::GraphQLObject)]
/// pub struct User { sub: String, display_name: String }
///
/// impl ProvenanceUser<Lab> for User {
///     async fn load(_: &Lab, ids: Vec<UserId>) -> Result<HashMap<UserId, Self>, Error> {
///         let user = |id: &UserId| Self { sub: id.sub.to_string(), display_name: format!("Dr. {}", id.sub) };
///         Ok(ids.iter().map(|id| (id.clone(), user(id))).collect()) // one query for all of them
///     }
/// }
///
/// koherent_juniper::provenance_types!(context = Lab, user = User);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! provenance_types {
    (context = $context:ty, user = $user:ty $(,)?) => {
        /// Who changed a row, through which client, under which verified task, when, why, and what exactly.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(
            clippy::exhaustive_structs,
            reason = "it is an entry as GraphQL shows it"
        )]
        pub struct ProvenanceEntry(pub ::std::sync::Arc<$crate::__private::HistoryEntry>);

        impl ::core::convert::From<::std::sync::Arc<$crate::__private::HistoryEntry>>
            for ProvenanceEntry
        {
            fn from(entry: ::std::sync::Arc<$crate::__private::HistoryEntry>) -> Self {
                Self(entry)
            }
        }

        impl ::core::convert::From<$crate::__private::HistoryEntry> for ProvenanceEntry {
            fn from(entry: $crate::__private::HistoryEntry) -> Self {
                Self(entry.into())
            }
        }

        /// Who changed a row, through which client, under which verified task, when, why, and what exactly.
        #[::juniper::graphql_object(context = $context)]
        impl ProvenanceEntry {
            /// The entry's id, unique within the history of one table.
            fn id(&self) -> ::juniper::ID {
                ::juniper::ID::from(self.0.id.to_string())
            }

            /// The table of the row.
            fn table(&self) -> &str {
                self.0.table
            }

            /// What a row of the table is called, for people.
            fn label(&self) -> &str {
                self.0.label
            }

            /// The key of the row. A key of several columns is a JSON array of texts.
            fn key(&self) -> ::juniper::ID {
                ::juniper::ID::from(self.0.key.to_text())
            }

            /// The place of the entry in a list, for `after`.
            fn cursor(&self) -> ::juniper::ID {
                $crate::__private::cursor_of(&self.0)
            }

            /// What happened.
            fn kind(&self) -> $crate::HistoryKind {
                self.0.kind.into()
            }

            /// When, by the database.
            fn date(&self) -> $crate::__private::DateTime<$crate::__private::Utc> {
                self.0.date
            }

            /// Who did it; null for changes of jobs and of nobody.
            async fn user(
                &self,
                context: &$context,
            ) -> ::core::result::Result<::core::option::Option<$user>, $crate::Error> {
                let provenance: &$crate::Provenance = ::juniper::FromContext::from(context);
                provenance.user(context, $crate::UserId::of(&self.0)).await
            }

            /// The OAuth application that was used.
            fn client(&self) -> ::core::option::Option<$crate::Client> {
                self.0.client.as_ref().map(Into::into)
            }

            /// The organization in which the principal acted.
            fn organization(&self) -> ::core::option::Option<$crate::Organization> {
                self.0.organization.as_ref().map(Into::into)
            }

            /// The verified task; null where the change was made under none.
            fn task(&self) -> ::core::option::Option<Task> {
                self.0.task.clone().map(Task)
            }

            /// Why, where a reason was given.
            fn reason(&self) -> ::core::option::Option<&str> {
                self.0.reason.as_deref()
            }

            /// Groups the entries of one transaction.
            fn transaction(&self) -> ::juniper::ID {
                ::juniper::ID::from(self.0.transaction.hyphenated().to_string())
            }

            /// The job that did it, where no principal did.
            fn system(&self) -> ::core::option::Option<&str> {
                $crate::__private::context_text(&self.0, "system")
            }

            /// Who acted in the user's place, where somebody did.
            fn impersonator(&self) -> ::core::option::Option<&str> {
                $crate::__private::context_text(&self.0, "impersonator")
            }

            /// What links the change to other systems' logs. It is not verified.
            fn correlation_id(&self) -> ::core::option::Option<&str> {
                $crate::__private::context_text(&self.0, "correlation_id")
            }

            /// The kind of statement that went past the audit and was recorded by the database; null where the change was
            /// audited.
            fn captured(&self) -> ::core::option::Option<&str> {
                self.0.captured()
            }

            /// The database role of that statement.
            fn database_role(&self) -> ::core::option::Option<&str> {
                self.0.database_role()
            }

            /// The fields that changed, with their old and new values.
            fn effective_changes(&self) -> ::std::vec::Vec<$crate::ModelChange> {
                self.0.changes.iter().map(Into::into).collect()
            }
        }

        /// A run of work under which something was changed, as its provenance token attested it.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(
            clippy::exhaustive_structs,
            reason = "it is a task as GraphQL shows it"
        )]
        pub struct Task(pub ::std::sync::Arc<$crate::__private::TaskRecord>);

        impl ::core::convert::From<::std::sync::Arc<$crate::__private::TaskRecord>> for Task {
            fn from(task: ::std::sync::Arc<$crate::__private::TaskRecord>) -> Self {
                Self(task)
            }
        }

        /// A run of work under which something was changed, as its provenance token attested it.
        #[::juniper::graphql_object(context = $context)]
        impl Task {
            /// The same as `taskId`.
            fn id(&self) -> ::juniper::ID {
                ::juniper::ID::from(self.0.task.task_id.to_string())
            }

            /// This run of work.
            fn task_id(&self) -> &str {
                self.0.task.task_id.as_str()
            }

            /// The task that caused this one; null at the root.
            fn parent_task_id(&self) -> ::core::option::Option<&str> {
                let parent = self.0.task.parent_task_id.as_ref();
                parent.map(|id| id.as_str())
            }

            /// The place of the task in a list, for `after`.
            fn cursor(&self) -> ::juniper::ID {
                $crate::__private::cursor_of_task(&self.0)
            }

            /// The task at the root of the causal tree.
            fn root_task_id(&self) -> &str {
                self.0.task.root_task_id.as_str()
            }

            /// The human at the root of the causal tree.
            async fn assigner(
                &self,
                context: &$context,
            ) -> ::core::result::Result<::core::option::Option<$user>, $crate::Error> {
                let provenance: &$crate::Provenance = ::juniper::FromContext::from(context);
                provenance
                    .user(context, Some($crate::UserId::assigner_of(&self.0)))
                    .await
            }

            /// The subject of that human.
            fn assigner_sub(&self) -> &str {
                self.0.task.assigner.as_str()
            }

            /// The subject of the immediate causer.
            fn caller_sub(&self) -> &str {
                self.0.task.caller.as_str()
            }

            /// The subject of the agent that executes the task.
            fn agent_sub(&self) -> &str {
                self.0.task.agent.as_str()
            }

            /// The OAuth client of that agent.
            fn agent_client_id(&self) -> &str {
                self.0.task.agent_client_id.as_str()
            }

            /// Who attests the task.
            fn issuer(&self) -> &str {
                self.0.task.issuer.as_str()
            }

            /// The token that introduced the task here.
            fn token_id(&self) -> &str {
                self.0.task.token_id.as_str()
            }

            /// SHA-256 of the canonical arguments of the task.
            fn args_hash(&self) -> &str {
                &self.0.task.args_hash
            }

            /// How the arguments were made canonical.
            fn args_hash_algorithm(&self) -> &str {
                &self.0.task.args_hash_algorithm
            }

            /// The organization in which the task first changed something here.
            fn organization(&self) -> ::core::option::Option<$crate::Organization> {
                self.0.organization.as_ref().map(Into::into)
            }

            /// When it first changed something here.
            fn created_at(&self) -> $crate::__private::DateTime<$crate::__private::Utc> {
                self.0.created_at
            }

            /// The task that caused this one, where it changed something here.
            async fn parent(
                &self,
                context: &$context,
            ) -> ::core::result::Result<::core::option::Option<Task>, $crate::Error> {
                let provenance: &$crate::Provenance = ::juniper::FromContext::from(context);
                match &self.0.task.parent_task_id {
                    Some(parent) => provenance.task(parent.as_str()).await,
                    ::core::option::Option::None => {
                        ::core::result::Result::Ok(::core::option::Option::None)
                    }
                }
            }

            /// The task at the root of the causal tree, where it changed something here.
            async fn root(
                &self,
                context: &$context,
            ) -> ::core::result::Result<::core::option::Option<Task>, $crate::Error> {
                let provenance: &$crate::Provenance = ::juniper::FromContext::from(context);
                provenance.task(self.0.task.root_task_id.as_str()).await
            }

            /// The tasks that this one caused directly and that changed something here, newest first.
            async fn children(
                &self,
                context: &$context,
                pagination: ::core::option::Option<$crate::OffsetPaginationInput>,
                after: ::core::option::Option<::std::string::String>,
            ) -> ::core::result::Result<::std::vec::Vec<Task>, $crate::Error> {
                let provenance: &$crate::Provenance = ::juniper::FromContext::from(context);
                provenance
                    .children(&self.0.task.task_id, pagination, after)
                    .await
            }

            /// How many tasks this one caused directly, however many of them a list shows.
            async fn children_count(
                &self,
                context: &$context,
            ) -> ::core::result::Result<i32, $crate::Error> {
                let provenance: &$crate::Provenance = ::juniper::FromContext::from(context);
                provenance.count_children(&self.0.task.task_id).await
            }

            /// What was done under this task, in all tables, newest first.
            async fn changes(
                &self,
                context: &$context,
                filters: ::core::option::Option<$crate::ProvenanceFilter>,
                pagination: ::core::option::Option<$crate::OffsetPaginationInput>,
                after: ::core::option::Option<::std::string::String>,
                order: ::core::option::Option<$crate::HistoryOrder>,
            ) -> ::core::result::Result<::std::vec::Vec<ProvenanceEntry>, $crate::Error> {
                let provenance: &$crate::Provenance = ::juniper::FromContext::from(context);
                let ask = $crate::Ask {
                    filters,
                    pagination,
                    after,
                    order,
                    as_of: None,
                };
                provenance.of_task(&self.0.task.task_id, ask).await
            }

            /// How much was done under this task, however much of it a list shows.
            async fn changes_count(
                &self,
                context: &$context,
                filters: ::core::option::Option<$crate::ProvenanceFilter>,
            ) -> ::core::result::Result<i32, $crate::Error> {
                let provenance: &$crate::Provenance = ::juniper::FromContext::from(context);
                let ask = $crate::Ask {
                    filters,
                    ..$crate::Ask::default()
                };
                provenance.count_of_task(&self.0.task.task_id, ask).await
            }
        }

        /// Where the present value of a field comes from.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(
            clippy::exhaustive_structs,
            reason = "it is a field's blame as GraphQL shows it"
        )]
        pub struct FieldBlame(pub $crate::__private::Blame);

        impl ::core::convert::From<$crate::__private::Blame> for FieldBlame {
            fn from(blame: $crate::__private::Blame) -> Self {
                Self(blame)
            }
        }

        /// Where the present value of a field comes from.
        #[::juniper::graphql_object(context = $context)]
        impl FieldBlame {
            /// The column's name in the database.
            fn field(&self) -> &str {
                self.0.field
            }

            /// The value, as text.
            fn value(&self) -> ::core::option::Option<::std::string::String> {
                self.0.value.as_ref().map(|value| value.text())
            }

            /// The value, as JSON: numbers are numbers.
            fn value_json(&self) -> ::core::option::Option<$crate::Json> {
                let value = self.0.value.as_ref();
                value.map(|value| $crate::Json(value.json().clone()))
            }

            /// The entry that gave it that value; null where the value is older than the history.
            fn entry(&self) -> ::core::option::Option<ProvenanceEntry> {
                self.0.entry.clone().map(Into::into)
            }
        }

        /// A link between two rows that came to be, changed or went.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(
            clippy::exhaustive_structs,
            reason = "it is an entry as GraphQL shows it"
        )]
        pub struct LinkEntry(pub ::std::sync::Arc<$crate::__private::LinkEntry>);

        impl ::core::convert::From<::std::sync::Arc<$crate::__private::LinkEntry>> for LinkEntry {
            fn from(entry: ::std::sync::Arc<$crate::__private::LinkEntry>) -> Self {
                Self(entry)
            }
        }

        /// A link between two rows that came to be, changed or went.
        #[::juniper::graphql_object(context = $context)]
        impl LinkEntry {
            /// What happened.
            fn kind(&self) -> $crate::LinkKind {
                self.0.kind.into()
            }

            /// Between which rows.
            fn ends(&self) -> ::std::vec::Vec<$crate::LinkedRow> {
                self.0.ends.iter().map(Into::into).collect()
            }

            /// When, by whom, under which task.
            fn entry(&self) -> ProvenanceEntry {
                self.0.entry.clone().into()
            }
        }
    };
}
