//! Deliveries: what comes into a stream goes on into objects and tables, every record exactly once.
//!
//! Owns buffers (which are ranges of the log's positions, nothing more), attempts and their retries. What a record is as a
//! row, and how a row is written, is the query engine's.
//!
//! 1. `spec`: what the user asked, checked when it is created; `query` is what is read and `rows` how it fits a table.
//! 2. What waits is a part of the log, [`tidegate_stream::backlog`]. `state`: when it is due, and the pure steps from one
//!    durable state to the next.
//! 3. `engine`: an attempt (a range of records and the object's name) is a frame before the first byte is put; then the
//!    `object` is written; then the position moves. After a crash the same range is written again under the same name.
//!    Into a table, rows and position are one frame.
//! 4. `prefix`: names of objects, from the time at which the first record came.
//! 5. `service`: statements, and `view`: `firehose.delivery_streams`.
//!
//! Specified by `tests/slt/delivery`.

mod engine;
mod object;
mod prefix;
mod query;
mod rows;
mod service;
mod spec;
mod state;
mod view;

pub use engine::Deliveries;
pub use service::DeliveryService;
