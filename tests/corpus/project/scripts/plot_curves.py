import csv

import matplotlib.pyplot as plt

with open("results/loss.csv") as rows:
    points = [(int(row["epoch"]), float(row["loss"])) for row in csv.DictReader(rows)]
plt.plot(*zip(*points))
plt.savefig("results/loss.png")
