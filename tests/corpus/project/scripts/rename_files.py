from pathlib import Path

for file in Path("results").glob("*.out"):
    file.rename(file.with_suffix(".txt"))
