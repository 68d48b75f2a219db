#!/usr/bin/env python3
"""Verifies evidence of Counterfoil: a database, an archive, an evidence bundle.

    python3 verify.py FILE [--key VKEY] [--keys FOLDER]

Prints JSON. Exit code 0: whole; 1: evidence of tampering; 2: could not run, or a newer verifier is needed.
Needs Python 3.10 and the package `cryptography`. Written from docs/format.md, without the code of the library.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from counterfoil.archive import verify_archive
from counterfoil.bundle import verify_bundle_file
from counterfoil.database import verify_database
from counterfoil.encoding import Malformed
from counterfoil.log import CannotRun


def verify(file: Path, key: str | None = None, keys: Path | None = None) -> dict[str, Any]:
    try:
        if file.is_dir():
            return verify_archive(file, key).result()
        with file.open("rb") as opened:
            head = opened.read(16)
        if head == b"SQLite format 3\0":
            return verify_database(file, key, keys).result()
        return verify_bundle_file(file, key).result()
    except (OSError, CannotRun, Malformed) as error:
        return {"whole": False, "first_bad_index": None, "codes": [], "newer_format": False, "problems": [], "error": str(error), "exit_code": 2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", help="the log's verifier key, had from elsewhere")
    parser.add_argument("--keys", type=Path, help="a key folder, to open content")
    given = parser.parse_args()
    verdict = verify(given.file, given.key, given.keys)
    print(json.dumps({**verdict, "problems": verdict["problems"][:100]}, indent=1))
    return int(verdict["exit_code"])


if __name__ == "__main__":
    sys.exit(main())
