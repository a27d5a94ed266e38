"""Pins train.py's options: one table, checkpoint defaults, every `auto` decided before the run, a quick --help."""

import re
import subprocess
import sys

import pytest
from support import QUICK, ROOT

from machine import usable_cores
from training.presets import PRESETS
from training.resolve import resolve
from training.training_options import OPTIONS, build_parser, parse_options, saved_options


def test_networks_by_name_and_by_widths():
    def chosen(*arguments):
        options = parse_options(["data", *arguments])
        return options.kind, tuple(options.channels), options.radius

    assert chosen("--network", "paper")[:2] == ("paper", PRESETS["paper"]["channels"])
    assert chosen() == chosen("--network", "default") != chosen("--network", "fast")
    assert chosen("--network", "fast", "--channels", "8", "10")[:2] == ("filtering", (8, 10))


def test_loading_processes_only_where_cores_are_idle():
    def chosen(*more):
        return resolve(parse_options(["dataset", "--accelerator", "cpu", *more])).num_workers

    assert chosen() == 0 and chosen("--num_workers", "3") == 3
    assert chosen("--cache_dir", "none") == min(8, usable_cores() // 2)


def test_nothing_is_auto_after_resolving_but_what_lightning_decides():
    options = parse_options(["dataset"])
    before = dict(vars(options))
    settings = resolve(options)
    undecided = {name for name, value in vars(settings).items() if value == "auto"}
    assert undecided == {"accelerator", "devices", "strategy"} and vars(options) == before
    assert settings.cache_dir == options.dataset / ".cache" and settings.albedo is True
    assert resolve(options, has_albedo=False).albedo is False
    assert resolve(options, saved={"demodulate": False}).albedo is False


def test_short_names_of_precisions_are_lightnings_long_ones():
    assert resolve(parse_options(["data", "--precision", "16"])).precision == "16-mixed"
    assert not resolve(parse_options(["data", "--precision", "16"])).fused  # Lightning cannot unscale its gradients
    assert resolve(parse_options(["data", "--precision", "bf16"])).precision == "bf16-mixed"


def test_a_checkpoint_keeps_what_the_user_gave():
    kept = saved_options(parse_options(["dataset", *QUICK]))
    assert kept == {
        "batch_size": 2,
        "sequence_length": 3,
        "crop_size": 16,
        "samples_per_epoch": None,
        "augment": ["reverse", "stop", "flip", "rotate", "modulate"],
        "albedo": "auto",
        "channels": [8, 10],
        "radius": 2,
        "finest_radius": 1,
        "detail": "none",
        "filter_rate": 1.0,
        "detail_rate": 1.0,
        "loss": "paper",
        "schedule": "paper",
        "learning_rate": 5e-4,
        "ramp_epochs": 10,
        "clip": 0.5,
        "precision": "auto",
        "seed": 0,
        "average": "on",
    }


def test_the_schedule_suits_the_network_and_needs_an_end(capsys):
    def chosen(*more):
        return parse_options(["dataset", *more]).schedule

    assert chosen("--network", "default") == chosen("--network", "fast") == "cosine"
    assert chosen("--network", "paper") == chosen("--network", "default", "--max_epochs", "-1") == "paper"
    with pytest.raises(SystemExit):
        chosen("--schedule", "cosine", "--max_epochs", "-1")
    assert "--schedule cosine ends at --max_epochs, which is -1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "direct"], "invalid choice: 'direct'"),
        (["--radius", "3"], "invalid choice: 3"),
        (["--channels", "0"], "argument --channels: "),
    ],
)
def test_wrong_networks_are_errors_of_the_parser(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parse_options(["dataset", *arguments])
    assert message in capsys.readouterr().err


def test_help_lists_every_option_in_its_group():
    said = build_parser().format_help()
    for (title, _), options in OPTIONS.items():
        assert f"\n{title}:\n" in said and all(o.flag in said and o.arguments["help"] for o in options)
    assert all(name in said for name in PRESETS)


@pytest.mark.parametrize("arguments", [["--help"], ["dataset", "--network", "none"]])
def test_help_and_errors_do_not_wait_for_pytorch(arguments):
    command = [sys.executable, "-X", "importtime", ROOT / "train.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "usage: train.py" in done.stdout + done.stderr
    assert not re.search(r"\| +(torch|lightning\w*|pytorch_lightning)$", done.stderr, re.MULTILINE)
