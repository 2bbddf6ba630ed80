//! What every part of the server stands on: errors, time, randomness and settings.
//!
//! Owns [`Error`] and its [`Kind`]s, the [`Clock`] and [`Rng`] through which every engine tells time and draws numbers
//! (so that a test can run them under a seed), and the one table of [`Settings`].
//! Refuses to own anything that does I/O.

mod clock;
mod error;
mod near;
mod rng;
mod settings;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Error, Kind, Result};
pub use near::nearest;
pub use rng::Rng;
pub use settings::{SETTINGS, Scope, Setting, Settings, Shape, find as setting_find, millis, shown_setting};
