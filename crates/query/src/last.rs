//! What a session did last, for `pg_last_copy_id()` and its kin (Redshift).

use parking_lot::Mutex;

/// Numbers of the last COPY and UNLOAD of a session, and of the rows they moved: -1 and 0 where there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTold {
    /// The last COPY.
    pub copy_id: i64,
    /// Rows it loaded.
    pub copy_count: i64,
    /// The last UNLOAD.
    pub unload_id: i64,
    /// Rows it wrote.
    pub unload_count: i64,
    /// The later of both.
    pub query_id: i64,
}

impl Default for LastTold {
    fn default() -> Self {
        LastTold { copy_id: -1, copy_count: 0, unload_id: -1, unload_count: 0, query_id: -1 }
    }
}

/// The same, as it changes.
#[derive(Debug, Default)]
pub struct Last(Mutex<LastTold>);

impl Last {
    /// As it stands now.
    pub fn told(&self) -> LastTold {
        *self.0.lock()
    }

    /// After a COPY.
    pub fn copied(&self, id: i64, rows: u64) {
        let mut last = self.0.lock();
        (last.copy_id, last.copy_count, last.query_id) = (id, i64::try_from(rows).unwrap_or(i64::MAX), id);
    }

    /// After an UNLOAD.
    pub fn unloaded(&self, id: i64, rows: u64) {
        let mut last = self.0.lock();
        (last.unload_id, last.unload_count, last.query_id) = (id, i64::try_from(rows).unwrap_or(i64::MAX), id);
    }
}
