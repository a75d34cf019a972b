"""What reconcile writes, as Chromium, openpyxl, LibreOffice, Excel's way of reading CSV, pyarrow and DuckDB open it: all show the sums of the result."""

import csv
import subprocess
from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import etl
from looking import number, seen_by_everybody

SHEETS = {"en": ["Summary", "Differences", "All cases", "Fees", "Deposits"], "ko": ["요약", "차이", "전체 내역", "수수료", "입금"]}
FAULTS = ("missing", "doubled", "mispriced", "unknown", "deposit-missing", "deposit-short", "deposit-late", "deposit-extra")
COLUMNS = [
    *("merchant_id", "order_no", "transaction_ids", "status", "reason", "order_amount", "pg_amount", "difference", "order_date"),
    *("first_pay_date", "last_pay_date", "age_days", "lines", "rows"),
]
# few enough that axe-core sees every cell of the page in seconds
FIRST, LAST = date(2024, 1, 8), date(2024, 1, 17)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Books that differ in every way, the result in both languages, and its files."""
    folder = tmp_path_factory.mktemp("reconcile") / "장부 & <books>"
    lake, period = folder / "lake", ("--from", FIRST, "--to", LAST)
    assert etl.backfill(lake, first=date(2024, 1, 2), last=date(2024, 1, 31)).code == 0
    faults = [flag for fault in FAULTS for flag in ("--books-fault", fault)]
    run = etl.run("simulate", "--books", folder / "books", *period, *faults)
    assert run.code == 0, run
    # order numbers that a page and a spreadsheet must show as they are
    with (folder / "books/orders.csv").open("a", encoding="cp949", newline="") as books:
        for order, amount in (("<script>alert(1)</script>", "12,345,678"), ("000123", "1,000"), ("=1+1", "2,000")):
            books.write(f'2024-01-10 10:00:00,{order},,승인,CARD,"{amount}"\r\n')
    rates = folder / "rates.csv"
    rates.write_text("pay_type,acquirer_code,rate,from\nCARD,CCLG,2.29,\n")
    results = {}
    for lang in SHEETS:
        outs = [flag for kind in ("html", "xlsx", "csv", "parquet") for flag in ("--out", folder / f"{lang}.{kind}")]
        files = ("--orders", folder / "books/orders.csv", "--deposits", folder / "books/deposits.csv", "--rates", rates)
        run = etl.run("reconcile", "--dest", lake, *period, *files, "--lang", lang, "--output", "json", *outs)
        assert run.code == 5, run
        results[lang] = run.result
    return folder, results


def sums(result):
    """By part and status: how many, and the amounts of both sides; of fees only the difference."""
    of_part = {
        "orders": lambda of: (of["cases"], Decimal(of["order_amount"]), Decimal(of["pg_amount"])),
        "fees": lambda of: (of["rows"], Decimal(of["difference"])),
        "deposits": lambda of: (of["dates"], Decimal(of["expected"]), Decimal(of["deposited"])),
    }
    return {part: {status: read(of) for status, of in result[part]["statuses"].items()} for part, read in of_part.items()}


def by_status(lines):
    """Cases, and the amounts of both sides, by status."""
    found = defaultdict(lambda: (0, Decimal(0), Decimal(0)))
    for status, *amounts in lines:
        cases, *before = found[status]
        found[status] = (cases + 1, *(one + other for one, other in zip(before, amounts)))
    return dict(found)


def won(value):
    return Decimal(str(value or 0)).quantize(Decimal("0.01"))


def test_the_result_has_every_difference(written):
    _, results = written
    assert {part: set(statuses) for part, statuses in sums(results["en"]).items()} == {
        "orders": {"matched", "amount_mismatch", "missing_at_pg", "missing_in_orders", "duplicate"},
        "fees": {"ok", "rate_mismatch"},
        "deposits": {"matched", "difference", "missing_deposit", "unexpected_deposit"},
    }
    # the language changes reasons, and nothing else
    own = [{**result, "out": None, "differences": [{**of, "reason": None} for of in result["differences"]]} for result in results.values()]
    for result in own:
        result["deposits"]["late"] = [{**late, "reason": None} for late in result["deposits"]["late"]]
    assert own[0] == own[1]


@pytest.mark.parametrize("lang", SHEETS)
def test_the_page_shows_the_sums(written, lang, tmp_path):
    folder, results = written
    for seen in seen_by_everybody(folder / f"{lang}.html", lang, tmp_path / "page.pdf"):
        assert seen["sections"] == ["summary", "differences", "cases", "fees", "deposits"]
        assert "<script>alert(1)</script>" in seen["text"]

    # in the order of the parts: the status, how many, the amounts of both sides, and what they differ by
    found = {}
    for part, table in zip(("orders", "fees", "deposits"), seen["tables"]["summary"]):
        _, *lines = table
        *lines, total = [[line[0].split()[0], *map(number, line[1:-1])] for line in lines]
        found[part] = {status: (int(count), *amounts[: 1 if part == "fees" else 2]) for status, count, *amounts in lines}
        for at, whole in enumerate(total[1:], 1):
            assert sum(line[at] for line in lines) == whole, (part, at)
        if part != "fees":
            assert all(pg - books == difference for _, _, books, pg, difference in lines)
    assert found == sums(results[lang])
    [differences] = seen["tables"]["differences"]
    assert len(differences) - 1 == min(500, count_of_differences(results[lang]))


def count_of_differences(result):
    fine = {"matched", "not_due", "carried", "ok", "not_stated"}
    return sum(of[0] for statuses in sums(result).values() for status, of in statuses.items() if status not in fine)


@pytest.mark.parametrize("lang, program", [("en", "openpyxl"), ("ko", "openpyxl"), ("ko", "LibreOffice")])
def test_the_workbook_shows_the_sums(written, lang, program, tmp_path):
    folder, results = written
    path = folder / f"{lang}.xlsx"
    if program == "LibreOffice":
        home = f"-env:UserInstallation=file://{tmp_path}/home"
        command = ["soffice", home, "--headless", "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", tmp_path / "again", path]
        subprocess.run(command, check=True, capture_output=True, timeout=180)
        path = tmp_path / "again" / path.name
    book = openpyxl.load_workbook(path, data_only=True)
    assert book.sheetnames == SHEETS[lang]
    summary, differences, cases, fees, deposits = book
    for sheet in book:
        # LibreOffice does not write again where the header is frozen
        assert program == "LibreOffice" or sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref.startswith("A1:")
        for line in sheet.iter_rows(min_row=2):
            for cell in line:
                if isinstance(cell.value, datetime):
                    assert cell.number_format.replace("\\", "").lower() == "yyyy-mm-dd", (sheet.title, cell.coordinate)
                elif isinstance(cell.value, (int, float)):
                    assert "#,##0" in cell.number_format, (sheet.title, cell.coordinate)

    titles = [cell.value for cell in cases[1]]
    at = {name: titles.index(name) for name in titles}
    lines = list(cases.iter_rows(min_row=2, max_row=cases.max_row - 1, values_only=True))
    status, order, pg = (next(at[name] for name in names if name in at) for names in TITLES)
    assert by_status((line[status], won(line[order]), won(line[pg])) for line in lines) == sums(results[lang])["orders"]
    # texts stay texts
    shown = {str(line[1]) for line in lines}
    assert {"<script>alert(1)</script>", "000123", "=1+1"} <= shown
    assert all(isinstance(line[column], str) for line in lines for column in (1, 2) if line[column] is not None)
    total = cases[cases.max_row]
    for column, key in ((order, "order_amount"), (pg, "pg_amount")):
        assert won(total[column].value) == Decimal(results[lang]["orders"][key])

    parts = {}
    for part, *line in summary.iter_rows(min_row=2, values_only=True):
        if line[0] and isinstance(line[1], (int, float)):
            parts.setdefault(part, {})[line[0]] = (line[1], won(line[2]), won(line[3]), won(line[4]))
    expected = sums(results[lang])
    for found, (part, of) in zip(parts.values(), expected.items(), strict=True):
        assert {status: (line[0], line[3]) if part == "fees" else line[:3] for status, line in found.items()} == of
    assert differences.max_row - 2 == count_of_differences(results[lang])
    assert fees.max_row > 2 and deposits.max_row > 2


# the titles of the columns of cases: status, the books' amount, the PG's
TITLES = [("status", "상태"), ("books", "장부 금액"), ("PG", "PG 금액")]


@pytest.mark.parametrize("lang", SHEETS)
def test_csv_and_parquet_have_every_case(written, lang):
    folder, results = written
    expected = sums(results[lang])["orders"]
    assert (folder / f"{lang}.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (folder / f"{lang}.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == COLUMNS
    assert by_status((line["status"], Decimal(line["order_amount"]), Decimal(line["pg_amount"])) for line in lines) == expected
    assert all(Decimal(line["pg_amount"]) - Decimal(line["order_amount"]) == Decimal(line["difference"]) for line in lines)

    table = pq.read_table(folder / f"{lang}.parquet")
    assert table.column_names == COLUMNS
    assert {table.schema.field(name).type for name in ("order_amount", "pg_amount", "difference")} == {pa.decimal128(38, 2)}
    rows = table.to_pylist()
    assert by_status((row["status"], row["order_amount"], row["pg_amount"]) for row in rows) == expected
    # the two are the same cases
    shown = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert shown == lines

    query = f"SELECT status, count(*), sum(order_amount), sum(pg_amount) FROM read_parquet('{folder / lang}.parquet') GROUP BY status"
    assert {status: tuple(of) for status, *of in duckdb.sql(query).fetchall()} == expected
    # every line of the books is in one case, and in no other
    places = [place for line in lines for place in line["lines"].split(".csv:")[1:]]
    assert len(places) == results[lang]["orders"]["lines"]
