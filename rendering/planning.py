"""Plans camera paths: along a camera file, around a scene's own camera, or through a procedural room.

Lengths are the scene's (meters in rooms), y is up in rooms. Rays, in the variant PLANNER, check that a path keeps clear
of everything.
"""

from collections.abc import Callable

import mitsuba as mi
import numpy as np

from files import InputError
from rendering.cameras import Camera, along, around, keeps_clear, read_key_frames
from rendering.content import content, planning_key
from rendering.jobs import FileSource, Plan, RoomSource, Settings, Source
from rendering.paths import CLEARANCES, plan_path, with_lens
from rendering.scene import load_scene, scene_size
from rooms.floor import Room
from rooms.kinds import build
from rooms.room import THING

PLANNER = "scalar_rgb"  # works everywhere, so that every machine plans the same camera paths
HORIZON = 256  # frames of a path through a room; a longer sequence goes back and forth along it
SHOTS = 60  # candidates for the path through a room
MOVES = ("pan", "dolly", "truck", "orbit", "crane")
SPEEDS = (-2.7, -0.85)  # logarithm of meters per frame: from 2 mm to 14 cm, up to some ten pixels of 256


def plan_or_recall(source: Source, frames: int, found: dict | None, settings: Settings) -> Plan:
    """The plan of a sequence; its cameras from its record where that was made in the same way, which saves seconds.

    found: the record (see jobs.read_record), None if there is none.
    Raises as `plan` and rendering.content.content.
    """
    key = planning_key(source, settings)
    if not found or found.get("planning") != key or len(found["cameras"]) < frames:
        cameras = plan(source, frames, settings)  # first: it names what is wrong with a scene
        return Plan(content(source), key, cameras, moving(source), visible(source, cameras))
    recalled = isinstance(source, RoomSource) and source.as_list() == found["source"]
    known = found["content"] if recalled else content(source)
    return Plan(known, key, found["cameras"][:frames], found.get("moving", 0), tuple(found.get("visible", ())))


def moving(source: Source) -> int:
    """How many things in a scene move by themselves."""
    _, _, animation = load_scene(source, PLANNER, None)
    return len({mover.movement for mover in animation.movers.values()})


