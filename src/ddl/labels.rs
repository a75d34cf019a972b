//! Labels beside the codes: as a view in any engine, and as a list.

use serde_json::json;

use super::columns::{self, LABELS};
use super::sql::{lines, quoted};
use super::{Format, Request};

/// A view of the table `settlements`, with a label beside each code that has one.
pub(super) fn view(request: &Request) -> String {
    let labels: Vec<String> = LABELS
        .iter()
        .map(|(field, name, about)| {
            let cases = columns::labels(*field, request.lang).map(|(code, label)| format!("        WHEN '{code}' THEN {}", quoted(label)));
            format!(
                "    -- {}\n    CASE trim(settlements.{})\n{}    END AS {name}",
                about.to(request.lang),
                columns::column_of(*field),
                lines(cases)
            )
        })
        .collect();
    let (prefix, closing) = match request.format {
        // Redshift has views of external tables only if they are not bound to them
        Format::Redshift => ("cookiepay.", "\nWITH NO SCHEMA BINDING"),
        _ => ("", ""),
    };
    format!(
        "CREATE OR REPLACE VIEW settlements_labels AS\nSELECT\n    settlements.*,\n{}\nFROM {prefix}settlements AS settlements{closing};\n",
        labels.join(",\n")
    )
}

/// The codes and their labels, for people or programs.
pub(super) fn list(request: &Request) -> String {
    let all = LABELS
        .iter()
        .flat_map(|(field, ..)| columns::labels(*field, request.lang).map(|(code, label)| (columns::column_of(*field), code, label)));
    if request.format == Format::Json {
        let all: Vec<_> = all.map(|(column, code, label)| json!({ "column": column, "code": code, "label": label })).collect();
        return format!("{:#}\n", json!({ "labels": all }));
    }
    lines(all.map(|(column, code, label)| format!("{column:15} {code:5} {label}")))
}
