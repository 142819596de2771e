"""How golden files are written: readable JSON, each list of numbers on one line, never over 64 KiB.

json.dumps prints the shortest digits (at most 17) that give the same double back.
"""
import json
import os
import re

LIMIT = 65536


def golden_path(name):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.path.join(root, "tests", "golden", name)


def write(path, value):
    text = json.dumps(value, indent=1, allow_nan=False)
    text = re.sub(r"\[\s*([-+.\deE,\s]+?)\s*\]", lambda m: "[" + re.sub(r",\s+", ", ", m.group(1)) + "]", text)
    if json.loads(text) != value:
        raise SystemExit(f"{path}: the text does not read back as what was written")
    if len(text) >= LIMIT:
        raise SystemExit(f"{path}: {len(text)} bytes, golden files stay under {LIMIT}")
    with open(path + ".part", "w") as f:
        f.write(text + "\n")
    os.replace(path + ".part", path)
    print(f"{path}: {len(text) + 1} bytes")
