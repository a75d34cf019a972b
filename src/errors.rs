//! How errors are printed: each layer once, in one line.

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
