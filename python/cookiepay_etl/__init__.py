"""The binary `cookiepay-etl`, as pip installs it, and its Airflow provider in `cookiepay_etl.airflow`."""

from ._find_binary import find_binary

__all__ = ["find_binary"]
