from src.loop import fit

if __name__ == "__main__":
    fit(epochs=10)
