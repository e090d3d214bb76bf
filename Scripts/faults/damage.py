"""The random changes that `mutate.py` makes to files; every function makes and describes one."""

import contextlib
import json
import math
import shutil
import sqlite3
import struct
import tempfile

HUGE = 10**12
MOST = 2**63 - 1


class Change:
    """A change: its kind for the table, and its description."""

    def __init__(self, kind, what):
        self.kind, self.what = kind, what

    def __str__(self):
        return f"{self.kind}: {self.what}"


# MARK: bytes of any file

def change_bytes(path, rng):
    """Flips, overwrites, inserts, removes or repeats bytes; returns a description."""
    content = bytearray(path.read_bytes())
    kind = rng.choice(
        ["flip", "set", "random", "insert", "remove", "repeat", "cut", "append", "zeros", "empty",
         "swap"])
    place = rng.randrange(len(content) + 1)
    length = rng.choice([1, 2, 4, 8, 16, 64, 300, 1024])
    if kind == "flip" and content:
        place = rng.randrange(len(content))
        content[place] ^= 1 << rng.randrange(8)
    elif kind == "set" and content:
        place = rng.randrange(len(content))
        content[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x0A])
    elif kind == "random":
        content[place:place + length] = rng.randbytes(len(content[place:place + length]))
    elif kind == "insert":
        content[place:place] = rng.randbytes(length)
    elif kind == "remove":
        del content[place:place + length]
    elif kind == "repeat":
        content[place:place] = content[place:place + length]
    elif kind == "cut":
        del content[place:]
    elif kind == "append":
        content += rng.randbytes(length)
    elif kind == "zeros":
        content[place:place + length] = bytes(len(content[place:place + length]))
    elif kind == "empty":
        content.clear()
    elif kind == "swap":
        other = rng.randrange(len(content) + 1)
        first, second = content[place:place + length], content[other:other + length]
        if len(first) == len(second) and abs(place - other) >= length:
            content[place:place + length], content[other:other + length] = second, first
    path.write_bytes(content)
    return f"{path.name}, {kind} at {place}"


def change_floats(path, rng, start=0):
    """Replaces a float32 with a special number, or another sign or size; returns a description."""
    content = bytearray(path.read_bytes())
    count = (len(content) - start) // 4
    if count <= 0:
        return f"{path.name}, nothing to change"
    place = start + 4 * rng.randrange(count)
    value = rng.choice([math.nan, math.inf, -math.inf, 1e38, 1e-40, 0.0, -1.0, rng.uniform(-1, 1)])
    struct.pack_into("<f", content, place, value)
    path.write_bytes(content)
    return f"{path.name}, {value} at {place}"


def change_json(path, rng):
    """Replaces, removes or adds a value of a JSON object in a line; returns a description."""
    lines = path.read_bytes().split(b"\n")
    number = rng.randrange(len(lines))
    try:
        record = json.loads(lines[number])
    except ValueError:
        record = None
    if not isinstance(record, dict) or not record:
        return change_bytes(path, rng)
    name = rng.choice(list(record))
    value = rng.choice([None, 0, -1, HUGE, MOST + 1, "", "x", [], {}, True, 1e308, "a\0b", "../x",
                        "int8", [0.5] * 3])
    kind = rng.choice(["replace", "replace", "remove", "rename"])
    old = record.pop(name)
    if kind != "remove":
        record[name + "x" if kind == "rename" else name] = old if kind == "rename" else value
    lines[number] = json.dumps(record, separators=(",", ":")).encode()
    path.write_bytes(b"\n".join(lines))
    return f"{path.name}, {kind} {name}"


# MARK: the index

PATHS = {"../x": b"../x.png", "above": b"../../../../etc/passwd", "absolute": b"/etc/hostname",
         "empty": b"",
         "NUL": b"a\0b.png", "dot": b".", "inner ..": b"album 000/../../x.png",
         "no UTF-8": b"\xff\xfe.png",
         "long": b"x" * 5000,
         "own index": b".clip-index/files.sqlite", "slash": b"album 000/",
         "control": b"\x1b[31mx\n.png"}


