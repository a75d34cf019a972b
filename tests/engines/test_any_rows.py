"""Whatever rows are served, in whatever of the tolerated forms: other Parquet readers find them in the lake, value for value."""

import gzip
import json
import string
import tempfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import etl
from served import FIELDS, KINDS
from serving import Handler, serving

FIRST = date(2024, 1, 3)
COLUMNS = [*FIELDS.values(), "extra", "source_row"]
REQUIRED = ("TRXID", "PAYMENTSTATUS")
MINUS = "-\u2212\uff0d\ufe63\u2013"
# what Unicode calls white space; Python's own idea of it has four control characters more
WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

some = st.sampled_from
padding = st.text(WHITE, max_size=2)
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=20),
    some(["정산대사", "주문 1", "007", "null", '"', "\\", "\0", "\u2028", "e\u0301", "🍪", "𝔘", "-", "0000", "NaN"]),
).filter(lambda text: text.strip(WHITE))


@st.composite
def quoted(draw, text):
    """A string as JSON writes it, in one way or another."""
    return json.dumps(text, ensure_ascii=draw(st.booleans()))


@st.composite
def absent(draw, dash):
    """How a value is not there."""
    form = draw(some(["null", '""', "blank", "dash"] if dash else ["null", '""', "blank"]))
    if form == "blank":
        return draw(quoted(draw(padding) + " "))
    return draw(quoted(draw(padding) + draw(some(MINUS)) + draw(padding))) if form == "dash" else form


@st.composite
def amount(draw, whole_digits, decimals, percent):
    """A decimal, and how an answer may write it."""
    if draw(st.integers(0, 5)) == 0:
        return None, draw(absent(dash=True))
    whole = str(draw(st.one_of(st.integers(0, 10**whole_digits - 1), st.integers(0, 99_999))))
    part = draw(st.text(string.digits, max_size=decimals))
    negative = draw(st.booleans())
    meant = Decimal(("-" if negative else "") + whole + (f".{part}" if part else ""))
    if draw(st.booleans()):
        return meant, ("-" if negative else "") + whole + (f".{part}" if part else "")
    if draw(st.booleans()):
        whole = f"{int(whole):,}"
    elif draw(st.booleans()):
        whole = whole.zfill(draw(st.integers(1, whole_digits)))
    sign = draw(some(MINUS)) + draw(padding) if negative else ""
    suffix = draw(some(["", "%", " %"])) if percent else ""
    text = draw(padding) + sign + whole + (f".{part}" if part else "") + suffix + draw(padding)
    return meant, draw(quoted(text))


@st.composite
def day(draw, meant):
    """A date, as an answer may write it."""
    if meant is None:
        return None, draw(absent(dash=False))
    digits = meant.isoformat().replace("-", "")
    text = draw(some([digits, meant.isoformat(), f"{digits}{draw(st.times()):%H%M%S}"]))
    return meant, draw(quoted(draw(padding) + text + draw(padding)))


extras = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda key: key not in FIELDS and not key.startswith("RESULT")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=2,
)


@st.composite
def row(draw, pay_date):
    """What a row means, by column, and its members as an answer writes them."""
    means, members = {}, []
    for field, column in FIELDS.items():
        kind = KINDS[column]
        if kind.startswith("decimal"):
            meant, wire = draw(amount(5, 4, percent=True) if column == "fee_rate" else amount(16, 2, percent=False))
        elif field == "PAYOFFDT":
            meant, wire = draw(day(draw(some([pay_date, None]))))
        elif field == "AUTHDT":
            meant, wire = draw(day(draw(st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)))))
        elif field not in REQUIRED and draw(st.integers(0, 3)) == 0:
            meant, wire = None, draw(absent(dash=False))
            if draw(st.booleans()):
                wire = None
        elif draw(st.integers(0, 3)) == 0:
            wire = str(draw(st.integers()))
            meant = wire
        else:
            meant = draw(texts)
            wire = draw(quoted(meant))
        means[column] = meant
        if wire is not None:
            members.append((field, wire))
    means["extra"] = draw(extras)
    members.extend((key, json.dumps(value)) for key, value in means["extra"].items())
    return means, draw(st.permutations(members))


