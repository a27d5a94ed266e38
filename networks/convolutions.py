"""The convolutions of the recurrent U-Net.

Shapes: B pictures, C channels, H rows and W columns, of some level.
"""

import torch
import torch.nn.functional as F
from torch import nn

LEAK = 0.1  # slope of the leaky ReLU (Chaitanya et al. 2017, section 4.1)


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, initialized for leaky ReLU (He et al. 2015)."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=LEAK, nonlinearity="leaky_relu")
    nn.init.zeros_(layer.bias)
    return layer


def activate(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU with slope 0.1, in place: every caller passes a fresh convolution output."""
    return F.leaky_relu(x, LEAK, inplace=True)
