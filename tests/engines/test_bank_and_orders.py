"""The queries of examples/duckdb/books, for users who have deposits and orders beside the lake."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest

from asking import EXAMPLES, schema

FOLDER = EXAMPLES / "duckdb" / "books"


@pytest.fixture
def db(quarter):
    lake, _ = quarter
    with duckdb.connect() as db:
        db.execute(schema(lake, "--format", "duckdb"))
        yield db


def ask(db, name):
    found = db.execute((FOLDER / f"{name}.sql").read_text())
    return [dict(zip([column[0] for column in found.description], line)) for line in found.fetchall()]


def test_deposits_are_matched_and_what_is_not_is_listed(db):
    payouts = db.sql("SELECT pay_date, sum(payment_amount) FROM settlements GROUP BY ALL HAVING sum(payment_amount) > 0 ORDER BY ALL").fetchall()
    deposits = [[day, amount] for day, amount in payouts]
    # arrives three days later; never; with another amount; in two parts; and one that nobody expected; withdrawals count for nothing
    deposits[3][0] += timedelta(days=3)
    missing = deposits.pop(10)
    deposits[12][1] -= 500
    split = deposits.pop(20)
    deposits += [[split[0], split[1] - 1], [split[0], Decimal(1)], [date(2023, 12, 25), Decimal(77)], [date(2024, 1, 3), Decimal(-9000)]]
    db.execute("CREATE TABLE deposits (deposited_on DATE, amount DECIMAL(18, 2))")
    db.executemany("INSERT INTO deposits VALUES (?, ?)", deposits)
    lines = ask(db, "deposits")
    assert Counter(line["status"] for line in lines) == {
        "matched": len(payouts) - 2,
        "missing_deposit": 1,
        "difference": 1,
        "unexpected_deposit": 1,
    }
    by_status = {line["status"]: line for line in lines}
    assert (by_status["missing_deposit"]["day"], by_status["missing_deposit"]["difference"]) == (missing[0], -missing[1])
    assert by_status["difference"]["difference"] == -500
    assert by_status["unexpected_deposit"]["deposited"] == 77
    assert [line["days_late"] for line in lines if line["days_late"]] == [3]
    assert sum(line["payout"] or 0 for line in lines) == sum(amount for _, amount in payouts)


def test_orders_are_settled_with_their_amounts(db):
    sold, voided = defaultdict(Decimal), set()
    rows = db.sql("SELECT transaction_id, order_no, payment_status, auth_amount FROM settlements").fetchall()
    approved = {transaction for transaction, _, status, _ in rows if status == "11"}
    for transaction, order, status, amount in rows:
        if status == "21" and transaction not in approved:
            voided.add(order)
            sold[order] += 0
        elif amount is not None:
            sold[order] += amount if status == "11" else -abs(amount)
    assert voided, "the quarter has payments that were voided on their own day"
    orders = dict(sold)
    names = sorted(order for order in orders if orders[order] > 0)
    absent, off = names[0], names[1]
    del orders[absent]
    orders[off] += 10
    orders["never-paid"] = Decimal(500)
    db.execute("CREATE TABLE orders (order_no VARCHAR, ordered_on DATE, amount DECIMAL(18, 2))")
    db.executemany("INSERT INTO orders VALUES (?, '2024-01-01', ?)", list(orders.items()))
    lines = {line["order_no"]: line for line in ask(db, "orders")}
    differing = {order: line["status"] for order, line in lines.items() if line["status"] != "matched"}
    assert differing == {absent: "missing_in_orders", off: "amount_differs", "never-paid": "missing_at_pg"}
    assert lines[off]["difference"] == -10 and lines[absent]["settled"] == sold[absent]
    assert len(lines) == len(sold) + 1
