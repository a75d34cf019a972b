"""Pages as people see them: opened in Chromium."""

import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path

PAGES = os.environ["COOKIEPAY_PAGES"]
LOOK = Path(__file__).with_name("pages") / "look.mjs"


def look(*args):
    """What is on a page: requests, errors, sections, tables."""
    done = subprocess.run(["node", LOOK, PAGES, *map(str, args)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def number(text):
    """An amount as a page shows it."""
    return Decimal(text.replace(",", "").replace("+", "").replace("\u2212", "-"))


def seen_by_everybody(page, lang, pdf):
    """What is on a page on a desk, and on a telephone in the dark: it asks for nothing else, nobody is shut out, nothing is cut off. It is
    printed to `pdf`, on A4."""
    url = page.as_uri()
    for width, scheme in ((1280, "light"), (360, "dark")):
        seen = look(url, width, scheme, pdf)
        assert [wanted for wanted in seen["requests"] if not wanted.startswith("data:")] == [url]
        assert (seen["errors"], seen["violations"]) == ([], [])
        assert seen["lang"] == lang and seen["overflow"] <= 0
        yield seen
    printed = subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True).stdout
    assert "(A4)" in printed
