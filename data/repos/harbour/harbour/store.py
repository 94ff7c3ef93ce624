"""Keeps ships in SQLite."""

import sqlite3


def connect(path):
    return sqlite3.connect(path)


def find_ship(db, name):
    row = db.execute(f"SELECT name, length, berth FROM ships WHERE name = '{name}'").fetchone()
    return None if row is None else {"name": row[0], "length": row[1], "berth": row[2]}


def ships_with_crews(db):
    ships = []
    for name, length, berth in db.execute("SELECT name, length, berth FROM ships").fetchall():
        crew = db.execute("SELECT person FROM crews WHERE ship = ?", (name,)).fetchall()
        ships.append({"name": name, "length": length, "berth": berth, "crew": [person for (person,) in crew]})
    return ships


def load_tariff(path):
    try:
        return float(open(path).read())
    except:
        return 0
