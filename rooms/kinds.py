"""The kinds of procedural scenes that `render.py --kind` offers."""

from rooms.plain import make_plain
from rooms.room import make_room

KINDS = {"room": make_room, "plain": make_plain}
