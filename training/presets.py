"""The networks that `train.py --network` names; to add one, add a line to NETWORKS. No PyTorch, for a quick --help.

Their entries are the arguments of model.make_denoiser: `channels`, the widths of the encoder levels, full size first;
`patch`, the side of the squares of pixels that enter as one; `means`, the sides of the squares whose mean radiance it
sees; `kernels`, whether it filters with kernels that it predicts, along the motion, instead of predicting colors;
`radius`, that of the kernels below full size: all pixels within so many steps, 13 for 2; `finest_radius`, that of those
at full size, 1 unless it is given; `detail`, the size of its detail stage (networks/detail.py), if it has one.
"""

PATCHES = (1, 2, 4)
KERNEL_PATCH = 2  # with kernels, the only one
MEAN_SIZES = (4, 8, 16, 32)
RADII = (1, 2)
FINEST_RADII = (0, 1)
DETAILS = ("none", "small", "base")
NETWORKS = {
    "default": {"channels": (32, 48, 64, 96, 128), "patch": 2, "kernels": True, "radius": 2},
    "fast": {"channels": (16, 32, 48, 64, 96), "patch": 2, "kernels": True, "radius": 1, "finest_radius": 0},
    "direct": {"channels": (48, 64, 96, 128, 128), "patch": 2, "means": (8, 32)},
    "direct-fast": {"channels": (32, 48, 64, 96, 128), "patch": 2, "means": (8, 32)},
    "paper": {"channels": (32, 43, 57, 76, 101, 101), "patch": 1, "means": ()},  # each 4/3 of the last (section 4.1)
}
