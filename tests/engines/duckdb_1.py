"""Asks DuckDB 1, which has an httpfs to be had, in the environment of requirements-duckdb-1.txt: SQL in as JSON, tables out as a pickle."""

import json
import pickle
import sys

import duckdb
import duckdb_ext

# what the wheels brought is all there is
OFFLINE = {"autoinstall_known_extensions": "false", "extension_directory": str(duckdb_ext.get_extension_dir())}

setup, questions = json.load(sys.stdin)
with duckdb.connect(config=OFFLINE) as db:
    for script in setup:
        db.execute(script)
    tables = {}
    for name, question in questions.items():
        table = db.sql(question)
        tables[name] = (table.columns, [str(kind) for kind in table.types], table.fetchall())
pickle.dump((duckdb.__version__, tables), sys.stdout.buffer)
