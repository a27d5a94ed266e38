"""Procedural rooms: from a seed to a scene dictionary (`room.py`).

A scene dictionary has the form that Mitsuba's `load_dict` takes, but nothing in it needs Mitsuba.
`rendering.scene.to_mitsuba` converts these values of ours:

    numpy array under any other key  (4, 4), a matrix             -> ScalarTransform4f
    `image`   (H, W, 3) float32, linear                           -> `bitmap`, of a texture or an environment
    `repeat`  (u, v): how often an image repeats across a surface -> `to_uv`, and `raw`: the image is linear
    `mesh`    rooms.meshes.Mesh                                   -> `filename`, of a PLY file

and leaves these to rendering.animation:

    `moves`   rooms.moving.Movement, of a shape
    `flicker` rooms.moving.Flicker, of an emitter

Lengths are in meters, y is up. Reflectances are linear, in [0, 1]; radiance is linear, in the room's own unit.
"""
