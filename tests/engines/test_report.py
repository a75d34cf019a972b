"""The report as Chromium, openpyxl and LibreOffice open it: what DuckDB computes from the day files is what people read."""

import json
import subprocess
from datetime import date, datetime
from decimal import Decimal

import duckdb
import openpyxl
import pytest

import books
import etl
from looking import look, number, seen_by_everybody

SECTIONS = {"summary", "calendar", "months", "upcoming", "restatements", "fees", "attention"}
LAST = books.LAST
# names that a page must show as they are
NAMES = {"shop-1": "<script>alert('정산')</script>", "가게 2": "이름 " + 115 * "긴" + "끝"}


@pytest.fixture(scope="module")
def made(shops, tmp_path_factory):
    """The page and the workbook of two merchants, in English and in Korean, and the lake as DuckDB sees it."""
    folder = tmp_path_factory.mktemp("report")
    settings = folder / "etl.toml"
    tables = (f"[[merchant]]\nname = {json.dumps(name, ensure_ascii=False)}\napi_id = {json.dumps(id, ensure_ascii=False)}\n" for id, name in NAMES.items())
    settings.write_text("".join(tables))
    for lang in ("en", "ko"):
        outs = [flag for kind in ("html", "xlsx") for flag in ("--out", folder / f"{lang}.{kind}")]
        run = etl.run("report", "--config", settings, "--dest", shops, "--from", books.FIRST, "--to", LAST, "--lang", lang, *outs)
        assert run.code == 0, run
    files = str(shops / "settlements/*/*.parquet").replace("'", "''")
    db = duckdb.connect()
    db.sql(
        f"CREATE TABLE rows AS SELECT *, trim(payoff_status) IS DISTINCT FROM '03' AS pending"
        f" FROM read_parquet('{files}', hive_partitioning = true) WHERE pay_date BETWEEN '{books.FIRST}' AND '{LAST}'"
    )
    return folder, db


def column(table, title):
    """The values below a title: of the lines, of the total, and of each merchant."""
    at = table[0].index(title)
    ends = next(n for n, line in enumerate(table) if line[0] in ("Total", "합계"))
    return [line[at] for line in table[1:ends]], table[ends][at], [line[at] for line in table[ends + 2 :]]


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_page_requests_nothing_and_anyone_can_read_it(made, lang, tmp_path):
    folder, _ = made
    for seen in seen_by_everybody(folder / f"{lang}.html", lang, tmp_path / "page.pdf"):
        assert set(seen["sections"]) == SECTIONS
        for name in NAMES.values():
            assert name in seen["text"]


def test_the_calendar_is_what_the_day_files_are(made, shops):
    folder, db = made
    seen = look((folder / "en.html").as_uri())
    expected = []
    for day in books.DAYS:
        [(rows, pending)] = db.execute("SELECT count(*), count(*) FILTER (WHERE pending) FROM rows WHERE pay_date = ?", [day]).fetchall()
        state = "open" if pending else "closed" if rows else "closed_empty"
        expected.append([str(day), state, False])
    assert seen["days"] == expected


def test_sums_are_those_of_the_rows(made):
    folder, db = made
    tables = look((folder / "en.html").as_uri())["tables"]
    sums = (
        "count(*), coalesce(sum(auth_amount) FILTER (WHERE payment_status = '11'), 0), coalesce(sum(fee), 0), coalesce(sum(vat), 0),"
        " coalesce(sum(payment_amount), 0)"
    )
    by_month = db.sql(f"SELECT date_trunc('month', pay_date) AS month, {sums} FROM rows GROUP BY month ORDER BY month DESC").fetchall()
    [total] = db.sql(f"SELECT {sums} FROM rows").fetchall()
    by_merchant = dict((id, rest) for id, *rest in db.sql(f"SELECT merchant_id, {sums} FROM rows GROUP BY merchant_id").fetchall())
    [months] = tables["months"]
    for at, title in enumerate(("Rows", "Approved", "Fee", "VAT", "Payout")):
        lines, whole, merchants = column(months, title)
        assert list(map(number, lines)) == [month[at + 1] for month in by_month], title
        assert number(whole) == total[at], title
        assert sorted(map(number, merchants)) == sorted(of[at] for of in by_merchant.values()), title

    pending = db.sql("SELECT count(*), coalesce(sum(payment_amount), 0) FROM rows WHERE pending GROUP BY pay_date ORDER BY pay_date").fetchall()
    [upcoming] = tables["upcoming"]
    assert [(number(rows), number(won)) for rows, won in zip(column(upcoming, "Pending rows")[0], column(upcoming, "Pending")[0])] == pending

    for table, code in zip(tables["fees"], ("pay_type", "acquirer_code")):
        fees = db.sql(
            f"SELECT count(*), coalesce(sum(auth_amount), 0), coalesce(sum(fee), 0), coalesce(sum(vat), 0) FROM rows"
            f" WHERE payment_status = '11' GROUP BY {code}"
        ).fetchall()
        columns = [column(table, title)[0] for title in ("Rows", "Approved", "Fee", "VAT")]
        assert sorted(tuple(map(number, line)) for line in zip(*columns)) == sorted(fees)


