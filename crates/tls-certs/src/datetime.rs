//! Dates as a user reads them.

use std::fmt;

/// A point in time, in seconds since 1970-01-01 00:00:00 UTC, shown as
/// `2024-01-02 03:04:05 UTC`.
pub(crate) struct Utc(pub(crate) i64);

impl Utc {
    /// Year, month, day, hour, minute and second in as many digits as they
    /// have in DER; a year outside of 0 to 9999 has another number of them.
    pub(crate) fn digits(&self) -> String {
        let (year, month, day) = civil(self.0.div_euclid(86_400));
        let second = self.0.rem_euclid(86_400);
        format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60)
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(86_400);
        let second = self.0.rem_euclid(86_400);
        let (year, month, day) = civil(days);
        write!(f, "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
    }
}

/// Year, month and day of the Gregorian calendar, of days since 1970-01-01.
///
/// Years are counted from 1 March, so that the leap day is the last of one.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(DAYS_PER_ERA);
    let of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::Utc;

    #[test]
    fn known_dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_827_696, "2000-02-29 12:34:56 UTC"),
            (1_704_164_645, "2024-01-02 03:04:05 UTC"),
            (4_102_444_800, "2100-01-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(Utc(seconds).to_string(), text);
        }
        let _ = Utc(i64::MAX).to_string();
        let _ = Utc(i64::MIN).to_string();
    }
}
