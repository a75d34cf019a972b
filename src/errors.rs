//! How errors are printed: each layer once, in one line. What happens to panics of others' code.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};

thread_local! {
    /// Whether a panic on this thread is one that [`guarded`] takes as an error.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs code of others that may panic on what it reads; such a panic is an error with its text.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    IS_GUARDED.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    let was_guarded = IS_GUARDED.replace(false);
    done.map_err(|panic| if was_guarded { panic_text(&*panic).to_owned() } else { resume_unwind(panic) })
}

/// Runs our own code within [`guarded`]: its panics are defects.
pub(crate) fn unguarded<T>(work: impl FnOnce() -> T) -> T {
    let was_guarded = IS_GUARDED.replace(false);
    let done = work();
    IS_GUARDED.set(was_guarded);
    done
}

/// From now on, panics that [`guarded`] takes are not printed.
pub(crate) fn print_unguarded_panics_only() {
    let print = take_hook();
    set_hook(Box::new(move |panic| {
        if !IS_GUARDED.get() {
            print(panic);
        }
    }));
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no message")
}

/// An error and its causes, in one line. A cause whose text the line already contains is left out, because some
/// libraries repeat their causes' texts in their own.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}
