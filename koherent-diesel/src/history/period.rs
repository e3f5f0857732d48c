//! Between which times.

use chrono::{DateTime, TimeDelta, Utc};

use crate::engine::Engine;
use crate::script::Script;
use crate::sql::Write as _;

/// A time, from its beginning to before its end. Of several ends the narrowest count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Period {
    since: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
}

impl Period {
    pub(super) fn since(&mut self, date: DateTime<Utc>) {
        self.since = Some(self.since.map_or(date, |since| since.max(date)));
    }

    pub(super) fn before(&mut self, date: DateTime<Utc>) {
        self.before = Some(self.before.map_or(date, |before| before.min(date)));
    }

    /// Up to that time, with it. Dates are kept and compared to the microsecond.
    pub(super) fn until(&mut self, date: DateTime<Utc>) {
        let micro = TimeDelta::microseconds(1);
        self.before(date.checked_add_signed(micro).unwrap_or(date));
    }

    /// Writes ` AND …` for a column of dates of `h`.
    pub(super) fn push<DB: Engine>(self, sql: &mut Script<DB>, column: &str) {
        for (bound, compared) in [(self.since, " >= "), (self.before, " < ")] {
            if let Some(date) = bound {
                sql.push(" AND h.").push(column).push(compared).date(date);
            }
        }
    }
}
