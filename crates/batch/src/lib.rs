//! Batch: jobs wait in queues, run in compute environments, are tried again by rules, and survive the server.
//!
//! Owns compute environments, job queues, job definitions, jobs and their attempts. Refuses to know what a job does: it
//! is a command, and talks back over SQL like anyone else.
//!
//! 1. `request`: the AWS JSON as it is given; `spec`: what is asked of a job, definition and overrides put together,
//!    checked when it is submitted; `submit`: the arguments of `batch.submit_job` and the jobs that come of them.
//! 2. `state`: the pure steps from one durable state of a job to the next; `retry`: whether there is another attempt.
//! 3. `schedule`: pure, too: which jobs may go on, which get a place, and why the others wait.
//! 4. `engine`: an attempt is a frame before its process exists, and its process is a frame before it may begin; what it
//!    ended with is the third. After a crash, what still runs is ended before the scheduler looks at anything.
//! 5. `runner`: behind a gate, a group of processes (`process`) or a container (`container`); `watch`: when it is ended;
//!    `procfs`: what the kernel knows of it; `log_file`: what it prints. `recovery`: what a crash has left of it.
//! 6. `service`: statements and functions; `forms`: functions that are statements; `view` and `log_table`: schema `batch`;
//!    `events`: what LISTEN hears of jobs.
//!
//! Specified by `tests/slt/batch`.

mod container;
mod engine;
mod events;
mod forms;
mod log_file;
mod log_table;
mod process;
mod procfs;
mod recovery;
mod request;
mod retry;
mod runner;
mod schedule;
mod service;
mod spec;
mod state;
mod submit;
mod view;
mod watch;

pub use container::containers_run;
pub use engine::Jobs;
pub use service::BatchService;
