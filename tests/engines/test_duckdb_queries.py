"""The queries of examples/duckdb, as they stand, on disk and on S3, against the same figures reckoned in Python from what pyarrow reads."""

import io
from collections import Counter, defaultdict
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

import asking
import books
import etl
from etl import SEOUL

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "duckdb"
QUERIES = {path.stem: path.read_text() for path in FOLDER.glob("*.sql") if path.name != "s3.sql"}
ACQUIRERS = dict(
    CCLG="Shinhan", CCBC="BC", CCKM="Kookmin", CCSS="Samsung", CCDI="Hyundai", CCLO="Lotte", CCKE="KEB Hana", CCHN="Hana", CCNH="NH"
)


def rows_of(lake):
    """Every row, with the pay date from its file's path."""
    rows = []
    for name, content in etl.files(lake / "settlements").items():
        pay_date = date.fromisoformat(name.split("/")[0].removeprefix("pay_date="))
        rows += [row | {"pay_date": pay_date} for row in pq.read_table(io.BytesIO(content)).to_pylist()]
    return rows


def ordered(*values):
    """A key to sort by, NULLs last."""
    return [(value is None, value) for value in values]


def grouped(rows, key):
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return sorted(groups.items(), key=lambda group: ordered(*group[0]))


def month(row):
    return row["pay_date"].replace(day=1)


def total(rows, column, status=None):
    return etl.total(row[column] for row in rows if status in (None, row["payment_status"]))


def cancelled(rows, status):
    return sum((abs(row["auth_amount"]) for row in rows if row["payment_status"] == status and row["auth_amount"] is not None), Decimal(0))


def is_pending(row):
    return row["payoff_status"] is None or row["payoff_status"].strip() != "03"


def unpaid(rows):
    return [row for row in rows if is_pending(row)]


def without(rows, column):
    return sum(row[column] is None for row in rows)


def payout(rows):
    return {
        "row_count": len(rows),
        "approved": total(rows, "auth_amount", "11"),
        "voided": cancelled(rows, "21"),
        "cancelled": cancelled(rows, "22"),
        "fee": total(rows, "fee"),
        "vat": total(rows, "vat"),
        "payout": total(rows, "payment_amount"),
        "pending": total(unpaid(rows), "payment_amount"),
        "unstated": without(rows, "payment_amount"),
    }


def payout_by_day(rows):
    days = grouped(rows, lambda row: (row["pay_date"], row["merchant_id"]))
    return [{"pay_date": day, "merchant_id": merchant} | payout(found) for (day, merchant), found in days]


def payout_by_month(rows):
    months = grouped(rows, lambda row: (month(row), row["merchant_id"]))
    return [
        {"month": first, "merchant_id": merchant, "payout_days": len({row["pay_date"] for row in found})} | payout(found)
        for (first, merchant), found in months
    ]


def fees_by_method(rows):
    lines = []
    for (first, method, acquirer), found in grouped(rows, lambda row: (month(row), row["pay_type"], row["acquirer_code"])):
        line = {"month": first, "pay_type": method, "acquirer_code": acquirer, "acquirer": ACQUIRERS.get(acquirer), "row_count": len(found)}
        line["approved"], line["fee_charged"] = (total(found, column, "11") for column in ("auth_amount", "fee"))
        line["fee_returned"] = total(found, "fee", "21") + total(found, "fee", "22")
        line["vat"] = total(found, "vat")
        line["cost"] = total(found, "fee") + line["vat"]
        lines.append(line)
    # a stable sort keeps methods and acquirers in order
    return sorted(lines, key=lambda line: (line["month"], -line["cost"]))


def cents(amount):
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def effective_fee_rate(rows):
    lines = []
    approved = [row for row in rows if row["payment_status"] == "11"]
    for key, found in grouped(approved, lambda row: (row["merchant_id"], row["pay_type"], row["acquirer_code"], row["fee_rate"])):
        line = dict(zip(("merchant_id", "pay_type", "acquirer_code", "stated_rate"), key))
        line["first_seen"], line["last_seen"] = (pick(row["pay_date"] for row in found) for pick in (min, max))
        stated = [row for row in found if None not in (row["auth_amount"], row["fee"], row["fee_rate"])]
        at_rate = [row["auth_amount"] * row["fee_rate"] / 100 for row in stated]
        amount, fee = total(stated, "auth_amount"), total(stated, "fee")
        line["row_count"] = len(stated)
        line["amount"], line["fee"] = (amount, fee) if stated else (None, None)
        line["effective_rate"] = 100 * Fraction(fee) / Fraction(amount) if amount else None
        line["fee_at_rate"], line["difference"] = (cents(sum(at_rate)), cents(fee - sum(at_rate))) if stated else (None, None)
        line["rows_off"] = sum(abs(row["fee"] - exact) >= 1 for row, exact in zip(stated, at_rate))
        line["unstated"] = len(found) - len(stated)
        lines.append(line)
    return sorted(lines, key=lambda line: (line["difference"] is None, -abs(line["difference"] or 0)))


