//! Rows, as they are read and written.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;

use crate::schema::{measurements, samples, tags};

/// A sample, present or as it was when it was deleted.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = samples)]
pub struct Sample {
    /// Its number.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// What else there is to say.
    pub note: Option<String>,
    /// Whose it is.
    pub owner: String,
    /// In milligrams.
    pub mass: Option<f64>,
    /// Whatever the instruments say.
    pub metadata: Option<Value>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

/// A sample to be registered.
#[derive(Debug, Insertable)]
#[diesel(table_name = samples)]
pub struct NewSample {
    /// What it is called.
    pub name: String,
    /// What else there is to say.
    pub note: Option<String>,
    /// Whose it is.
    pub owner: String,
    /// In milligrams.
    pub mass: Option<f64>,
    /// Whatever the instruments say.
    pub metadata: Option<Value>,
    /// When it is registered.
    pub created_at: DateTime<Utc>,
    /// Where it stands: a secret of the store, kept out of history and GraphQL.
    pub storage_code: String,
}

/// Changes to a sample: `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Debug, Default, AsChangeset)]
#[diesel(table_name = samples)]
pub struct SampleChanges {
    /// What it is called.
    pub name: Option<String>,
    /// What else there is to say.
    pub note: Option<Option<String>>,
    /// Whose it is.
    pub owner: Option<String>,
    /// In milligrams.
    pub mass: Option<Option<f64>>,
    /// Whatever the instruments say.
    pub metadata: Option<Option<Value>>,
}

/// A measurement, present or as it was when it was deleted.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = measurements)]
pub struct Measurement {
    /// Its number.
    pub id: i64,
    /// Of which sample.
    pub sample_id: i64,
    /// What was measured.
    pub kind: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
}

/// A measurement to be noted.
#[derive(Debug, Insertable)]
#[diesel(table_name = measurements)]
pub struct NewMeasurement<'a> {
    /// Of which sample.
    pub sample_id: i64,
    /// What was measured.
    pub kind: &'a str,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'a str,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = tags)]
pub struct Tag {
    /// Its number.
    pub id: i64,
    /// What it says.
    pub label: String,
}