@st.composite
def written(draw, members):
    """An object of such members."""
    gap = draw(some(["", " ", "\n\t"]))
    return "{" + ",".join([f"{gap}{draw(quoted(key))}{gap}:{wire}" for key, wire in members]) + gap + "}"


@st.composite
def envelope(draw, rows):
    """An answer with these rows in one of the shapes that are tolerated: its headers and its body."""
    code, message = ("RESULTCODE", '"0000"'), ("RESULTMSG", draw(quoted(draw(texts))))

    def answer(rows):
        inside = draw(some([None, "null", '""', "{}", "[]"])) if not rows else "[" + ",".join(draw(written(row)) for row in rows) + "]"
        members = [code, message] if inside is None else [code, message, ("DATA", inside)]
        return draw(written(draw(st.permutations(members))))

    shape = draw(some(["object", "list of answers", "list of rows"] if rows else ["object", "list of answers"]))
    if shape == "object":
        text = answer(rows)
    elif shape == "list of answers":
        cut = draw(st.integers(0, len(rows)))
        text = "[" + ",".join([answer(rows[:cut]), answer(rows[cut:])]) + "]"
    else:
        text = "[" + ",".join(draw(written(draw(st.permutations([code, *row])))) for row in rows) + "]"
    text = draw(st.text(" \t\r\n", max_size=2)) + text + draw(st.text(" \t\r\n", max_size=2))
    charset = draw(some([None, "utf-8", "EUC-KR"]))
    try:
        body = text.encode("cp949" if charset == "EUC-KR" else "utf-8")
    except UnicodeEncodeError:
        charset, body = None, text.encode()
    if charset != "EUC-KR" and draw(st.booleans()):
        body = b"\xef\xbb\xbf" + body
    headers = {"Content-Type": "application/json" + (f"; charset={charset}" if charset else "")}
    if draw(st.booleans()):
        headers["Content-Encoding"], body = "gzip", gzip.compress(body)
    return headers, body


@st.composite
def days(draw):
    """Some days: what each row means, and the answer that says so."""
    found = {}
    for n in range(draw(st.integers(1, 3))):
        pay_date = FIRST + timedelta(days=n)
        rows = draw(st.lists(row(pay_date), max_size=6))
        found[pay_date] = [means for means, _ in rows], draw(envelope([members for _, members in rows]))
    return found


class Api(Handler):
    """Answers with `days`, whatever they are at the time."""

    days = {}

    def do_POST(self):
        asked = json.loads(self.body())
        if self.path == "/payAuth/token":
            return self.answer(200, b'{"RTN_CD":"0000","TOKEN":"a-token"}')
        headers, body = self.days[datetime.strptime(asked["DATE"], "%Y%m%d").date()][1]
        self.send_response(200)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def api():
    with serving(Api) as server:
        yield server


def readable(values):
    """A row that was read, with its unknown fields as values."""
    row = dict(zip(COLUMNS, values))
    row["extra"] = {} if row["extra"] is None else json.loads(row["extra"])
    return row


# the same cases each time; `--hypothesis-seed` and more examples go on
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(days=days())
def test_what_is_served_is_what_other_readers_find(api, days):
    Api.days = days
    # a folder for each example, which a fixture would not be
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        account = ("--base-url", api.url, "--api-id", "m1", "--dest", lake, "--rate-limit", 0, "--retries", 0)
        run = etl.run("backfill", *account, "--from", min(days), "--to", max(days), env={"COOKIEPAY_API_KEY": "a key"})
        assert run.code == 0, run
        for pay_date, (means, _) in days.items():
            expected = [{**row, "source_row": n} for n, row in enumerate(means, 1)]
            at = lake / etl.settlement(pay_date, "m1")
            table = pq.read_table(at, columns=COLUMNS, partitioning=None)
            assert [readable(values) for values in zip(*(table[column].to_pylist() for column in COLUMNS))] == expected
            # the pay date comes from the path
            query = f"SELECT {', '.join(COLUMNS)} FROM read_parquet($1, hive_partitioning = true) WHERE pay_date = $2 ORDER BY source_row"
            found = duckdb.execute(query, [str(lake / "settlements/*/*.parquet"), pay_date]).fetchall()
            assert [readable(values) for values in found] == expected
            sums = etl.decimals(etl.Day(at.read_bytes()).record["sums"])
            assert sums == {name: etl.total(row[name] for row in expected) for name in etl.SUMMED}
