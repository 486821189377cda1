"""CUDA sources on the host: the runner's own launches, with its own geometry, through a shim."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import torch

from eafo.kernels import build
from eafo.kernels.backends import cuda
from eafo.kernels.launch import cuda as launching

SHIM = Path(__file__).with_name("shim_cuda.h").read_text()
_ASM = re.compile(r'asm\("([\w.]+) [^"]*" : "=[fhr]"\((.+?)\) : (.+?)\);')
_KERNEL = re.compile(r'extern "C" __global__ void __launch_bounds__\(\d+\) (\w+)\((.*?)\) \{')


def on_host(source):
    """The source with a function for each instruction of PTX, and a launch for each kernel."""

    def call(found):
        arguments = ", ".join(re.findall(r'"[fhr]"\((.+?)\)(?:, |$)', found[3]))
        return f"{found[2]} = ptx_{found[1].replace('.', '_')}({arguments});"

    text = _ASM.sub(call, source)
    launches = []
    for name, taken in _KERNEL.findall(text):
        passed = ", ".join(part.split()[-1].lstrip("*") for part in taken.split(", "))
        launches.append(
            f'extern "C" void run_{name}(unsigned blocks, unsigned threads, {taken})'
            f" {{ shim::launch(blocks, threads, [&] {{ {name}({passed}); }}); }}"
        )
    return "\n".join([SHIM, text, *launches])


class HostModule(launching._Module):
    """A module whose launches run on the host."""

    def scratch(self, blocks, slots, groups=1):
        """On the host."""
        memory = torch.full((slots,), torch.nan, dtype=torch.float64)
        return memory, self.tickets(groups) if blocks > groups else 0

    def tickets(self, count):
        """The counters, which every launch must leave at 0."""
        assert count <= launching._TICKETS
        if not hasattr(self, "_counters"):
            object.__setattr__(self, "_counters", torch.zeros(launching._TICKETS, dtype=torch.int32))
        assert not self._counters.any()
        return self._counters

    def launch(self, name, x, blocks, *arguments):
        """Run every block."""
        call = getattr(self.code, f"run_{name}_{launching._SUFFIX[x.dtype]}")
        kinds = [ctypes.c_void_p if isinstance(a, torch.Tensor) else ctypes.c_longlong for a in arguments]
        call.argtypes, call.restype = [ctypes.c_uint, ctypes.c_uint, *kinds], None
        call(blocks, self.threads, *(a.data_ptr() if isinstance(a, torch.Tensor) else a for a in arguments))


class HostRunner(launching.CudaRunner):
    """The CUDA runner on tensors of the CPU: a device of so many processors."""

    processors = 1

    def load(self, device, form="plain"):
        """Compile for the host."""
        if (0, form) not in self._modules:
            library = build.load_cpp(on_host(cuda.source(self._scalar, self._exact, form)))
            threads, light = cuda.THREADS[form], self._light(form)
            self._modules[0, form] = HostModule(library, 0, self.processors, threads, light)
        return self._modules[0, form]
