"""The files and the scores of a scene that test.py reconstructs, and the tables of metrics.

Shapes: every image is (3, H, W), on the CPU.
"""

from pathlib import Path

import torch

from frames.exr import Header
from frames.exr_writing import write_exr
from frames.radiance import exposure_of, tone_map
from scoring.metrics import WARM_UP, SequenceScore, mean_scores
from scoring.pictures import letterbox, save_png, side_by_side, to_bytes
from scoring.video import Video

Images = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]  # noisy, reconstruction, target
SceneFrames = dict[str, list[list[dict[str, float | None]]]]  # metrics by kind, sequence and frame
KINDS = ("noisy", "denoised")
STRIP, VIDEO = "strip.png", "animation.mp4"  # in the folder of a scene


class SceneOutput:
    """Writes the files of a scene frame by frame: EXR, PNG, video, and with PNG at the end a strip of one frame.

    folder: for the files. kinds: which of options.OUTPUTS to write. video: the open video, or None.
    columns: images side by side in the video; 3 shows the target, which every frame must then have.
    size: (H, W) of such an image; smaller frames get black bars.
    exposure: for tone mapping the whole scene, or None to choose it for the first reconstruction.
    """

    def __init__(
        self,
        folder: Path,
        kinds: list[str],
        video: Video | None,
        columns: int,
        size: tuple[int, int],
        exposure: float | None,
    ):
        self.folder, self.kinds, self.exposure = folder, kinds, exposure
        self.video, self.columns, self.size = video, columns, size
        self.strip: Images | None = None

    def add(self, name: str, radiance: Images, like: Header | None = None) -> Images:
        """Writes a frame of linear radiance; returns it tone-mapped to sRGB in [0, 1].

        The target may be None. If neither a file nor a score needs sRGB, returns three None. Raises OSError where a
        file cannot be written. like: the noisy file's header, whose windows the EXR file gets.
        """
        _, reconstruction, target = radiance
        if self.exposure is None:
            self.exposure = exposure_of(reconstruction)

        # linear radiance
        if "exr" in self.kinds:
            write_exr(self.folder / f"{name}.exr", {"color": reconstruction.numpy()}, like)

        # sRGB files
        srgb = (None, None, None)
        if target is not None or self.video or "png" in self.kinds:
            srgb = tuple(image if image is None else tone_map(image, self.exposure) for image in radiance)
        pictures = [image if image is None else to_bytes(image) for image in srgb]
        if "png" in self.kinds:
            save_png(self.folder / f"{name}.png", pictures[1])
        if self.video:
            shown = [letterbox(picture, self.size) for picture in pictures[: self.columns]]
            self.video.add(side_by_side(shown))  # (3, H, W')

        # frame of the strip: the last with a target, else the last
        if target is not None or self.strip is None or self.strip[2] is None:
            self.strip = radiance
        return srgb

    def finish(self) -> None:
        """Writes strip.png if PNG is wanted: the last frame with a target, or the last frame if none has one."""
        if "png" not in self.kinds:
            return
        pictures = [to_bytes(tone_map(image, self.exposure)) for image in self.strip if image is not None]
        save_png(self.folder / STRIP, side_by_side(pictures))


class SceneScores:
    """The metrics of a scene's noisy renderings and reconstructions, per sequence and frame."""

    def __init__(self):
        self.sequences: dict[str, list[SequenceScore]] = {kind: [] for kind in KINDS}

    def start_sequence(self) -> None:
        """The next frame does not follow the last one, so the temporal metric starts again."""
        for sequences in self.sequences.values():
            sequences.append(SequenceScore())

    def add(self, radiance: Images, srgb: Images) -> None:
        """Scores a frame, given in linear radiance and in sRGB; without a target, its metrics are None."""
        for sequences, image, image_srgb in zip(self.sequences.values(), radiance[:2], srgb[:2], strict=True):
            sequences[-1].update(image, radiance[2], image_srgb, srgb[2])

    def frames(self) -> SceneFrames:
        """The metrics so far."""
        return {kind: [score.frames for score in sequences] for kind, sequences in self.sequences.items()}


def summarise(scores: dict[str, SceneFrames], skip: int) -> dict:
    """Mean metrics: {"scenes": {scene: {"noisy": M, "denoised": M}}, "mean": {"noisy": M, "denoised": M}}.

    scores: by scene, all with the same kinds. skip: frames to leave out at the start of each sequence. "mean" is over
    the scenes. Leaves out scenes without a scored frame.
    """
    scenes = {}
    for scene, kinds in scores.items():
        kept = {kind: [f for frames in sequences for f in frames[skip:]] for kind, sequences in kinds.items()}
        if any(frame["psnr"] is not None for frame in kept["denoised"]):
            scenes[scene] = {kind: mean_scores(frames) for kind, frames in kept.items()}
    means = {kind: mean_scores([scene[kind] for scene in scenes.values()]) for kind in next(iter(scores.values()))}
    return {"scenes": scenes, "mean": means}


def all_metrics(scores: dict[str, SceneFrames]) -> dict:
    """What metrics.json holds: `summarise` over all frames, and over those after the warm-up."""
    return summarise(scores, 0) | {"after_warm_up": {"frames_left_out": WARM_UP, **summarise(scores, WARM_UP)}}


def table(summary: dict) -> str:
    """The metrics of `summarise` as text, one line per scene and kind."""
    rows = [*summary["scenes"].items(), ("mean", summary["mean"])]
    width = max(len(name) for name, _ in rows)
    kind_width = max(len(kind) for kind in summary["mean"])
    metrics = list(summary["mean"]["denoised"])
    lines = [f"{'scene':<{width}}  {'':<{kind_width}}" + "".join(f"{name:>9}" for name in metrics)]
    for name, kinds in rows:
        for kind, values in kinds.items():
            cells = (f"{values[n]:9.3f}" if values[n] is not None else f"{'-':>9}" for n in metrics)
            lines.append(f"{name:<{width}}  {kind:<{kind_width}}" + "".join(cells))
    return "\n".join(lines)