@pytest.mark.parametrize(
    "lang, sheets, payout",
    [
        ("en", ["Summary", "Days", "Months", "Fees", "Upcoming", "Restatements"], "Payout"),
        ("ko", ["요약", "지급일별", "월별", "수수료", "지급예정", "정정이력"], "지급금액"),
    ],
)
def test_the_workbook_is_an_accountants(made, tmp_path, lang, sheets, payout):
    folder, db = made
    path = folder / f"{lang}.xlsx"
    [(won,)] = db.sql("SELECT sum(payment_amount) FROM rows").fetchall()
    formulas, values = openpyxl.load_workbook(path), openpyxl.load_workbook(path, data_only=True)
    assert formulas.sheetnames == sheets
    for sheet in formulas:
        assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref.startswith("A1:")
        titles = [cell.value for cell in sheet[1]]
        # neighbours of one width are one element
        widths = {at: of.width for of in sheet.column_dimensions.values() for at in range(of.min, of.max + 1)}
        assert all(widths[at] > len(title) for at, title in enumerate(titles, 1))
        last = sheet[sheet.max_row]
        assert any(str(cell.value).startswith("=SUBTOTAL(109,") for cell in last), sheet.title
        assert all(cell.number_format.count("#,##0") for cell in last if str(cell.value).startswith("=SUBTOTAL"))
    days = values[sheets[1]]
    at = [cell.value for cell in days[1]].index(payout)
    assert days.max_row == 1 + len(books.DAYS) * len(books.MERCHANTS) + 1
    assert isinstance(days["A2"].value, datetime) and days["A2"].value.date() == books.FIRST and days["A2"].number_format == "yyyy-mm-dd"
    assert Decimal(days[days.max_row][at].value).quantize(Decimal("0.01")) == pytest.approx(won, abs=Decimal(1))

    # computed again by another program
    home = f"-env:UserInstallation=file://{tmp_path}/home"
    command = ["soffice", home, "--headless", "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", tmp_path / "again", path]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    again = openpyxl.load_workbook(tmp_path / "again" / path.name, data_only=True)
    for sheet in values:
        other = again[sheet.title]
        for mine, theirs in zip(sheet[sheet.max_row], other[sheet.max_row]):
            if isinstance(mine.value, (int, float)):
                assert theirs.value == pytest.approx(mine.value, rel=1e-12), (sheet.title, mine.coordinate)


def test_a_lake_of_open_and_missing_days(tmp_path):
    lake, page = tmp_path / "lake", tmp_path / "page.html"
    assert etl.backfill(lake, "--sim-today", "2023-12-28", first=date(2024, 1, 1), last=date(2024, 1, 31)).code == 0
    days = json.loads(etl.run("status", "--dest", lake, "--output", "json").stdout)["days"]
    for day in days:
        if day["state"] != "open":
            (lake / etl.settlement(day["pay_date"])).unlink()
    expected = [[day["pay_date"], "open" if day["state"] == "open" else "missing", False] for day in days]
    assert {state for _, state, _ in expected} == {"open", "missing"}
    run = etl.run("report", "--dest", lake, "--from", "2024-01-01", "--to", "2024-01-31", "--out", page, "--lang", "en")
    assert run.code == 0, run
    assert look(page.as_uri())["days"] == expected
