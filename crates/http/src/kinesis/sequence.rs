//! What a sequence number says: when its shard was made, and when the number was given.
//!
//! A number is 186 bits in decimal. In hex digits from the left: `2`, 9 of the second the shard was made in, 1 of the
//! shard, 16 of the index, 2 of zero, 9 of the second the number was given in, 8 of the shard, `2`.

/// Bits below the second in which the number was given.
const GIVEN_SHIFT: usize = 36;
/// Bits below the second in which the shard was made.
const MADE_SHIFT: usize = 148;
const SECONDS_MASK: u64 = (1 << 36) - 1;
const VERSION: u64 = 2;

/// The times in a sequence number, in seconds after the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// When the shard was made.
    pub made: i64,
    /// When the number was given; of an ending number, when the shard was closed.
    pub given: i64,
}

/// Reads a sequence number; none if it is not of this form.
pub(crate) fn times(number: &str) -> Option<Times> {
    let limbs = limbs(number)?;
    let field = |shift: usize, mask: u64| {
        let (limb, bit) = (shift / 64, shift % 64);
        let pair = u128::from(limbs.get(limb).copied()?) | (u128::from(limbs.get(limb + 1).copied()?) << 64);
        u64::try_from((pair >> bit) & u128::from(mask)).ok()
    };
    let (low, high) = (field(0, 0xf)?, field(184, u64::MAX)?);
    let seconds = |shift| i64::try_from(field(shift, SECONDS_MASK)?).ok();
    let times = Times { made: seconds(MADE_SHIFT)?, given: seconds(GIVEN_SHIFT)? };
    (low == VERSION && high == VERSION).then_some(times)
}

/// Decimal digits as 256 bits, the lowest limb first; none if they do not fit.
fn limbs(number: &str) -> Option<[u64; 4]> {
    let mut limbs = [0u64; 4];
    for digit in number.bytes() {
        let mut carry = u64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
        for limb in &mut limbs {
            let wide = u128::from(*limb) * 10 + u128::from(carry);
            (*limb, carry) = (wide as u64, (wide >> 64) as u64);
        }
        if carry > 0 {
            return None;
        }
    }
    Some(limbs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_read_from_a_number() {
        let cases = [
            // One that AWS gave, and one of the fourth shard.
            ("49543463076548007577105092703039560359975228518395019266", Some((1_411_403_981, 1_411_431_220))),
            ("49646437577175378652512468275256581209501448387703078962", Some((1_700_000_000, 1_700_000_007))),
            ("49543463076548007577105092703039560359975228518395019267", None),
            ("0", None),
            ("12345", None),
            ("", None),
            ("4954346307654800757710509270303956035997522851839501926x", None),
        ];
        for (number, want) in cases {
            assert_eq!(times(number).map(|t| (t.made, t.given)), want, "{number}");
        }
        assert_eq!(times(&"9".repeat(129)), None);
    }
}