def change_rows(database, rng):
    """Changes a column of a file, or of all files, by SQL; returns the change."""
    count, = database.execute("SELECT count(*) FROM files").fetchone()
    columns = {
        "row": [HUGE, -1, MOST, -MOST - 1, count, "text", 0.5, b"blob", None, "0"],
        "path": list(PATHS.values()) + ["text.png"],
        "size": [-1, MOST, 0, "text", HUGE], "modified": [-1, MOST, "text", 0],
        "width": [-1, 0, MOST, "text"],
        "height": [-1, 0, MOST], "digest": [b"", b"short", bytes(31), bytes(33), bytes(1 << 16),
                                            "text", 5, None],
        "failure": ["it has failed", "", b"blob", 5, "a\nb" * 100], "id": [-1, MOST, 0],
    }
    column = rng.choice(list(columns) + ["path", "row", "row"])
    value = rng.choice(columns[column])
    place = rng.randrange(count)
    key, = database.execute("SELECT id FROM files ORDER BY id LIMIT 1 OFFSET ?", [place]).fetchone()
    whole = rng.random() < 0.15 and column not in ("path", "id")
    database.execute("UPDATE OR IGNORE files SET {} = ?{}".format(column,
            "" if whole else " WHERE id = ?"),
                     [value] if whole else [value, key])
    name = next((name for name, path in PATHS.items() if path == value),
                None) if column == "path" else None
    return Change(f"SQL: {column}", f"{name or repr(value)[:40]} in "
                                    f"{'all rows' if whole else f'row {place}'}")


def change_rows_validly(database, rng):
    """Makes another valid index; returns the change."""
    keys = [key for key, in database.execute("SELECT id FROM files ORDER BY id")]
    if len(keys) < 2:
        return Change("valid: nothing", "no rows")
    first, second = rng.sample(keys, 2)
    kind = rng.choice(
        ["path", "swapped rows", "same row", "deleted", "size", "modified", "digest", "width",
         "no row", "new"])
    update = "UPDATE OR IGNORE files SET {} WHERE id = ?"
    if kind == "path":
        database.execute(update.format("path = ?"), [b"album 000/other.png", first])
    elif kind == "swapped rows":
        rows = [database.execute("SELECT row FROM files WHERE id = ?", [key]).fetchone()[0]
                for key in (first, second)]
        for key, row in zip((second, first), rows):
            database.execute(update.format("row = ?"), [row, key])
    elif kind == "same row":
        database.execute(update.format("row = (SELECT row FROM files WHERE id = ?)"),
                         [second, first])
    elif kind == "deleted":
        database.execute("DELETE FROM files WHERE id = ?", [first])
    elif kind == "digest":
        database.execute(update.format("digest = ?"), [rng.randbytes(32), first])
    elif kind == "no row":
        database.execute(update.format("row = NULL, failure = 'cannot read it'"), [first])
    elif kind == "new":
        database.execute("INSERT INTO files(path, size, modified, digest, row, width, height) "
                         "SELECT ?, size, modified, "
                         "digest, row, width, height FROM files WHERE id = ?",
                         [b"album 000/other.png", first])
    else:
        database.execute(update.format(f"{kind} = {kind} + 1"), [first])
    return Change(f"valid: {kind}", f"id {first}")


def change_facts(database, rng):
    """Changes or removes a fact; returns the change."""
    facts = [name for name, in database.execute("SELECT name FROM facts ORDER BY name")]
    if not facts:
        return Change("SQL: facts", "there are none")
    name = rng.choice(facts + ["rows", "dimension", "generation"])
    value = rng.choice(
        ["0", "-1", "1", "3", str(HUGE), str(MOST), str(MOST + 1), "", "text", "1e9", "\0",
         "x" * 100_000, None])
    if value is None:
        database.execute("DELETE FROM facts WHERE name = ?", [name])
    else:
        database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])
    return Change(f"SQL: fact {name}", repr(value)[:40])


