//! The binary: everything is in the library, so that it can be tested and read from one place.

use std::process::ExitCode;

fn main() -> ExitCode {
    limit_malloc_arenas();
    cookiepay_etl::cli::main()
}

/// Days are read and encoded on about thirty blocking threads, few of which run at the same time. By default glibc gives
/// them eight arenas per core, each of which grows to the peak of its busiest moment: with four, many small days need a
/// third less memory, and a long run's memory hardly grows after its first thousand days. A setting in the environment
/// takes precedence.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "glibc's own setting, for which no library has a safe function")]
fn limit_malloc_arenas() {
    if ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"].into_iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    // SAFETY: takes two integers, and no other thread runs yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 4) };
}

#[cfg(not(target_env = "gnu"))]
fn limit_malloc_arenas() {}
