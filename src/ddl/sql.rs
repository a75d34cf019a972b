//! What the dialects of SQL share: literals, and names of types.

use super::columns::Kind;

/// A literal in standard SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A literal in the dialects in which a backslash escapes, and a doubled quote is refused or lost.
pub(super) fn backslash_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// The names by which dialects differ.
pub(super) struct TypeNames {
    pub(super) text: &'static str,
    pub(super) decimal: &'static str,
    pub(super) int32: &'static str,
    pub(super) int64: &'static str,
    pub(super) boolean: &'static str,
    pub(super) timestamp: &'static str,
}

impl TypeNames {
    pub(super) fn of(&self, kind: Kind) -> String {
        match kind {
            Kind::Text => self.text.into(),
            Kind::Decimal { digits, decimals } => format!("{}({digits},{decimals})", self.decimal),
            Kind::Date => "DATE".into(),
            Kind::Int32 => self.int32.into(),
            Kind::Int64 => self.int64.into(),
            Kind::Boolean => self.boolean.into(),
            Kind::Timestamp => self.timestamp.into(),
        }
    }
}

/// Lines, each with its end.
pub(super) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

/// A longer line does not push the comments of the others to the right.
const WIDEST: usize = 60;

/// Lines with a comma after each but the last, each before its comment.
pub(super) fn commented<'l>(lines: impl IntoIterator<Item = (String, &'l str)>) -> String {
    let lines: Vec<(String, &str)> = lines.into_iter().collect();
    let last = lines.len().saturating_sub(1);
    let widths = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= WIDEST);
    let width = widths.max().unwrap_or_default() + 1;
    let line = |(index, (line, comment)): (usize, &(String, &str))| {
        let line = format!("{line}{}", if index == last { "" } else { "," });
        if comment.is_empty() { line } else { format!("{line:width$} -- {comment}") }
    };
    lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_stands_before_its_comment() {
        assert_eq!(commented([("a".into(), "one"), ("bb".into(), ""), ("c".into(), "three")]), "a,  -- one\nbb,\nc   -- three");
        assert_eq!(quoted(r"it's \x"), r"'it''s \x'");
        assert_eq!(backslash_quoted(r"it's \x"), r"'it\'s \\x'");
    }
}