def change_schema(database, rng):
    """Changes a table; returns the change."""
    statement = rng.choice([
        "DROP TABLE files", "DROP TABLE facts", "DELETE FROM files", "DELETE FROM facts",
        "DROP INDEX files_by_row",
        "ALTER TABLE files RENAME COLUMN row TO line", "ALTER TABLE files ADD COLUMN more TEXT",
        "CREATE TABLE seen(id)",
        "ALTER TABLE facts RENAME TO notes", "PRAGMA user_version = 99",
        "PRAGMA application_id = 7",
        "CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM files; END",
        "CREATE VIEW v AS SELECT * FROM files", "REINDEX", "VACUUM"])
    database.execute(statement)
    return Change("SQL: schema", statement)


def change_database(place, rng):
    try:
        database = sqlite3.connect(place / "files.sqlite", isolation_level=None)
    except sqlite3.Error as error:  # an earlier change replaced the database
        return Change("SQL: refused by SQLite", str(error))
    try:
        change = rng.choices([change_rows, change_rows_validly, change_facts, change_schema],
                             [6, 2, 4, 1])[0]
        return change(database, rng)
    except sqlite3.Error as error:
        return Change("SQL: refused by SQLite", str(error))
    finally:
        try:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass
        database.close()


def change_log(place, rng):
    """Overwrites the database's log or shared memory with garbage; returns the change."""
    name = rng.choice(["files.sqlite-wal", "files.sqlite-shm", "files.sqlite-journal"])
    content = rng.choice([b"", rng.randbytes(100), rng.randbytes(32 * 1024), bytes(4096),
                          bytes.fromhex("377f0682002de218") + rng.randbytes(5000)])
    (place / name).write_bytes(content)
    return Change("log of the database", f"{name}, {len(content)} bytes")


def change_index(place, rng):
    """Changes one thing of an index; returns the change."""
    kinds = ["database", "database bytes", "log", "vectors", "vector numbers", "missing", "odd"]
    kind = rng.choices(kinds, [40, 12, 6, 14, 14, 2, 2])[0]
    if kind == "database":
        return change_database(place, rng)
    if kind == "log":
        return change_log(place, rng)
    names = {"database bytes": "files.sqlite", "vectors": "vectors.f32",
             "vector numbers": "vectors.f32"}
    path = place / names.get(kind, rng.choice(["files.sqlite", "vectors.f32"]))
    if not path.is_file():
        return Change("file is gone", path.name)
    if kind == "missing":
        path.unlink()
    elif kind == "odd":
        path.unlink()
        path.mkdir()
    elif kind.endswith("numbers"):
        return Change(kind, change_floats(path, rng))
    else:
        return Change(kind, change_bytes(path, rng))
    return Change(f"file is {'missing' if kind == 'missing' else 'a folder'}", path.name)


def change_rounded(place, rng):
    """Changes bytes of vectors.i8, more often in its header with the scales; returns the change."""
    path = place / "vectors.i8"
    if rng.random() < 0.4:
        content = bytearray(path.read_bytes())
        start = rng.randrange(max(1, min(1024, len(content) - 8)))
        length = rng.choice([1, 4, 8])
        content[start:start + length] = rng.choice(
            [bytes(length), b"\xff" * length, rng.randbytes(length)])
        path.write_bytes(content)
        return Change("rounded: header", f"{length} bytes at {start}")
    return Change("rounded: bytes", change_bytes(path, rng))


# MARK: content that is still valid

FILES = "SELECT path, size, modified, digest, row, width, height, failure FROM files ORDER BY id"


