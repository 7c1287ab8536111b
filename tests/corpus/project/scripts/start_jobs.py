import subprocess

for seed in range(3):
    subprocess.run(["python", "train.py", "--seed", str(seed)], check=True)
