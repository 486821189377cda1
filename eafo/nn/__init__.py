"""Activations as layers of a network."""

from __future__ import annotations

from eafo.nn.channels import by_channel
from eafo.nn.module import Module

__all__ = ["Module", "by_channel"]
