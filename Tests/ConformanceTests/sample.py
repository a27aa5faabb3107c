"""Writes Sample/ from a full folder of recorded calls: python3 sample.py FOLDER

For every operator, the smallest few of its calls, those that fail included; with the tensors that they name.
"""

import json
import pathlib
import struct
import sys

CALLS_PER_OPERATOR = 1
TARGET = pathlib.Path(__file__).parent / "Sample"


def read_tensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    return {name: (entry, data[8 + size :][slice(*entry["data_offsets"])]) for name, entry in header.items()}


def write_tensors(path, tensors):
    header, body = {}, b""
    for name, (entry, data) in tensors.items():
        header[name] = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("d"), str):
            yield value
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def main(folder):
    files = {path.stem[1:]: read_tensors(path) for path in folder.glob("t*.safetensors")}
    by_operator = {}
    for line in (folder / "ops.jsonl").read_text().splitlines():
        by_operator.setdefault(json.loads(line)["op"], []).append(line)
    chosen, tensors, seen = [], {}, {}
    for lines in by_operator.values():
        cases = [json.loads(line) for line in sorted(lines, key=len)]
        succeeding = [case for case in cases if "error" not in case]
        # A call with gradients says more than one without.
        succeeding.sort(key=lambda case: "grad" not in case)
        failing = [case for case in cases if "error" in case]
        chosen += succeeding[:CALLS_PER_OPERATOR] + failing[:1]
    for case in chosen:
        for entry in references(case):
            file, name = entry["d"].split("/")
            place = seen.setdefault(entry["d"], str(len(seen)))
            tensors[place] = files[file][name]
            entry["d"] = "0/" + place
    schemas = json.loads((folder / "schemas.json").read_text())
    TARGET.mkdir(exist_ok=True)
    compact = [json.dumps(case, separators=(",", ":")) for case in chosen]
    (TARGET / "ops.jsonl").write_text("\n".join(compact) + "\n")
    (TARGET / "schemas.json").write_text(json.dumps(schemas, indent=0, sort_keys=True) + "\n")
    write_tensors(TARGET / "t0.safetensors", tensors)


main(pathlib.Path(sys.argv[1]))
