"""As-of, differences and transactions, by the queries of examples/duckdb/versions as they stand: against what the API answered when."""

import json
from datetime import date, datetime, timedelta

import duckdb
import pytest

import etl
from asking import EXAMPLES, schema
from books import DASHES, sale
from serving import Handler, serving

QUERIES = EXAMPLES / "duckdb" / "versions"
FULL, EMPTIED, QUIET = date(2024, 1, 5), date(2024, 1, 8), date(2024, 1, 9)


def rows(day, *numbers, **given):
    return [sale(day, number, 1000 * number, **given) for number in numbers]


# what the API answers, one after the other
TWICE = sale(FULL, 7, 7_000)
ANSWERS = [
    {FULL: [*rows(FULL, 1, 2, 3), TWICE, TWICE], EMPTIED: rows(EMPTIED, 4, 5), QUIET: rows(QUIET, 6)},
    {FULL: [*rows(FULL, 1, 2), TWICE], EMPTIED: [], QUIET: rows(QUIET, 6)},
    {FULL: [*rows(FULL, 1), *rows(FULL, 2, PAYMENTAMT="5"), TWICE, *rows(FULL, 8, **DASHES)], EMPTIED: [], QUIET: rows(QUIET, 6)},
    {FULL: [*rows(FULL, 1), *rows(FULL, 2, PAYMENTAMT="5"), TWICE, *rows(FULL, 8, **DASHES)], EMPTIED: rows(EMPTIED, 5), QUIET: rows(QUIET, 6)},
]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A lake of several versions, the moments after each run, and the runs."""
    lake = tmp_path_factory.mktemp("versions") / "a lake's 정산"
    current, moments, runs = {}, [], []

    class Answering(Handler):
        def do_POST(self):
            asked = json.loads(self.body())
            if self.path == "/payAuth/token":
                answer = {"RTN_CD": "0000", "TOKEN": "a token"}
            elif found := current[date.fromisoformat(asked["DATE"])]:
                answer = {"RESULTCODE": "0000", "RESULTMSG": "정상", "DATA": found}
            else:
                answer = {"RESULTCODE": "E008", "RESULTMSG": "검색 결과가 없습니다"}
            self.answer(200, json.dumps(answer).encode())

    with serving(Answering) as api:
        for answers in ANSWERS:
            current.update(answers)
            for day in answers:
                run = etl.run(
                    "backfill", "--base-url", api.url, "--api-id", "가게 1", "--from", day, "--to", day, "--dest", lake, "--refetch", "all",
                    "--allow-empty-replacement", "--rate-limit", 0, env={"COOKIEPAY_API_KEY": "a key"},
                )  # fmt: skip
                assert run.code == 0, run
                runs.append(run)
            moments.append(datetime.now(etl.SEOUL))
    return lake, moments, runs


@pytest.fixture
def db(told):
    lake, *_ = told
    with duckdb.connect() as db:
        for table in ("ledger", "versions", "settlements"):
            db.execute(schema(lake, "--format", "duckdb", "--table", table))
        yield db


def ask(db, name, **values):
    """A query with values of its own: what a user edits at its top."""
    text = (QUERIES / f"{name}.sql").read_text()
    for variable, value in values.items():
        [line] = [line for line in text.splitlines() if line.startswith(f"SET VARIABLE {variable} = ")]
        text = text.replace(line, f"SET VARIABLE {variable} = {value};")
    return db.execute(text).to_arrow_table().to_pylist()


def test_the_lake_as_of_each_moment_is_what_the_api_answered_then(told, db):
    _, moments, _ = told
    for moment, answers in zip(moments, ANSWERS):
        when = f"TIMESTAMPTZ '{moment.isoformat()}'"
        days = ask(db, "as_of_days", as_of=when)
        assert {(line["pay_date"], line["row_count"]) for line in days} == {(day, len(found)) for day, found in answers.items()}
        found = ask(db, "as_of_rows", as_of=when)
        expected = [(day, row["TRXID"]) for day, answered in sorted(answers.items()) for row in answered]
        assert [(row["pay_date"], row["transaction_id"]) for row in found] == expected
        assert sum(line["payout"] for line in days) == etl.total(row["payment_amount"] for row in found)
    newest = db.execute("SELECT * FROM settlements ORDER BY pay_date, merchant_id, source_row").to_arrow_table()
    assert list(found[0]) == newest.column_names and found == newest.to_pylist()
    before = moments[0] - timedelta(days=1)
    assert ask(db, "as_of_days", as_of=f"TIMESTAMPTZ '{before.isoformat()}'") == []


def test_the_differences_are_those_of_the_results(told, db):
    _, _, runs = told
    for day in (FULL, EMPTIED, QUIET):
        lines = ask(db, "difference", merchant="'가게 1'", day=f"DATE '{day}'")
        of_day = [run.result for run in runs if run.result["from"] == str(day)]
        restated = [found for result in of_day for found in result["restated"]]
        seen = sorted({line["seen_at"] for line in lines})
        assert len(seen) == len(restated), day
        for moment, expected in zip(seen, restated):
            found = [line for line in lines if line["seen_at"] == moment]
            counts = {change: sum(line["change"] == change for line in found) for change in ("added", "removed", "changed")}
            assert counts == {change: expected[change] for change in counts}, day
            assert str(etl.total(line["difference"] for line in found)) == expected["delta"]["payment_amount"]
    assert lines == []


def test_all_versions_of_a_transaction(db):
    number = "CTS{:017d}".format
    kept = ask(db, "transaction", transaction=f"'{number(2)}'")
    assert [line["replaced_at"] is None for line in kept] == [False, False, True]
    assert [line["payment_amount"] for line in kept][-1] == 5
    gone = ask(db, "transaction", transaction=f"'{number(3)}'")
    assert len(gone) == 1 and gone[0]["replaced_at"] is not None
    # two equal rows of one version are two
    assert len(ask(db, "transaction", transaction=f"'{number(7)}'")) == 4
    back = ask(db, "transaction", transaction=f"'{number(5)}'")
    assert [line["pay_date"] for line in back] == [EMPTIED] * 2 and back[0]["replaced_at"] <= back[1]["seen_at"]
