"""Trains a small network."""
import argparse

import torch
from torch import nn

from src.models.net import Net

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--seed", type=int, default=0)


def main() -> None:
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=options.lr)
    for epoch in range(options.epochs):
        loss = nn.functional.mse_loss(model(torch.randn(8, 4)), torch.zeros(8, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
