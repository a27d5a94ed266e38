"""Pins golden values, so that no change of the code or of a library passes unseen: see golden.py.

Tolerances: float32 sums are taken in another order by other vector instructions (AVX2, AVX-512, ARM) and by another
version of PyTorch, and exponents and a recurrence enlarge that. Seen between AVX-512 and none, with and without oneDNN:
1e-6 of an image's largest value, 6e-6 of a number. The tolerances are far above that, and still far below what
anyone could see.
"""

import golden
import pytest
import torch

IMAGES = 1e-4  # of the largest value
NUMBERS = 2e-4  # relative
IMAGES_OF, VALUES = golden.expected()


@pytest.fixture(scope="module", params=golden.NETWORKS)
def reconstruction(request):
    return request.param, golden.images(request.param)


def test_images_of_every_network(reconstruction):
    name, images = reconstruction
    assert (images[-1] - IMAGES_OF[name]).abs().max() < IMAGES * IMAGES_OF[name].max()


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
