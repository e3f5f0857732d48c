//! Dates as clients write them.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// Reads a date as clients write it: with its offset (RFC 3339), or, read as UTC, without one (`2026-01-01T12:00`), or without a
/// time (`2026-01-01`, its first moment). Instead of `T` there may be a blank.
///
/// ```
/// use koherent_diesel::read_date;
///
/// assert_eq!(read_date("2026-01-01")?, read_date("2026-01-01T00:00:00Z")?);
/// assert_eq!(read_date("2026-01-01 12:30")?, read_date("2026-01-01T14:30:00+02:00")?);
/// assert!(read_date("2026-01-01T12:30:00 02:00").unwrap_err().to_string().contains("%2B"));
/// # Ok::<(), koherent_diesel::InvalidDate>(())
/// ```
///
/// # Errors
///
/// [`InvalidDate`], which says what to write.
pub fn read_date(text: &str) -> Result<DateTime<Utc>, InvalidDate> {
    if let Ok(date) = DateTime::<FixedOffset>::parse_from_rfc3339(text) {
        return Ok(date.into());
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(NaiveTime::MIN).and_utc());
    }
    without_offset(text).ok_or_else(|| {
        let is_offset = |(date, offset): (&str, &str)| {
            NaiveTime::parse_from_str(offset, "%H:%M").is_ok() && without_offset(date).is_some()
        };
        match text.rsplit_once(' ').is_some_and(is_offset) {
            true => InvalidDate::LostPlus,
            false => InvalidDate::Unreadable,
        }
    })
}

fn without_offset(text: &str) -> Option<DateTime<Utc>> {
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let text = text.replacen(' ', "T", 1);
    let mut read = formats.iter();
    let date = read.find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok());
    date.map(|date| date.and_utc())
}

/// A text that is no date: see [`read_date`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDate {
    /// It is written in another way, or there is no such day.
    #[error(
        "write a date as `2026-01-31`, `2026-01-31T12:00:00Z` or `2026-01-31T12:00:00+02:00`; without an offset it is read as UTC"
    )]
    Unreadable,
    /// The `+` of its offset arrived as a blank.
    #[error(
        "the `+` of the date's offset arrived as a blank: write it as `%2B` in a URL, `2026-01-31T12:00:00%2B02:00`"
    )]
    LostPlus,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_clients_write_them() {
        let at = |text| read_date(text).map(|date| date.to_rfc3339());
        for (text, read) in [
            ("2026-01-31", "2026-01-31T00:00:00+00:00"),
            ("2026-01-31T12:30", "2026-01-31T12:30:00+00:00"),
            ("2026-01-31 12:30:01", "2026-01-31T12:30:01+00:00"),
            ("2026-01-31T12:30:01.5", "2026-01-31T12:30:01.500+00:00"),
            ("2026-01-31T12:30:01.5Z", "2026-01-31T12:30:01.500+00:00"),
            ("2026-01-31t12:30:01z", "2026-01-31T12:30:01+00:00"),
            ("2026-01-31 12:30:01+02:00", "2026-01-31T10:30:01+00:00"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(read), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026",
            "2026-02-30",
            "2026-01-31T25:00",
            "12:30",
            "2026-01-31T",
        ] {
            assert_eq!(at(text), Err(InvalidDate::Unreadable), "{text}");
        }
        for text in [
            "2026-01-31T12:30:01 02:00",
            "2026-01-31T12:30:01.5 02:00",
            "2026-01-31 12:30 02:00",
        ] {
            assert_eq!(at(text), Err(InvalidDate::LostPlus), "{text}");
        }
    }
}
