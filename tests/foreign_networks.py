"""Networks from outside, as people might write them: files that tests put where they need them."""

import re
from pathlib import Path

from tests.conftest import ROOT

HEAD = """
import os, sys, time
import torch
from torch import nn
from torch.nn import functional
"""


def example() -> str:
    """The one of CONTRIBUTING.md, to the letter."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return str(block)


def write_network(folder: Path, text: str, name: str = "net.py") -> str:
    """Put a file into a folder; gives what `architecture` is then."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def network(forward: str, layers: str = "", halo: object = 4, channels: object = 1) -> str:
    """A file that offers two convolutions of 5, and does with them what `forward` says."""
    return f"""{HEAD}
class Net(nn.Module):
    halo, channels = {halo!r}, {channels!r}

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 8, 5, padding=2)
        self.b = nn.Conv2d(8, 1, 5, padding=2)
        {layers or "pass"}

    def forward(self, x):
        {forward}
"""


PLAIN = network("return self.b(torch.relu(self.a(x)))")
# Gives less than it is given, along each edge.
VALID = PLAIN.replace("padding=2", "padding=0")
NORMALIZED = network(
    "return self.b(torch.relu(self.n(self.a(x))))", "self.n = nn.BatchNorm2d(8, momentum=0.5)"
)
DROPPING = network("return self.b(functional.dropout(self.a(x).relu(), 0.2, self.training))")
