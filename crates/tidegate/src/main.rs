//! The binary: reads the command line, and runs what it asks for.

use std::ffi::c_long;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Milliseconds that free memory is kept, and ten times as many for whole arenas, before the system has it back. With
/// the allocator's own 10 it is back before a query or a load wants it again, and a quarter of the time of an UNLOAD
/// was spent on clearing pages. `MIMALLOC_PURGE_DELAY` in the environment is stronger.
const PURGE_DELAY_MS: c_long = 1000;

fn main() -> ExitCode {
    // SAFETY: the option is one of mimalloc's, and setting it touches no memory but the option's own.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS);
    }
    tidegate::run()
}