def database_content(place):
    """Returns the facts of an index, the statements that created its tables, and its files."""
    with opened_copy(place) as database:
        return (dict(database.execute("SELECT name, value FROM facts")),
                sorted(sql for sql, in database.execute("SELECT sql FROM sqlite_master") if sql),
                database.execute(FILES).fetchall())


@contextlib.contextmanager
def opened_copy(place):
    with tempfile.TemporaryDirectory(prefix="clip-faults-") as copy:
        for name in ["files.sqlite", "files.sqlite-wal"]:
            if (place / name).is_file():
                shutil.copy(place / name, copy)
        database = sqlite3.connect(f"{copy}/files.sqlite")
        try:
            yield database
        finally:
            database.close()


def is_plausible(place, original):
    """True if the changed database is valid for other files, so that the change cannot be detected.

    `original` is its content before the change.
    """
    facts, schema, _ = original
    try:
        content = database_content(place)
        if content == original or content[1] != schema:
            return False
        with opened_copy(place) as database:
            if database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                return False
            found = content[0]
            free = {"rows", "generation", "model", "decoding"}
            if set(found) != set(facts) or any(found[name] != facts[name]
                                               for name in set(facts) - free):
                return False
            most = (place / "vectors.f32").stat().st_size // (4 * int(facts["dimension"]))
            if not 0 <= int(found["rows"]) <= most or not 0 <= int(found["generation"]) < 2**31:
                return False
            return all(is_plausible_file(int(found["rows"]), *row) for row in content[2])
    except (sqlite3.Error, ValueError, OSError, UnicodeError):
        return False


def is_plausible_file(rows, path, size, modified, digest, row, width, height, failure):
    parts = path.split(b"/") if isinstance(path, bytes) else [b""]
    if b"\0" in parts[-1] or len(path) > 4000 or any(part in (b"", b".", b"..")
                                                     for part in parts) or \
            parts[0].startswith(b".clip-index"):
        return False
    if not all(isinstance(number, int) for number in [size, modified, width, height]) or size < 0:
        return False
    if row is None:
        return isinstance(failure, str) and failure != ""
    return (isinstance(row, int) and 0 <= row < rows and failure is None
            and isinstance(digest, bytes)
            and len(digest) == 32 and width > 0 and height > 0)


# MARK: outputs and caches

def change_outputs(folder, rng):
    """Changes one output of an interrupted `clip encode`; returns the change."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if not paths:
        return Change("nothing left", "")
    path = rng.choice(paths)
    name = path.name.removesuffix(".partial")
    suffix = "job" if name.endswith("job") else "names" if name.endswith("names.jsonl") else \
        "rows of JSON" if name.endswith("jsonl") else "record" if name.endswith(
            "json") else "vectors"
    kind = rng.choices(["bytes", "numbers", "JSON", "missing", "other name"], [60, 20, 20, 3, 3])[0]
    if kind == "missing":
        path.unlink()
        return Change(f"{suffix}: missing", path.name)
    if kind == "other name":
        other = path.with_name(name if path.name != name else name + ".partial")
        path.rename(other)
        return Change(f"{suffix}: other name", f"{path.name} is {other.name}")
    if kind == "numbers" and suffix == "vectors":
        return Change(f"{suffix}: numbers", change_floats(path, rng, start=rng.choice([0, 128])))
    if kind == "JSON" and suffix in ("names", "rows of JSON", "record"):
        return Change(f"{suffix}: JSON", change_json(path, rng))
    return Change(f"{suffix}: bytes", change_bytes(path, rng))


def change_labels(folder, rng):
    """Changes one thing of a label cache; returns the change."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    if not paths:
        return Change("nothing left", "")
    path = rng.choice(paths)
    kind = rng.choices(["bytes", "numbers", "missing", "a folder"], [60, 40, 1, 1])[0]
    if kind == "bytes":
        return Change(kind, change_bytes(path, rng))
    if kind == "numbers":
        return Change(kind, change_floats(path, rng))
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    return Change(kind, path.name)
