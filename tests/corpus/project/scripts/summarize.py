import json
from pathlib import Path

for file in sorted(Path("results").glob("*.json")):
    print(file.name, json.loads(file.read_text()).get("loss"))
