"""Small training runs within the test process, and comparing what they leave."""

import signal

import torch
from support import QUICK

from training.fit import train
from training.training_options import parse_options


def run_training(dataset, log_dir, *more):
    """Trains within this process, with small defaults; returns the last checkpoint's path."""
    arguments = [str(a) for a in (dataset, *QUICK, "--log_dir", log_dir, "--samples_per_epoch", 6, *more)]
    return train(parse_options(arguments), arguments)


def hear_ctrl_c():
    """Undoes what a shell does to its background jobs: they, and all that they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def assert_same_weights(a, b):
    a, b = weights(a), weights(b)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
