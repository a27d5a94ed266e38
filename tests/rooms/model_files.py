"""Model files for the tests: a cube as an OBJ file with its material, pictures, catalogues."""

from PIL import Image

from rooms.models import Model

CUBE = """mtllib cube.mtl
v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\nv 1 0 1\nv 1 1 1\nv 0 1 1
vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1
usemtl skin of cube
f 1/1 4/4 3/3 2/2\nf 5/1 6/2 7/3 8/4\nf 1/1 2/2 6/3 5/4\nf 4/1 8/2 7/3 3/4\nf 1/1 5/2 8/3 4/4\nf 2/1 3/2 7/3 6/4
"""


def write_cube(folder, name="cube", mtl="Kd 0.5 0.5 0.5\n", text=CUBE):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.obj").write_text(text.replace("cube.mtl", f"{name}.mtl"))
    (folder / f"{name}.mtl").write_text("newmtl skin of cube\n" + mtl)
    return Model(str(folder), f"{name}.obj", name, "other", size=(1.0, 1.0, 1.0))


def write_picture(path, color=(255, 128, 0), mode="RGB", size=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)


def write_catalogue(folder, *rows):
    columns = rows[0].keys()
    lines = ["\t".join(columns), *("\t".join(row.values()) for row in rows)]
    (folder / "catalogue.tsv").write_text("\n".join(lines) + "\n", "utf-8")


def image_of(thing):
    """The texture of a thing of one matt shape; None without one."""
    return thing.shapes[0]["bsdf"]["bsdf"]["reflectance"].get("image")
