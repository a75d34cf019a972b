//! How errors are told: each layer once, in one line.

/// An error and its causes, in one line; a cause that the line already tells is left out, as some
/// libraries put their causes' texts into their own.
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