def cancellations(rows):
    originals, taken = defaultdict(list), Counter()
    for row in rows:
        key = (row["merchant_id"], row["transaction_id"])
        if row["payment_status"] == "11":
            originals[key].append(row)
        elif row["auth_amount"] is not None:
            taken[key] += abs(row["auth_amount"])
    lines = []
    later = (row for row in rows if row["payment_status"] in ("21", "22"))
    for row in sorted(later, key=lambda row: (row["pay_date"], row["merchant_id"], row["source_row"])):
        key = (row["merchant_id"], row["transaction_id"])
        line = {name: row[name] for name in ("pay_date", "merchant_id", "transaction_id", "order_no")}
        line["kind"] = {"21": "same day", "22": "later"}[row["payment_status"]]
        line["cancelled_on"] = row["auth_date"]
        line["amount"] = abs(row["auth_amount"])
        line["taken_from_payout"] = row["payment_amount"]
        line |= dict.fromkeys(("original_pay_date", "original_amount", "days_after", "left_of_original"))
        if found := originals.get(key):
            line["original_pay_date"] = min(original["pay_date"] for original in found)
            line["original_amount"] = total(found, "auth_amount")
            line["days_after"] = (row["auth_date"] - min(original["auth_date"] for original in found)).days
            line["left_of_original"] = line["original_amount"] - taken[key]
        lines.append(line)
    return lines


def pending_payouts(rows):
    lines, running = [], Counter()
    for (day, merchant), found in grouped(unpaid(rows), lambda row: (row["pay_date"], row["merchant_id"])):
        line = {"pay_date": day, "merchant_id": merchant, "row_count": len(found), "payout": total(found, "payment_amount")}
        running[merchant] += line["payout"]
        line["running"] = running[merchant]
        line["unstated"] = without(found, "payment_amount")
        line["overdue"] = day < datetime.now(SEOUL).date()
        line["as_of"] = max(row["extracted_at"] for row in found).astimezone(SEOUL).replace(tzinfo=None)
        lines.append(line)
    return lines


def days_that_do_not_add_up(rows):
    lines = []
    for (day, merchant), found in grouped(rows, lambda row: (row["pay_date"], row["merchant_id"])):
        off, sums, unstated = [], Decimal(0), 0
        for row in found:
            if None in (row["auth_amount"], row["fee"], row["vat"], row["payment_amount"]):
                unstated += row["payment_status"] == "11"
            elif difference := row["auth_amount"] - row["fee"] - row["vat"] - row["payment_amount"]:
                off.append((-abs(difference), row["source_row"], row["transaction_id"]))
                sums += difference
        if off or unstated:
            line = {"pay_date": day, "merchant_id": merchant, "row_count": len(found), "rows_off": len(off), "difference": sums}
            line["worst"] = [transaction for *_, transaction in sorted(off)[:5]] or None
            lines.append(line | {"unstated": unstated})
    return lines


RECKONED = [
    payout_by_day,
    payout_by_month,
    fees_by_method,
    effective_fee_rate,
    cancellations,
    pending_payouts,
    days_that_do_not_add_up,
]


def compare(reckon, table, rows):
    """Column by column and line by line, in order; the one quotient to the digit that is shown."""
    columns, kinds, lines = table
    assert not {"DOUBLE", "FLOAT"} & set(kinds), "no figure is a float"
    found, expected = [dict(zip(columns, line)) for line in lines], reckon(rows)
    if expected:
        assert columns == list(expected[0])
    for line, other in zip(found, expected):
        if line.get("effective_rate") is not None and other["effective_rate"] is not None:
            exact = other["effective_rate"]
            # half of the last digit, and a double's own error
            assert abs(Fraction(line["effective_rate"]) - exact) <= Fraction(1, 20_000) + abs(exact) / 10**15
            line["effective_rate"] = exact
    assert found == expected
    return found


def view(lake):
    return asking.schema(lake, "--format", "duckdb")


