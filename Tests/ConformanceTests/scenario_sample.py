"""Writes ScenarioSample/ from a full folder of recorded scenarios: python3 scenario_sample.py FOLDER

A few scenarios of every family, from the smallest up, without what PyTorch's own compiler made of them.
"""

import collections
import json
import pathlib
import shutil
import sys

SCENARIOS_PER_FAMILY = 4
TARGET = pathlib.Path(__file__).parent / "ScenarioSample"


def main(folder):
    index = json.loads((folder / "index.json").read_text())
    families = collections.defaultdict(list)
    for item in index["scenarios"]:
        scenario = json.loads((folder / item["file"]).read_text())
        scenario.pop("aot", None)
        families[item["family"]].append((json.dumps(scenario, separators=(",", ":")), item))
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir()
    chosen = []
    for scenarios in families.values():
        scenarios.sort(key=lambda pair: len(pair[0]))
        # Evenly from the family, so that not only the simplest are there.
        for text, item in scenarios[:: max(1, len(scenarios) // SCENARIOS_PER_FAMILY)][:SCENARIOS_PER_FAMILY]:
            (TARGET / item["file"]).write_text(text + "\n")
            chosen.append({key: item[key] for key in ("name", "family", "file")})
    (TARGET / "index.json").write_text(json.dumps({"scenarios": chosen}, indent=0) + "\n")


main(pathlib.Path(sys.argv[1]))
