"""What the simulator answers, asked over HTTP without any of the tool's own reading."""

import json
import subprocess
import urllib.request
from datetime import datetime
from decimal import Decimal

import etl

FIELDS = {
    "TRXID": "transaction_id",
    "ORDERNO": "order_no",
    "CPID": "cpid",
    "PAYMENTSTATUS": "payment_status",
    "PAYTYPE": "pay_type",
    "ACQUIRER": "acquirer_code",
    "AUTHAMT": "auth_amount",
    "FEERATE": "fee_rate",
    "FEE": "fee",
    "VAT": "vat",
    "PAYMENTAMT": "payment_amount",
    "FINALAMT": "final_amount",
    "SETTLE_CYCLE_CD": "settle_cycle_code",
    "AUTHDT": "auth_date",
    "PAYOFFDT": "payoff_date",
    "STATUS_CD": "payoff_status",
}
KINDS = {name: kind for name, kind, _ in etl.COLUMNS}
ACCOUNT, KEY = "simulator", "simulator-key"


def meant(column, value):
    """What the manual means by a value."""
    value = str(value).strip() if value is not None else ""
    if value == "" or (value == "-" and KINDS[column].startswith("decimal")):
        return None
    if KINDS[column].startswith("decimal"):
        return Decimal(value.replace(",", ""))
    if KINDS[column].startswith("date"):
        return datetime.strptime(value, "%Y%m%d").date()
    return value


class Simulator:
    """A simulator on a port of its own."""

    def __init__(self, *flags):
        self._process = etl.start("simulate", "--port", 0, *flags, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self._process.stdout.readline().strip().partition("=")[2]
        self._token = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def answer(self, day):
        """A day's answer, as it is sent."""
        if self._token is None:
            self._token = self._post("/payAuth/token", {"pay2_id": ACCOUNT, "pay2_key": KEY})["TOKEN"]
        return self._post("/api/settlement", {"API_ID": ACCOUNT, "DATE": f"{day:%Y%m%d}"}, TOKEN=self._token)

    def rows(self, day):
        """A day's rows as the manual means them, in the order of the answer."""
        rows = self.answer(day).get("DATA") or []
        return [tuple(meant(column, row[field]) for field, column in FIELDS.items()) for row in rows]

    def _post(self, path, body, **headers):
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **headers})
        with direct.open(request, timeout=30) as answer:
            return json.load(answer)