def ask(lake, question):
    """A question's answer by the DuckDB of these checks."""
    with duckdb.connect() as db:
        db.execute(view(lake))
        table = db.sql(QUERIES[question])
        return table.columns, [str(kind) for kind in table.types], table.fetchall()


def test_every_query_is_reckoned():
    assert set(QUERIES) == {reckon.__name__ for reckon in RECKONED}


@pytest.mark.parametrize("reckon", RECKONED, ids=lambda reckon: reckon.__name__)
def test_on_disk(shops, quarter, reckon):
    assert compare(reckon, ask(shops, reckon.__name__), rows_of(shops))
    lake, _ = quarter
    found = compare(reckon, ask(lake, reckon.__name__), rows_of(lake))
    # a quarter that was fetched when all of it was paid, from a simulator that reckons right
    assert bool(found) == (reckon not in (pending_payouts, days_that_do_not_add_up))


def test_on_s3(shops, bucket):
    for name, content in etl.files(shops).items():
        bucket.client.put_object(Bucket=bucket.name, Key=f"team/lake/{name}", Body=content)
    tables = asking.ask([asking.connect_s3(bucket), view(bucket.url("team/lake"))], QUERIES, env=bucket.env)
    rows = rows_of(shops)
    for reckon in RECKONED:
        assert compare(reckon, tables[reckon.__name__], rows)


def answer(shops, question, **line):
    """The lines of an answer that have these values."""
    columns, _, lines = ask(shops, question)
    lines = [dict(zip(columns, found)) for found in lines]
    return [found for found in lines if line.items() <= found.items()]


def test_a_cancellation_is_counted_once_however_its_original_was_paid(shops):
    in_parts = answer(shops, "cancellations", transaction_id="CTS00000000000000901")
    # two rows of 10,000, and two equal cancellations of a half
    assert [(line["amount"], line["original_amount"], line["left_of_original"]) for line in in_parts] == [(5000, 20_000, 10_000)] * 2
    over = answer(shops, "cancellations", transaction_id="CTS00000000000000902")
    assert [(line["amount"], line["left_of_original"]) for line in over] == [(20_000, -5000), (5000, -5000)]
    [unknown] = answer(shops, "cancellations", transaction_id="CTS00000000000000903")
    assert (unknown["amount"], unknown["taken_from_payout"], unknown["original_pay_date"]) == (7700, None, None)
    every = answer(shops, "cancellations")
    assert len(every) == sum(row["payment_status"] in ("21", "22") for row in rows_of(shops))
    assert {line["kind"] for line in every} == {"same day", "later"}


def test_rows_off_against_each_other_are_found(shops):
    [day] = answer(shops, "days_that_do_not_add_up", pay_date=date(2024, 2, 24))
    assert (day["rows_off"], day["difference"], day["unstated"]) == (6, 0, 0)
    assert day["worst"] == [f"CTS{number:017d}" for number in (924, 925, 922, 923, 920)]


def test_rows_that_are_off_are_as_many_as_the_day_records_count(shops):
    stated = {}
    for content in etl.files(shops / "settlements").values():
        record = etl.Day(content).record
        if record["unbalanced_rows"]:
            stated[date.fromisoformat(record["pay_date"]), record["merchant_id"]] = record["unbalanced_rows"]
    lines = answer(shops, "days_that_do_not_add_up")
    assert {(line["pay_date"], line["merchant_id"]): line["rows_off"] for line in lines if line["rows_off"]} == stated
    assert len(stated) > 5


def test_what_is_pending_ahead_is_not_overdue(shops):
    ahead = answer(shops, "pending_payouts", pay_date=books.AHEAD)
    assert [(line["merchant_id"], line["row_count"], line["overdue"]) for line in ahead] == [("shop-1", 3, False), ("가게 2", 3, False)]
    late = answer(shops, "pending_payouts", overdue=True)
    assert late and any(line["unstated"] for line in late)


def test_a_rate_that_is_not_kept_shows(shops):
    lines = answer(shops, "effective_fee_rate")
    assert any(line["rows_off"] and line["difference"] > 0 for line in lines)
    assert any(line["row_count"] == 0 and line["stated_rate"] is None for line in lines), "rows that state no rate are a line of their own"
    [largest] = answer(shops, "effective_fee_rate", pay_type="WALLET")
    assert (largest["amount"], largest["fee"], largest["effective_rate"]) == (Decimal(books.LARGEST), -largest["amount"], -100)
