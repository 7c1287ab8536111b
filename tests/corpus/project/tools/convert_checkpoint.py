import sys

import torch

state = torch.load(sys.argv[1], map_location="cpu")
torch.save({"model": state}, sys.argv[2])
