"""Two merchants' books with all that finance asks about, made up by hand and by a seed, and an API that answers with them.

The simulator's rows always add up and carry the stated rate, so a query that looks for what does not would find nothing there.
"""

import json
import random
from datetime import date, timedelta

from serving import Handler, serving

# the second needs escaping in file names; both number their transactions alike
MERCHANTS = ("shop-1", "가게 2")
FIRST, LAST = date(2024, 1, 29), date(2024, 3, 5)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
# far enough to lie ahead whenever the checks run
AHEAD = date(2099, 1, 5)

METHODS = [("CARD", "CCLG", 230), ("CARD", "CCBC", 230), ("CARD", "CVSF", 340), ("BANK", "", 180), ("MOBILE", "", 350), ("VACCT", None, 50)]


def sale(day, number, won, method=METHODS[0], **given):
    """A row as the API gives it, which adds up unless `given` says otherwise."""
    pay_type, acquirer, rate = method
    fee = won * rate // 10_000
    vat = fee // 10
    approved = f"{day - timedelta(days=3):%Y%m%d}"
    row = {
        "AUTHAMT": f"{won}",
        "FEERATE": f"{rate / 100:.2f}",
        "PAYMENTSTATUS": "11",
        "FEE": f"{fee}",
        "VAT": f"{vat}",
        "SETTLE_CYCLE_CD": "D3",
        "PAYTYPE": pay_type,
        "ACQUIRER": acquirer,
        "PAYMENTAMT": f"{won - fee - vat}",
        "TRXID": f"CTS{number:017d}",
        "CPID": "CT00000001",
        "ORDERNO": f"주문-{number}",
        "AUTHDT": approved,
        "FINALAMT": f"{won - fee - vat}",
        "PAYOFFDT": f"{day:%Y%m%d}",
        "STATUS_CD": "03",
    }
    return row | given


def cancelled(row, day, part, **given):
    """A cancellation of a part of a row, with its amounts taken back as signed numbers."""
    taken = {name: f"{-(int(row[name]) * part // 4)}" for name in ("AUTHAMT", "FEE", "VAT", "PAYMENTAMT", "FINALAMT")}
    dates = {"AUTHDT": f"{day - timedelta(days=1):%Y%m%d}", "PAYOFFDT": f"{day:%Y%m%d}"}
    return row | taken | dates | {"PAYMENTSTATUS": "22", "STATUS_CD": "03"} | given


DASHES = dict.fromkeys(("FEE", "VAT", "PAYMENTAMT", "FINALAMT"), "-")
PENDING = {"STATUS_CD": "01", "PAYOFFDT": ""}
LARGEST = "9999999999999999.99"


def by_seed(seed):
    """Ordinary days, and on some of them one thing that is not: rows by day."""
    draw = random.Random(seed)
    days, sold, number = {}, [], 0
    for day in DAYS:
        if day.weekday() >= 5:
            continue
        rows = []
        for _ in range(draw.randrange(8)):
            number += 1
            row = sale(day, number, 100 * draw.randrange(10, 5000), draw.choice(METHODS))
            match draw.randrange(20):
                case 0:
                    row |= DASHES | {"PAYMENTSTATUS": "21"}
                case 1:
                    row["PAYMENTAMT"] = f"{int(row['PAYMENTAMT']) + draw.randrange(-50, 50)}"
                case 2:
                    row["FEE"] = f"{int(row['FEE']) + draw.randrange(1, 90)}"
                case 3:
                    row[draw.choice(("FEE", "VAT", "PAYMENTAMT", "FEERATE"))] = "-"
                case 4:
                    row |= PENDING
                case 5:
                    row |= {"STATUS_CD": None, "LUCK": {"draw": number}}
                case _:
                    sold.append(row)
            rows.append(row)
        for _ in range(draw.randrange(3) if sold else 0):
            how = draw.choice(({}, {}, DASHES, DASHES | {"STATUS_CD": "01"}))
            rows.append(cancelled(draw.choice(sold), day, draw.randrange(1, 5), **how))
        draw.shuffle(rows)
        days[day] = rows
    return days


def by_hand():
    """What a careless query gets wrong, a day each."""
    first, end, saturday, begin = date(2024, 1, 30), date(2024, 2, 1), date(2024, 2, 24), date(2024, 3, 1)
    twice = sale(first, 901, 10_000)
    over = sale(first, 902, 20_000)
    return {
        # one transaction, paid out in two rows on two days, and cancelled in two equal parts
        first: [twice, over, sale(first, 911, 3_000, FEE="-")],
        end: [twice | {"PAYOFFDT": "20240201", "AUTHDT": "20240128"}, cancelled(twice, end, 2), cancelled(twice, end, 2)],
        # more cancelled than sold; a cancellation of what the lake does not hold, without signs
        date(2024, 2, 2): [
            cancelled(over, date(2024, 2, 2), 4),
            cancelled(over, date(2024, 2, 2), 1, AUTHAMT="5000", **DASHES),
            sale(date(2024, 2, 2), 903, 7_700, PAYMENTSTATUS="22", **DASHES),
        ],
        # off against each other: the day's sum is right and its rows are not
        saturday: [sale(saturday, 920 + n, 30_000, PAYMENTAMT=f"{29_241 + off}") for n, off in enumerate((10, -10, 20, -20, 30, -30))],
        # a Saturday, on which nothing is known but what was sold
        date(2024, 3, 2): [sale(date(2024, 3, 2), 910, 4_000, **DASHES, **PENDING)],
        # nothing sold at a rate, no figures at all, fractions of a won, and the largest amounts there can be
        begin: [
            sale(begin, 906, 0, ("CARD", "CCDI", 230)),
            sale(begin, 907, 500, AUTHAMT="-", **DASHES),
            sale(begin, 908, 1_000, AUTHAMT="1000.55", FEE="23.01", VAT="2.30", PAYMENTAMT="975.25", STATUS_CD="03 "),
            sale(begin, 909, 0, ("WALLET", "CCXX", 9_999_999), AUTHAMT=LARGEST, FEE=f"-{LARGEST}", PAYMENTAMT="-0.01"),
        ],
    }


def books():
    """Every answer: rows by merchant and pay date."""
    answers = {}
    for seed, (merchant, more) in enumerate(zip(MERCHANTS, (by_hand(), {}))):
        days = by_seed(seed)
        for day, rows in more.items():
            days[day] = days.get(day, []) + rows
        days[AHEAD] = [sale(AHEAD, 990 + n, 1_000 * (n + 1), **PENDING) for n in range(3)]
        answers |= {(merchant, day): rows for day, rows in days.items() if rows}
    return answers


def api():
    """An API that answers with the books, while the block runs."""
    answers = books()

    class Books(Handler):
        def do_POST(self):
            asked = json.loads(self.body())
            if self.path == "/payAuth/token":
                answer = {"RTN_CD": "0000", "TOKEN": "a token"}
            elif rows := answers.get((asked["API_ID"], date.fromisoformat(asked["DATE"]))):
                answer = {"RESULTCODE": "0000", "RESULTMSG": "정상", "DATA": rows}
            else:
                answer = {"RESULTCODE": "E008", "RESULTMSG": "검색 결과가 없습니다"}
            self.answer(200, json.dumps(answer).encode())

    return serving(Books)
