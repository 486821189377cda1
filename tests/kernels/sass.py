"""What NVIDIA's disassembler says of a cubin: the instructions of each kernel, and of the loop that does its work."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)(.*);")


def disassembler():
    """NVIDIA's nvdisasm: from the wheel ``nvidia-cuda-nvdisasm`` or a toolkit; None where there is none."""
    try:
        import nvidia
    except ImportError:
        return shutil.which("nvdisasm")
    found = (p for root in nvidia.__path__ for p in Path(root).glob("*/bin/nvdisasm"))
    return next(map(str, found), None) or shutil.which("nvdisasm")


@dataclass(frozen=True)
class Loop:
    """The loop with the widest accesses: its instructions, and how many elements a turn takes."""

    instructions: tuple[str, ...]

    def count(self, start):
        return sum(i.startswith(start) for i in self.instructions)

    def elements(self, size):
        """Of that many bytes, by what is stored."""
        stored = sum(
            int((re.search(r"\.(64|128)", i) or [0, 32])[1]) // 8
            for i in self.instructions
            if i.startswith("STG")
        )
        return stored // size


@dataclass(frozen=True)
class Function:
    """One kernel."""

    instructions: tuple[tuple[int, str, str], ...]
    labels: dict[str, int]

    def uses(self, *starts):
        return [f"{name}{rest}" for _, name, rest in self.instructions if name.startswith(starts)]

    def loop(self):
        """The innermost loop around the most accesses of 128 bits."""
        found = []
        for place, name, rest in self.instructions:
            target = re.search(r"\(\.(L_x_\d+)\)", rest)
            if name == "BRA" and target and self.labels[target[1]] <= place:
                inside = [f"{n}{r}" for p, n, r in self.instructions if self.labels[target[1]] <= p <= place]
                wide = sum(".128" in i.split(" ")[0] and i.startswith(("LDG", "STG")) for i in inside)
                found.append((wide, -len(inside), inside))
        return Loop(tuple(max(found)[2]))


def functions(cubin, path):
    """Every kernel of a cubin by name.

    Args:
        cubin: the bytes.
        path: a file to write them to.
    """
    path.write_bytes(cubin)
    text = subprocess.run(
        [disassembler(), "-c", str(path)], capture_output=True, text=True, check=True
    ).stdout
    found, instructions, labels, waiting = {}, [], {}, []
    for line in text.splitlines():
        if head := re.match(r"\.text\.(\w+):", line):
            instructions, labels, waiting = [], {}, []
            found[head[1]] = instructions, labels
        elif label := re.match(r"\.(L_x_\d+):", line):
            waiting.append(label[1])
        elif step := _LINE.search(line):
            place = int(step[1], 16)
            labels.update(dict.fromkeys(waiting, place))
            waiting = []
            instructions.append((place, step[2], step[3]))
    return {name: Function(tuple(steps), places) for name, (steps, places) in found.items()}
