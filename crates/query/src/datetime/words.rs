//! The words of dates and times (Postgres: `datetktbl`), and what each of them means.

/// What a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A month, from 1.
    Month(i32),
    /// A day of the week, which says nothing.
    Weekday,
    /// Nothing: `at`, `on`.
    Filler,
    Am,
    Pm,
    Ad,
    Bc,
    /// Midnight in UTC.
    Allballs,
    Named(Named),
    /// An abbreviation of a zone: seconds east of Greenwich.
    Zone(i32),
    /// An hour more: `DST` behind a zone.
    Summer,
    /// What the number behind it is.
    Unit(Unit),
    /// `T`: a time follows.
    TimeFollows,
}

/// Moments that have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Now,
    Today,
    Tomorrow,
    Yesterday,
    Epoch,
    /// After all others.
    Infinity,
    /// `-infinity`: before all others.
    Before,
}

impl Named {
    /// Whether it is the same moment everywhere.
    pub fn is_fixed(self) -> bool {
        matches!(self, Named::Epoch | Named::Infinity | Named::Before)
    }
}

/// Units that may stand before a number: `J2451187`, `y2001 m02 d04`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Julian,
}

/// What a word in small letters means; None for no such word.
pub fn meaning(word: &str) -> Option<Word> {
    keyword(word).or_else(|| abbreviation(word).map(Word::Zone))
}

/// The same without abbreviations of zones: digits behind those belong to the name, as in `PST8PDT`.
pub fn keyword(word: &str) -> Option<Word> {
    Some(match word {
        "jan" | "january" => Word::Month(1),
        "feb" | "february" => Word::Month(2),
        "mar" | "march" => Word::Month(3),
        "apr" | "april" => Word::Month(4),
        "may" => Word::Month(5),
        "jun" | "june" => Word::Month(6),
        "jul" | "july" => Word::Month(7),
        "aug" | "august" => Word::Month(8),
        "sep" | "sept" | "september" => Word::Month(9),
        "oct" | "october" => Word::Month(10),
        "nov" | "november" => Word::Month(11),
        "dec" | "december" => Word::Month(12),
        "sun" | "sunday" | "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds" | "wednesday" | "thu"
        | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat" | "saturday" => Word::Weekday,
        "at" | "on" => Word::Filler,
        "am" => Word::Am,
        "pm" => Word::Pm,
        "ad" => Word::Ad,
        "bc" => Word::Bc,
        "allballs" => Word::Allballs,
        "now" => Word::Named(Named::Now),
        "today" => Word::Named(Named::Today),
        "tomorrow" => Word::Named(Named::Tomorrow),
        "yesterday" => Word::Named(Named::Yesterday),
        "epoch" => Word::Named(Named::Epoch),
        "infinity" | "+infinity" => Word::Named(Named::Infinity),
        "-infinity" => Word::Named(Named::Before),
        "dst" => Word::Summer,
        "t" => Word::TimeFollows,
        "y" => Word::Unit(Unit::Year),
        "m" => Word::Unit(Unit::Month),
        "d" => Word::Unit(Unit::Day),
        "h" => Word::Unit(Unit::Hour),
        "mm" => Word::Unit(Unit::Minute),
        "s" => Word::Unit(Unit::Second),
        "j" | "jd" | "julian" => Word::Unit(Unit::Julian),
        _ => return None,
    })
}

/// Abbreviations of zones, in seconds east of Greenwich (Postgres: the `Default` set).
fn abbreviation(word: &str) -> Option<i32> {
    let minutes = match word {
        "z" | "zulu" | "utc" | "ut" | "uct" | "gmt" | "wet" => 0,
        "bst" | "west" | "cet" | "met" => 60,
        "cest" | "cetdst" | "mest" | "metdst" | "eet" | "sast" | "ist" => 120,
        "eest" | "eetdst" | "idt" | "msk" | "eat" => 180,
        "msd" | "get" => 240,
        "pkt" => 300,
        "bdt" => 360,
        "ict" => 420,
        "cct" | "hkt" | "sgt" | "pht" | "awst" => 480,
        "jst" | "kst" => 540,
        "acst" => 570,
        "aest" => 600,
        "acsst" | "acdt" => 630,
        "aedt" => 660,
        "nzst" => 720,
        "nzdt" => 780,
        "nst" | "nft" => -210,
        "ndt" => -150,
        "adt" | "brt" => -180,
        "ast" | "edt" | "clt" => -240,
        "est" | "cdt" | "pet" => -300,
        "cst" | "mdt" => -360,
        "mst" | "pdt" => -420,
        "pst" | "akdt" => -480,
        "akst" => -540,
        "hst" => -600,
        _ => return None,
    };
    Some(minutes * 60)
}