def visible(source: Source, cameras: list[Camera]) -> tuple[str, ...]:
    """The artists' models that rays through the first, the middle and the last picture meet first."""
    if not isinstance(source, RoomSource) or source.stock is None:
        return ()
    scene, *_ = load_scene(source, PLANNER, None)
    room, _ = build(source.seed, source.split, source.number, source.kind, source.stock)
    found = set()
    for camera in (cameras[0], cameras[len(cameras) // 2], cameras[-1]):
        for direction in camera.directions((24, 36)).reshape(-1, 3).tolist():
            shape = scene.ray_intersect(mi.Ray3f(list(camera.origin), direction)).shape
            if shape is not None:
                found.add(room.models.get(int(shape.id().removeprefix(THING))))
    return tuple(sorted(found - {None}))


def plan(source: Source, frames: int, settings: Settings) -> list[Camera]:
    """The cameras of a sequence. Loads the scene, so that a bad one is reported before anything is written.

    Raises InputError naming the scene or camera file and what is wrong with it.
    """
    scene, *_ = load_scene(source, PLANNER, None)
    size = settings.height, settings.width
    if isinstance(source, RoomSource) and settings.speed_range is None:
        path = plan_room(source, frames)
    elif isinstance(source, RoomSource):
        room, rng = build(source.seed, source.split, source.number, source.kind, source.stock)
        path = back_and_forth(plan_path(room, rng, distances(scene), settings.speed_range, size), frames)
    elif source.camera is None:
        path = plan_scene(source, frames)
    else:
        path = along(read_key_frames(source.camera), frames, source.speed, source.start)
    return with_lens(path, distances(scene), settings.lens, settings.width) if settings.lens else path


def plan_room(source: RoomSource, frames: int) -> list[Camera]:
    """The camera path of a procedural room: the first of SHOTS candidates that keeps clear of everything.

    Where none does, the clearance shrinks; where none ever does, the camera stands still.
    """
    # candidates, from the generator in the state that the room leaves, each drawn when it is first needed
    room, rng = build(source.seed, source.split, source.number, source.kind, source.stock)
    shots: list[list[Camera]] = []

    # the first that keeps clear
    scene, *_ = load_scene(source, PLANNER, None)
    for clearance, sight, _ in CLEARANCES:
        for number in range(SHOTS):
            if number == len(shots):
                shots.append(shot(room, rng, HORIZON))
            if keeps_clear(distances(scene), shots[number], clearance, sight):
                return back_and_forth(shots[number], frames)
    return [shots[0][0]] * frames


def back_and_forth(path: list[Camera], frames: int) -> list[Camera]:
    """The first `frames` cameras along a path that turns round at its ends.

    So a longer one begins as a shorter one does.
    """
    there_and_back = path + path[-2:0:-1]
    return [there_and_back[frame % len(there_and_back)] for frame in range(frames)]


def plan_scene(source: FileSource, frames: int) -> list[Camera]:
    """A slow loop around the scene's own camera, as wide as keeps clear of everything.

    Raises InputError where the scene has no camera, or no free space around it.
    """
    # the scene's own camera, looking at what it sees in the middle
    scene, *_ = load_scene(source, PLANNER, None)
    if not scene.sensors():
        raise InputError(f"{source.path}: the scene has no camera of its own; give --camera camera.json")
    sensor = mi.traverse(scene.sensors()[0])
    if "x_fov" not in sensor or "to_world" not in sensor:
        kind = str(scene.sensors()[0]).partition("[")[0]
        raise InputError(f"{source.path}: the scene's own camera is no pinhole but {kind}; give --camera camera.json")
    matrix = np.array(sensor["to_world"].matrix)
    origin, up = matrix[:3, 3], matrix[:3, 1]
    forward = matrix[:3, 2] / np.linalg.norm(matrix[:3, 2])
    distance = min(distances(scene)(origin[None], forward[None])[0], scene_size(scene))
    vectors = (tuple(float(v) for v in vector) for vector in (origin, origin + distance * forward, up))
    own = Camera(*vectors, float(np.ravel(sensor["x_fov"])[0]))

    # the widest loop that keeps clear
    for radius in 0.15 * distance * 0.7 ** np.arange(12):
        if keeps_clear(distances(scene), around(own, radius, 240, 1.0), 0.2 * radius, radius):
            return around(own, radius, frames, source.speed)
    raise InputError(f"{source.path}: no free space around the scene's own camera; give --camera camera.json")


def distances(scene) -> Callable:
    """How far rays go in a scene of the variant PLANNER, for cameras.keeps_clear."""

    def cast(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        rays = zip(origins.tolist(), directions.tolist(), strict=True)
        return np.array([scene.ray_intersect(mi.Ray3f(o, d)).t for o, d in rays])

    return cast


def shot(room: Room, rng: np.random.Generator, frames: int) -> list[Camera]:
    """A random camera path through a room: one of MOVES, always at a steady pace or with stops.

    It may run into things. A longer path begins as a shorter one.
    """
    # where the camera stands and what it looks at
    width, height, depth = room.size
    eye = rng.uniform(-0.5, 0.5, 3) * (width - 0.6, 0, depth - 0.6) + [0, rng.uniform(0.7, min(2.0, height - 0.4)), 0]
    sight = room.sights[rng.integers(len(room.sights))] + rng.normal(0, 0.2, 3)
    sight = eye + (sight - eye) * max(1.0, 1.2 / max(np.linalg.norm(sight - eye), 1e-3))

    # how it moves
    move, fov = MOVES[rng.integers(len(MOVES))], float(rng.uniform(40, 80))
    direction, reach = rng.choice([-1, 1]), rng.uniform(0.3, 1.2)
    walked = pace(rng, frames) * 10 ** rng.uniform(*SPEEDS)  # (frames,) meters
    offsets = direction * (reach * np.sin(walked / reach))  # to and fro, so that long sequences stay in the room

    # the camera of each frame
    cameras = []
    for offset in offsets:
        origin, target = moved_camera(move, eye, sight, offset)
        cameras.append(Camera(tuple(map(float, origin)), tuple(map(float, target)), (0.0, 1.0, 0.0), fov))
    return cameras


def pace(rng: np.random.Generator, frames: int) -> np.ndarray:
    """How far along a path each frame is, (frames,), in steps of a steady walk: steady, or going and stopping."""
    if rng.random() < 0.6:
        return np.arange(frames, dtype=float)
    period, phase = rng.uniform(12, 40), rng.uniform(0, 1.57)  # going at first, for the sake of short sequences
    speed = np.clip(0.5 + 1.2 * np.sin(2 * np.pi * np.arange(frames) / period + phase), 0, 1)
    return np.concatenate([[0], np.cumsum(speed)[:-1]])


def moved_camera(move: str, eye: np.ndarray, sight: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """The origin and target, (3,) each, of a camera at `eye` that looks at `sight`, after one of MOVES.

    offset: in meters; pan and orbit turn by offset / 1.5 radians.
    """
    view = sight - eye
    length, angle = np.linalg.norm(view), offset / 1.5
    side = np.cross(view / length, [0, 1, 0])
    if move == "pan":
        return eye, eye + np.cos(angle) * view + np.sin(angle) * length * side
    if move == "dolly":
        origin = eye + offset * (view / length)
        return origin, origin + view
    if move == "truck":
        return eye + offset * side, sight + offset * side
    if move == "crane":
        return eye + np.array([0, offset * 0.6, 0]), sight
    cos, sin, (x, y, z) = np.cos(angle), np.sin(angle), eye - sight
    return sight + np.array([cos * x + sin * z, y, cos * z - sin * x]), sight
