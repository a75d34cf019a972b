"""`python -m cookiepay_etl` is `cookiepay-etl`, also if the latter is not on the PATH."""

import os
import sys

from ._find_binary import find_binary

if __name__ == "__main__":
    binary = find_binary()
    os.execv(binary, [binary, *sys.argv[1:]])
