from src.models.net import Net

print(sum(each.numel() for each in Net().parameters()))
