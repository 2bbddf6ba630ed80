//! What lies on disk. Owns the [`DataDir`]: its lock, its format version and its places. Knows nothing of what is kept.

mod datadir;

pub use datadir::{DataDir, FORMAT_VERSION};
