//! The binary: everything is in the library, so that it can be tested and read from one place.

use std::process::ExitCode;

fn main() -> ExitCode {
    few_pools();
    cookiepay_etl::cli::main()
}

/// Days are read and encoded on some thirty threads that take turns. glibc would give them eight pools of memory a
/// core, each of which grows to what the busiest moments need: with four, many small days take a third less, and a
/// long run's memory hardly rises after its first thousand days. What the user says in the environment holds.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "only glibc itself can be told, and no safe library does")]
fn few_pools() {
    if ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"].into_iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    // SAFETY: takes two numbers, and is called before there is a second thread.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 4) };
}

#[cfg(not(target_env = "gnu"))]
fn few_pools() {}
