"""Writes event files as torch's SummaryWriter and as TensorFlow 2 do, with TensorBoard's writer."""

import json
import struct
import sys
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary.writer.event_file_writer import EventFileWriter

directory, count = sys.argv[sys.argv.index("--logdir") + 1], int(sys.argv[-1])


def as_single(value):
    """What is left of a number in 32 bits."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


train, test = EventFileWriter(directory), EventFileWriter(f"{directory}/test")
logged = {"loss": [], "test/accuracy": []}
for step in range(count):
    value = Summary.Value(tag="loss", simple_value=1 / (step + 1))
    train.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
    logged["loss"].append([step, str(as_single(1 / (step + 1)))])
for step, number in ((7, 0.25), (3, float("nan")), (7, float("inf")), (2**40, 1e-30)):
    content = struct.pack("<f", number)
    tensor = TensorProto(dtype=1, tensor_shape=TensorShapeProto(), tensor_content=content)
    value = Summary.Value(tag="accuracy", tensor=tensor)
    test.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
    logged["test/accuracy"].append([step, str(as_single(number))])
train.flush()
test.flush()
print(json.dumps({"logged": logged}), flush=True)
if "--wait" in sys.argv:
    Path(directory, "go").open().close()
train.close()
test.close()
