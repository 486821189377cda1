"""Backends: each prints a scalar program in one language. None of them imports torch.

To add a backend:

1. write ``eafo/kernels/backends/NAME.py`` with a table from `Operation` to its text, a `SUFFIX`, and
   ``source(scalar)``; put longer text in ``templates/NAME.….j2``;
2. name it in `eafo.kernels.emission`, which adds the header comment;
3. write ``eafo/kernels/launch/NAME.py``: a `Runner` that computes forward and backward on tensors;
4. name it in ``eafo.kernels.op.Kernel``, with the devices and types it serves;
5. the contract tests of ``tests/kernels`` then run over it: every catalog activation against the oracle, against
   torch, through gradcheck, and every operation through the battery.
"""

from __future__ import annotations
