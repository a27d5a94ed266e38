"""Pins golden values, so that no change of the code or of a library passes unseen: see golden.py.

Tolerances: float32 sums are taken in another order on another processor (AVX2, AVX-512, ARM) and in another version of
PyTorch, and a recurrence of kernels enlarges that. They are ten times what was seen between the vector instructions of
one processor, oneDNN and PyTorch's own convolutions, and the lowest and newest versions; a change that anyone could
see is ten times more again.
"""

import golden
import pytest
import torch

IMAGES = 1e-3  # relative to the image's mean
NUMBERS = 1e-3  # relative
IMAGES_OF, VALUES = golden.expected()


@pytest.fixture(scope="module", params=golden.NETWORKS)
def reconstruction(request):
    return request.param, golden.images(request.param)


def test_images_of_every_network(reconstruction):
    name, images = reconstruction
    assert (images[-1] - IMAGES_OF[name]).abs().max() < IMAGES * IMAGES_OF[name].mean()


def test_losses_and_metrics(reconstruction):
    name, images = reconstruction
    found = golden.numbers(images)
    assert found.keys() == VALUES[name].keys()
    for kind, values in found.items():
        assert values == pytest.approx(VALUES[name][kind], rel=NUMBERS, abs=1e-6), kind


@pytest.mark.parametrize(("name", "loss"), golden.STEPS.items())
def test_the_gradient_of_a_training_step(name, loss):
    assert golden.gradients(name, loss) == pytest.approx(VALUES[f"step of {name}"], rel=10 * NUMBERS)


def test_rendered_pixels(tmp_path):
    """Half floats of a renderer whose noise is its own: equal but for the order of sums."""
    pytest.importorskip("mitsuba")
    assert torch.allclose(golden.rendered(tmp_path), IMAGES_OF["rendered"], rtol=2e-3, atol=1e-4)
