"""The simulated API as a server of its own, with a merchant whose key is looked for afterwards."""

import re
import subprocess

import etl
from processes import die_with_parent

MERCHANT = "shop-1"
# not to be found anywhere by chance, nor cut by an encoding
KEY = "Zq7vK3mXw9TbR2cLp8YdJ5hF"


class Simulator:
    """Starts on entry, ends on exit. `url` is where it listens."""

    def __init__(self, *flags):
        self._command = [etl.BINARY, "simulate", "--port", "0", "--sim-merchant", f"{MERCHANT}={KEY}", *map(str, flags)]

    def __enter__(self):
        self._process = subprocess.Popen(
            self._command,
            env=etl.ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            preexec_fn=die_with_parent,
        )
        self.url = re.search(r"http://\S+", self._process.stdout.readline())[0]
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()
