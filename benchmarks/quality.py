"""What reconstructions are worth: networks, Open Image Denoise and plain accumulation on one test set, in one run.

    python -m benchmarks.quality DATASET/test results --checkpoint default=weights/default.safetensors \\
        --checkpoint paper=runs/version_0/checkpoints/last.ckpt

PSNR, SSIM, FLIP, relMSE, temporal PSNR, ColorVideoVDP (in just-objectionable differences, 10 is best), and the ratio of
mean luminance to the target's; sRGB at one exposure per sequence. Per scene and mean, per frame index, with and without
the first four frames. Writes results/quality.json, and a strip and a video for each scene.
Without `pip install -r benchmarks/requirements.txt`, there is no ColorVideoVDP.
"""

import argparse
import json
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks import methods
from benchmarks.reporting import machine, report
from files import atomic_file
from frames.channels import PLAIN_INPUTS
from frames.exr import load_target
from frames.radiance import exposure_of, luminance, tone_map
from frames.sequences import find_test_sequences
from scoring.flip import flip_map
from scoring.metrics import NAMES, WARM_UP, SequenceScore
from scoring.pictures import save_png, side_by_side, to_bytes
from scoring.video import open_video

COLUMNS = (*NAMES, "flip", "luminance", "cvvdp")
FRAMES_PER_SECOND = 24  # for ColorVideoVDP


def list_methods(checkpoints: dict[str, Path], most_spp: int) -> dict[str, methods.Method]:
    """Everything that is compared, by title. Networks that use motion also run without motion and without albedo."""
    found = {"noisy": methods.noisy(1)}
    for quality, spp in product(methods.QUALITIES, range(1, most_spp + 1)):
        found[f"oidn {quality}, {spp} spp"] = methods.open_image_denoise(quality, spp)
    found |= {"accumulation": methods.accumulate, "accumulation, oidn high": methods.accumulate_then_oidn}
    for name, path in checkpoints.items():
        found[name] = methods.network(path, direction="both")
        found[f"{name}, forward"] = methods.network(path)
        if "motion" in methods.load_denoiser(path).inputs:
            for left_out in (("motion",), ("albedo",), ("motion", "albedo")):
                found[f"{name}, no {' or '.join(left_out)}"] = methods.network(path, left_out, direction="both")
            found[f"{name}, forward, no motion"] = methods.network(path, ("motion",))
    return found


def score_sequence(images: list[torch.Tensor], targets: list[torch.Tensor], exposure: float, video) -> dict:
    """{"frames": [{metric: value}, ...], "cvvdp": value} of (3, H, W) linear radiance.

    video: a pycvvdp.cvvdp, None to leave that out.
    """
    score, rows = SequenceScore(exposure), []
    srgb = [[tone_map(x, exposure) for x in sequence] for sequence in (images, targets)]
    for image, target, *pair in zip(images, targets, *srgb, strict=True):
        score.update(image, target, *pair)
        ratio = float(luminance(image).mean() / luminance(target).mean())
        rows.append(score.frames[-1] | {"flip": float(flip_map(*pair).mean()), "luminance": ratio})
    if video is None:
        return {"frames": rows, "cvvdp": None}
    test, reference = (torch.stack(x, 1) for x in srgb)  # (3, T, H, W)
    quality, _ = video.predict(test, reference, dim_order="CFHW", frames_per_second=FRAMES_PER_SECOND)
    return {"frames": rows, "cvvdp": float(quality)}


def make_video_metric():
    """ColorVideoVDP for a usual display, None if it is not installed."""
    if not find_spec("pycvvdp"):
        return None
    import pycvvdp

    return pycvvdp.cvvdp(display_name="standard_fhd")


def mean(rows: list[dict], names: tuple[str, ...]) -> dict[str, float]:
    """The mean of each of these values over the rows that have it."""
    values = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    return {name: sum(found) / len(found) for name, found in values.items() if found}


def summarize(scenes: dict[str, dict], skip: int) -> dict[str, float]:
    """The mean over the scenes of each scene's mean, without the first `skip` frames."""
    rows = [mean(s["frames"][skip:], COLUMNS) | {"cvvdp": s["cvvdp"]} for s in scenes.values()]
    return mean(rows, COLUMNS)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "path", type=Path, help="a dataset, a folder of scenes, or one scene's folder; all with targets"
    )
    parser.add_argument("results", type=Path, help="the folder to write to")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="NAME=FILE", help="a network; repeatable")
    parser.add_argument("--spp", type=int, default=3, help="Open Image Denoise on the mean of up to so many renderings")
    parser.add_argument("--only", nargs="+", metavar="TITLE", help="run these methods only")
    options = parser.parse_args()
    checkpoints = {name: Path(path) for name, _, path in (given.partition("=") for given in options.checkpoint)}
    compared = list_methods(checkpoints, options.spp)
    if unknown := set(options.only or ()) - compared.keys():
        parser.error(f"--only {', '.join(unknown)}: expected some of {', '.join(compared)}")
    compared = {title: method for title, method in compared.items() if not options.only or title in options.only}
    sequences, _ = find_test_sequences(options.path, PLAIN_INPUTS)
    options.results.mkdir(parents=True, exist_ok=True)
    video = make_video_metric()
    scores: dict[str, dict[str, dict]] = {title: {} for title in compared}
    for sequence in tqdm(sequences, desc="sequences"):
        # what every method gets, and what it is compared with
        frames = methods.read_buffers(sequence, options.spp)
        targets = [torch.from_numpy(load_target(frame.target)[0]) for frame in sequence.frames]
        exposure = exposure_of(torch.stack(targets))
        pictures = []
        for title, method in compared.items():
            images = list(method(frames))
            scores[title][sequence.label] = score_sequence(images, targets, exposure, video)
            pictures.append([to_bytes(tone_map(image, exposure)) for image in images])
            print(sequence.scene, title, summarize({"": scores[title][sequence.label]}, 0), file=sys.stderr)
        pictures.append([to_bytes(tone_map(target, exposure)) for target in targets])
        save_png(options.results / f"{sequence.scene}.png", side_by_side([p[-1] for p in pictures]))
        with open_video(options.results / f"{sequence.scene}.mp4") as video_file:
            for row in zip(*pictures, strict=True):
                video_file.add(side_by_side(list(row)))
    # tables
    rows = [{"method": title} | summarize(found, 0) for title, found in scores.items()]
    late = [{"method": title} | summarize(found, WARM_UP) for title, found in scores.items()]
    with atomic_file(options.results / "quality.json") as temporary:
        content = {"mean": rows, "after_warm_up": late, "scenes": scores} | machine()
        temporary.write_text(json.dumps(content, indent=1) + "\n")
    report("quality", rows, scenes=len(sequences), frames=sum(len(s.frames) for s in sequences))


if __name__ == "__main__":
    main()
