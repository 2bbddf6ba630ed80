//! Fields of dates, times and intervals, and the words for them (Postgres: `deltatktbl`; Redshift: "Date parts").

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Quarter,
    Week,
    Year,
    Decade,
    Century,
    Millennium,
    IsoYear,
    Dow,
    IsoDow,
    Doy,
    Julian,
    Epoch,
    Zone,
    ZoneHour,
    ZoneMinute,
}

impl Field {
    /// The field of a word; None for no such word.
    pub fn of(word: &str) -> Option<Field> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "useconds" => Field::Microseconds,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => Field::Milliseconds,
            "second" | "seconds" | "s" | "sec" | "secs" => Field::Second,
            "minute" | "minutes" | "m" | "min" | "mins" => Field::Minute,
            "hour" | "hours" | "h" | "hr" | "hrs" => Field::Hour,
            "day" | "days" | "d" => Field::Day,
            "month" | "months" | "mon" | "mons" => Field::Month,
            "quarter" | "quarters" | "qtr" | "qtrs" => Field::Quarter,
            "week" | "weeks" | "w" => Field::Week,
            "year" | "years" | "y" | "yr" | "yrs" => Field::Year,
            "decade" | "decades" | "dec" | "decs" => Field::Decade,
            "century" | "centuries" | "c" | "cent" | "cents" => Field::Century,
            "millennium" | "millennia" | "mil" | "mils" => Field::Millennium,
            "isoyear" => Field::IsoYear,
            "dow" | "dayofweek" | "dw" | "weekday" => Field::Dow,
            "isodow" => Field::IsoDow,
            "doy" | "dayofyear" | "dy" | "yearday" => Field::Doy,
            "julian" => Field::Julian,
            "epoch" => Field::Epoch,
            "timezone" => Field::Zone,
            "timezone_hour" | "timezone_h" => Field::ZoneHour,
            "timezone_minute" | "timezone_m" => Field::ZoneMinute,
            _ => return None,
        })
    }

    /// Digits behind the point; None: it is whole.
    pub fn scale(self) -> Option<i8> {
        match self {
            Field::Second | Field::Epoch | Field::Julian => Some(6),
            Field::Milliseconds => Some(3),
            _ => None,
        }
    }
}
