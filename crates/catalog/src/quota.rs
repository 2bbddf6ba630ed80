//! How much the tables of a schema take, and whether it is more than they may (Redshift: CREATE SCHEMA … QUOTA).

use crate::object::{Oid, Schema};
use crate::state::State;

/// Bytes of what a quota counts in.
const UNIT_BYTES: u64 = 1 << 20;

/// A schema with a quota, and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaUse {
    /// The schema.
    pub schema: Schema,
    /// Megabytes that it may hold.
    pub quota_mb: u64,
    /// Bytes that it holds.
    pub bytes: u64,
}

impl QuotaUse {
    fn of(state: &State, schema: &Schema) -> Option<QuotaUse> {
        let quota_mb = schema.quota_mb?;
        Some(QuotaUse { schema: schema.clone(), quota_mb, bytes: bytes_of(state, schema.oid) })
    }

    /// Megabytes that it holds, the last one begun.
    pub fn megabytes(&self) -> u64 {
        self.bytes.div_ceil(UNIT_BYTES)
    }

    /// What it holds as a share of the quota, to the hundredth.
    pub fn percent(&self) -> f64 {
        let share = self.bytes as f64 / (self.quota_mb.max(1) as f64 * UNIT_BYTES as f64);
        (share * 10_000.0).round() / 100.0
    }

    fn is_over(&self) -> bool {
        self.bytes > self.quota_mb.saturating_mul(UNIT_BYTES)
    }
}

/// The schemas that have a quota.
pub fn quota_uses(state: &State) -> impl Iterator<Item = QuotaUse> + '_ {
    state.all::<Schema>().filter_map(|schema| QuotaUse::of(state, schema))
}

/// The first schema that a transaction adds to and that holds more than its quota then. Whoever only removes is never
/// in breach, however full the schema is. Transactions that commit at the same time do not see each other: together
/// they may pass a quota, as in Redshift.
pub fn quota_breach(before: &State, after: &State) -> Option<QuotaUse> {
    quota_uses(after).find(|used| used.is_over() && used.bytes > bytes_of(before, used.schema.oid))
}

/// Bytes of a schema's tables: their files, and their rows that only the log has.
fn bytes_of(state: &State, schema: Oid) -> u64 {
    let tables = state.relations().filter(|relation| relation.schema == schema);
    tables.filter_map(|table| state.files(table.oid)).map(|files| files.bytes() + files.tail_bytes() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_megabytes() {
        let schema = Schema { oid: 1, name: "s".into(), revision: 1, source: None, quota_mb: Some(2) };
        let cases = [(0, 0, 0.0, false), (1, 1, 0.0, false), (1 << 20, 1, 50.0, false), (2 << 20, 2, 100.0, false)];
        for (bytes, megabytes, percent, over) in cases.into_iter().chain([((2 << 20) + 1, 3, 100.0, true)]) {
            let used = QuotaUse { schema: schema.clone(), quota_mb: 2, bytes };
            assert_eq!((used.megabytes(), used.percent(), used.is_over()), (megabytes, percent, over), "{bytes}");
        }
    }
}
