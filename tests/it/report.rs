//! `report`: the page and the workbook.

use std::path::Path;

use calamine::{Data, Reader as _, Xlsx, open_workbook};

use crate::support::Run;
use crate::support::api::{Api, Reply, envelope, row};
use crate::support::lake::day_file;

/// A lake of January 2024 and some days of February: a restated day, an empty one, a pending one and a gap.
fn lake() -> tempfile::TempDir {
    let lake = tempfile::tempdir().unwrap();
    let cancelled =
        [("PAYMENTSTATUS", r#""22""#), ("AUTHAMT", r#""-4000""#), ("FEE", r#""-92""#), ("VAT", r#""-9""#), ("PAYMENTAMT", r#""-3899""#)];
    let api = Api::new(move |request| {
        let day = request.date();
        Reply::json(match (day, request.earlier) {
            ("20240106", _) => envelope(&[]),
            ("20240205", _) => envelope(&[row(day, &[("STATUS_CD", r#""01""#)])]),
            ("20240108", earlier) if earlier > 0 => envelope(&[row(day, &[]), row(day, &cancelled)]),
            _ => envelope(&[row(day, &[])]),
        })
    });
    for refetch in ["open", "all"] {
        Run::backfill(&api).days("2024-01-01", "2024-02-05").into(lake.path()).args(["--refetch", refetch]).ok();
    }
    std::fs::remove_file(day_file(lake.path(), "2024-01-17")).unwrap();
    lake
}

fn report(lake: &Path) -> Run {
    Run::new("report").into(lake).days("2024-01-01", "2024-02-05").env("LC_ALL", "C")
}

#[test]
fn a_page_shows_each_day_and_what_it_all_comes_to() {
    let lake = lake();
    let out = lake.path().join("report.html");
    report(lake.path()).arg("--out").arg(&out).ok();
    let page = std::fs::read_to_string(&out).unwrap();
    for section in ["summary", "calendar", "months", "upcoming", "restatements", "fees", "attention"] {
        assert!(page.contains(&format!("<section id=\"{section}\"")), "{section}");
    }
    for (day, state) in [("01-01", "closed"), ("01-06", "closed_empty"), ("01-17", "missing"), ("02-05", "open")] {
        assert!(page.contains(&format!("data-date=\"2024-{day}\" data-state=\"{state}\"")), "{day}");
    }
    assert_eq!(page.matches("data-date=").count(), 36);
    assert!(page.contains("data-date=\"2024-01-08\" data-state=\"closed\" data-restated"));
    // 29 days of January with a row, one of them with a cancellation
    for figure in ["<html lang=\"en\">", "290,000", "4,000", "278,764", "9,747", "-3,899", "2.30%", "default-src 'none'"] {
        assert!(page.contains(figure), "{figure}");
    }
    for what in ["<script", "http://", "https://", "javascript:"] {
        assert!(!page.contains(what), "{what}");
    }
}

#[test]
fn the_same_in_korean_by_flag_and_by_locale() {
    let lake = lake();
    let out = lake.path().join("report.html");
    for run in [report(lake.path()).args(["--lang", "ko"]), report(lake.path()).env("LC_ALL", "ko_KR.UTF-8")] {
        let ran = run.arg("--out").arg(&out).ok();
        assert!(ran.stdout.contains("report.html: 지급일 2024-01-"), "{ran:?}");
        let page = std::fs::read_to_string(&out).unwrap();
        for text in ["<html lang=\"ko\">", "승인금액", "지급예정", "2024-01-08 (월)", "278,764"] {
            assert!(page.contains(text), "{text}");
        }
    }
}

#[test]
fn a_workbook_has_typed_lines_and_a_total() {
    let lake = lake();
    let out = lake.path().join("report.xlsx");
    report(lake.path()).arg("--out").arg(&out).ok();
    let mut book: Xlsx<_> = open_workbook(&out).unwrap();
    assert_eq!(book.sheet_names(), ["Summary", "Days", "Months", "Fees", "Upcoming", "Restatements"]);
    let days = book.worksheet_range("Days").unwrap();
    let lines: Vec<_> = days.rows().collect();
    assert_eq!(lines.len(), 1 + 36 + 1);
    let payout = lines[0].iter().position(|title| *title == Data::String("Payout".into())).unwrap();
    assert!(matches!(lines[1][0], Data::DateTime(_)));
    assert_eq!(lines[1][payout], Data::Float(9747.0));
    let total: f64 = lines[1..37].iter().filter_map(|line| if let Data::Float(won) = line[payout] { Some(won) } else { None }).sum();
    assert_eq!(lines[37][payout], Data::Float(total));
    assert_eq!(Data::Float(total), Data::Float(34.0 * 9747.0 - 3899.0));
    let formula = book.worksheet_formula("Days").unwrap();
    assert!(formula.used_cells().any(|(_, _, formula)| formula.contains("SUBTOTAL(109,")));
}

#[test]
fn what_cannot_be_reported_is_a_usage_error_and_leaves_no_file() {
    let lake = lake();
    let out = |name: &str| lake.path().join(name);
    let cases: [(&str, &[&str], &str); 5] = [
        ("report.pdf", &[], "must end in .html or .xlsx"),
        ("report.html", &["--api-id", "m2"], "holds no day of merchant m2"),
        ("report.html", &["--from", "2024-03-01"], "set --to as well"),
        ("report.html", &["--from", "0001-01-01", "--to", "9999-12-31"], "a page shows at most"),
        ("report.xlsx", &["--from", "0001-01-01", "--to", "9999-12-31"], "at most 1048575 lines"),
    ];
    for (name, flags, message) in cases {
        let ran = Run::new("report").into(lake.path()).args(flags).arg("--out").arg(out(name)).exits(2);
        assert!(ran.prints(message), "{ran:?}");
        assert!(!out(name).exists());
    }
    Run::new("report").into(lake.path()).exits(2);
    let empty = tempfile::tempdir().unwrap();
    Run::new("report").into(empty.path()).arg("--out").arg(out("report.html")).exits(2);
}

#[test]
fn figures_are_the_same_from_rows_as_from_records() {
    let lake = lake();
    let figures = |name: &str| {
        let out = lake.path().join(name);
        report(lake.path()).arg("--out").arg(&out).ok();
        let page = std::fs::read_to_string(&out).unwrap();
        page.split("<footer>").next().unwrap().to_owned()
    };
    let by_index = figures("a.html");
    std::fs::remove_dir_all(lake.path().join("ledger")).unwrap();
    assert_eq!(by_index, figures("b.html"));
}

#[test]
fn one_day_is_enough() {
    let lake = lake();
    let out = lake.path().join("day.html");
    for day in ["2024-01-08", "2024-01-17", "2024-02-05"] {
        Run::new("report").into(lake.path()).days(day, day).arg("--out").arg(&out).arg("--out").arg(lake.path().join("day.xlsx")).ok();
        assert_eq!(std::fs::read_to_string(&out).unwrap().matches("data-date=").count(), 1);
    }
}
