//! Dates as a user reads them.

use std::fmt;

use crate::der::Element;
use crate::encode::{GENERALIZED_TIME, UTC_TIME};

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

/// The seconds since 1970-01-01 00:00:00 UTC of a time in DER, in the forms of
/// RFC 5280, section 4.1.2.5; `None` if it is none.
pub(crate) fn seconds(time: Element<'_>) -> Option<i64> {
    let (years, rest) = match time.tag {
        UTC_TIME => time.value.split_at_checked(2)?,
        GENERALIZED_TIME => time.value.split_at_checked(4)?,
        _ => return None,
    };
    let digits = rest.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let year = match number(years)? {
        year if years.len() == 4 => year,
        year if year < 50 => 2000 + year,
        year => 1900 + year,
    };
    let pairs: Option<Vec<i64>> = digits.chunks(2).map(number).collect();
    let [month, day, hour, minute, second] = pairs?.try_into().ok()?;
    let days = (1..=12).contains(&month).then(|| days(year, month, day))?;
    // A day that the month does not have would be one of the next.
    let is_time = civil(days) == (year, month, day) && hour < 24 && minute < 60 && second < 60;
    is_time.then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// Days since 1970-01-01, the reverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let from_march = (month + 9) % 12;
    let of_era = year.rem_euclid(400);
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
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
    use super::*;

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

    #[test]
    fn times_in_der() {
        let read = |tag, text: &str| seconds(Element { tag, value: text.as_bytes() });
        for at in (-62_000_000_000..253_402_300_799).step_by(86_400 * 17 + 12_345) {
            assert_eq!(read(GENERALIZED_TIME, &format!("{}Z", Utc(at).digits())), Some(at));
        }
        assert_eq!(read(UTC_TIME, "240102030405Z"), Some(1_704_164_645));
        assert_eq!(read(UTC_TIME, "700101000000Z"), Some(0));
        for wrong in [
            "",
            "Z",
            "20240102030405",
            "20240102030405.5Z",
            "20240230000000Z",
            "20241301000000Z",
            "20240102240000Z",
            "202401020304+5Z",
            "2024010203Z",
            "20240102030405Z ",
            "20240100000000Z",
        ] {
            assert_eq!(read(GENERALIZED_TIME, wrong), None, "{wrong}");
        }
        assert_eq!(read(crate::der::INTEGER, "20240102030405Z"), None);
    }
}
