"""Calls Mitsuba: sensors, integrators, and one picture of a loaded scene.

Letters: H rows, W columns, C channels, of Mitsuba's pictures (H, W, C).
"""

import drjit
import mitsuba as mi
import numpy as np

from rendering.cameras import Camera
from rendering.scene import scene_size

AUXILIARY = "depth:depth,normal:sh_normal,albedo:albedo"  # for Mitsuba's aov integrator: 7 channels
WHERE = "position:position,shape:shape_index,face:prim_index"  # of the surface: 5 channels more
BOX = {"type": "box"}
MOST_RECORDINGS = 6  # of one kind of call; a scene that needs more is faster without


class Tracer:
    """Renders pictures of one scene.

    In LLVM and CUDA, Mitsuba goes through every material of the scene in each call before it renders, which in a
    furnished room takes several times as long as a small picture itself. Here Dr.Jit records a call the first times,
    then repeats it with other cameras, seeds and meshes. The results are the same.
    """

    def __init__(self, scene, integrator):
        """integrator: of the colors."""
        aovs = {"surfaces": AUXILIARY, "points": f"{AUXILIARY},{WHERE}"}
        self.scene = scene
        self.integrators = {name: mi.load_dict({"type": "aov", "aovs": text}) for name, text in aovs.items()}
        both = {"type": "aov", "aovs": aovs["points"], "image": integrator}
        self.integrators |= {"color": integrator, "color and points": mi.load_dict(both)}
        self.records = not mi.variant().startswith("scalar")
        self.recordings: dict[tuple, tuple] = {}  # sensor and recorded call, by what they depend on

    def __call__(
        self, what: str, spp: int, camera: Camera, size: tuple[int, int], seed: int, offset=(0.0, 0.0), splat=None
    ) -> np.ndarray:
        """(H, W, C) float32; what: a key of `integrators`; see make_sensor for the others."""
        # without a recording
        if not self.records:
            sensor = make_sensor(camera, size, self.scene, seed, offset, splat)
            return np.array(mi.render(self.scene, sensor=sensor, integrator=self.integrators[what], spp=spp, seed=seed))

        # the recorded call of this kind
        key = what, spp, size, str(splat)
        if not self.recordings:
            self._trace_a_path(camera)
        if key not in self.recordings:
            self.recordings[key] = make_sensor(camera, size, self.scene, 0, offset, splat), self._record(what, spp)
        sensor, recorded = self.recordings[key]  # Mitsuba adds the sampler's seed, here 0, to that of the call

        # repeated, unless this scene cannot be recorded
        place(sensor, camera, size, offset)
        try:
            image = np.array(recorded(self.scene, sensor, mi.UInt32(2 * seed % 2**32)))
        except RuntimeError as error:
            if "frozen function" not in str(error):
                raise
            self.records = False  # a material or light of this scene cannot be recorded
            return self(what, spp, camera, size, seed, offset, splat)
        if recorded.n_recordings > MOST_RECORDINGS:
            self.records = False  # something that moves changes more than Dr.Jit can follow
            self.recordings.clear()
        return image

    def _trace_a_path(self, camera: Camera) -> None:
        """Makes Mitsuba make what it makes when it is first needed; that must be there before anything is recorded."""
        sampler = mi.load_dict({"type": "independent"})
        sampler.seed(0, 1)
        ray, _ = make_sensor(camera, (1, 1), self.scene, 0).sample_ray(0, 0, (0.5, 0.5), (0.5, 0.5))
        self.integrators["color"].sample(self.scene, sampler, ray)  # not evaluated, so nothing is compiled

    def _record(self, what: str, spp: int):
        """A function of scene, sensor and seed that Dr.Jit records."""

        def trace(scene, sensor, seed):
            return mi.render(scene, sensor=sensor, integrator=self.integrators[what], spp=spp, seed=seed)

        # lights and materials are named as well, since Dr.Jit misses those that only others refer to
        parts = (*self.scene.emitters(), *(shape.bsdf() for shape in self.scene.shapes()))
        return drjit.freeze(trace, state_fn=lambda scene, sensor, seed: parts, auto_opaque=False)


def make_sensor(camera: Camera, size: tuple[int, int], scene, seed: int, offset=(0.0, 0.0), splat: dict | None = None):
    """Mitsuba's sensor for a (H, W) picture with float32 pixels.

    seed: of the sampler. A call of mi.render takes one as well, but in the scalar variant noise repeats after
        2^32 / (H W) of those.
    offset: of all samples from their pixels, (x right, y down) in pixels.
    splat: Mitsuba's reconstruction filter, a box without.
    """
    reach = scene_size(scene)
    film = {"type": "hdrfilm", "width": size[1], "height": size[0], "rfilter": splat or BOX}
    film |= {"component_format": "float32", "pixel_format": "rgb", "banner": False}
    sensor = {
        "fov": camera.fov,
        "fov_axis": "x",
        "near_clip": 1e-6 * reach,  # Mitsuba measures depth from here
        "far_clip": 1e3 * reach,
        "film": film,
        "sampler": {"type": "independent", "seed": seed},
    }
    made = mi.load_dict({"type": "perspective"} | sensor)
    place(made, camera, size, offset)
    return made


def place(sensor, camera: Camera, size: tuple[int, int], offset: tuple[float, float]) -> None:
    """Moves a sensor of make_sensor to a camera, a pinhole; size, offset: as there."""
    parameters = mi.traverse(sensor)
    parameters["principal_point_offset_x"] = offset[0] / size[1]
    parameters["principal_point_offset_y"] = offset[1] / size[0]
    parameters["x_fov"] = camera.fov
    origin, target, up = (list(vector) for vector in (camera.origin, camera.target, camera.up))
    look = mi.ScalarTransform4f().look_at(origin=origin, target=target, up=up)
    parameters["to_world"] = look if mi.variant().startswith("scalar") else mi.AffineTransform4f(look)
    parameters.update()
