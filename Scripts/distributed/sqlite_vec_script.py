#!/usr/bin/env python3
"""Runs the SQL of clip export --to sqlite-vec in SQLite with sqlite-vec, and searches it."""

import re

import common
from common import TOP, check


def main():
    options = common.arguments(__doc__, vectors=100_000)
    # Python's own sqlite3 is often built without extensions.
    import apsw
    import sqlite_vec

    index = common.synthetic_vectors(options, options.vectors)
    expected, _ = common.clip_search(options, index)
    script = common.clip(options, "export", index, "--to", "sqlite-vec").decode()
    table = re.search(r'CREATE VIRTUAL TABLE "(\w+)_vec" USING vec0', script)[1]
    database = apsw.Connection(":memory:")
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    database.execute(script)
    count, = next(database.execute(f"SELECT count(*) FROM {table}_vec"))
    version, = next(database.execute("SELECT vec_version()"))
    check(count == options.vectors, f"sqlite-vec {version}: {count} rows")
    statement = (
        f"SELECT path FROM {table}_vec JOIN {table} ON id = {table}_vec.rowid "
        "WHERE embedding MATCH ? AND k = ? ORDER BY distance")
    found = [
        [path.encode() for path, in database.execute(statement, (query.tobytes(), TOP))]
        for query in common.query_vectors(options)]
    common.check_matches(options, index, found, expected, "sqlite-vec")
    common.finish()


if __name__ == "__main__":
    main()
