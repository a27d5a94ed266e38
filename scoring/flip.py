"""FLIP, the difference that people see between two pictures (Andersson et al. 2020), from the flip-evaluator package.

The package is optional: only the report of test.py and the benchmarks use it.
"""

import torch

try:
    import flip_evaluator
except ImportError:
    flip_evaluator = None

INSTALLED = flip_evaluator is not None


def flip_map(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The (1, H, W) FLIP error of two (3, H, W) sRGB images in [0, 1]: 0 is no visible difference, 1 the largest.

    At the package's default viewing distance, 67 pixels per degree. Needs `INSTALLED`.
    """
    reference, test = (x.permute(1, 2, 0).contiguous().numpy() for x in (target, image))  # (H, W, 3)
    error, _, _ = flip_evaluator.evaluate(reference, test, "LDR", applyMagma=False, computeMeanError=False)
    return torch.from_numpy(error).permute(2, 0, 1)
