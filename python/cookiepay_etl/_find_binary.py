"""Where pip has put the binary."""

import os
import shutil
import sysconfig

NAME = "cookiepay-etl"


def find_binary():
    """The path of the binary: that of this package if it can be found, else the first on the PATH.

    Raises FileNotFoundError, with all places that were searched, if there is none.
    """
    package = os.path.dirname(os.path.abspath(__file__))
    places = [
        # pip install, in a virtual environment or not
        sysconfig.get_path("scripts"),
        # pip install --user
        sysconfig.get_path("scripts", scheme=f"{os.name}_user"),
        # pip install --target DIR
        os.path.join(os.path.dirname(package), "bin"),
        # pip install --prefix DIR: the package is in DIR/lib/pythonX.Y/site-packages
        os.path.join(os.path.abspath(os.path.join(package, *[os.pardir] * 4)), "bin"),
        os.environ.get("PATH", os.defpath),
    ]
    path = os.pathsep.join(places)
    binary = shutil.which(NAME, path=path)
    if binary is None:
        raise FileNotFoundError(f"no {NAME} in {path}: install it with pip where this Python runs")
    return binary
