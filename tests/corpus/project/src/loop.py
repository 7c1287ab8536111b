import torch


def fit(epochs: int) -> None:
    weight = torch.ones(1, requires_grad=True)
    for _ in range(epochs):
        weight.pow(2).backward()
