"""What a model is for in a room: a table of roles, and how a role is found from a model's names.

To add a role, add two lines to TABLE; to add kinds of things to a role, add words to its lines.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """A kind of thing. words: found in its names, also several with spaces; low, high: its heights, in meters."""

    words: tuple[str, ...]
    low: float
    high: float


# For each role: its lowest and highest height, in meters, and the words for it.
# A model whose size is in no catalogue is scaled to such a height.
TABLE = """
seat 0.3 1.3
    chair, armchair, stool, seat, bench, puff, pouf, ottoman, rocking chair, wheelchair, high chair
sofa 0.55 1.1
    sofa, couch, settee, loveseat, divan, futon, daybed, day bed, sofa seat
table 0.3 1.2
    table, desk, workbench, counter, island, chessboard table, football table, pool table, table tennis
bed 0.3 2.0
    bed, crib, cot, mattress, bunk bed
storage 0.3 2.5
    cabinet, shelf, shelves, wardrobe, bookcase, bookshelf, dresser, cupboard, chest, drawers, sideboard, buffet,
    nightstand, locker, rack, tv stand, vanity, safe, bedside table, dressing table, changing table, commode, library,
    tv cabinet, television cabinet, unit, clothes rack, fireplace
appliance 0.4 2.2
    oven, stove, fridge, refrigerator, freezer, chest freezer, washing machine, dryer machine, clothes horse,
    dishwasher, cooker, washbasin, bath, bathtub, toilet, toilets unit, bidet, urinal, shower, shower stall, lavatory,
    sink cabinet, boiler, water heater, water cooler, radiator, furnace, piano, treadmill, bike indoor, indoor bike,
    fitness, fitness tower, abdominal bench, basin, flipper, speaker, copier, table fan, rigged fan, heater, chimney
plant 0.15 2.4
    plant, cactus, orchid, flower, tulip, bonsai, bonsai tree, ficus, yucca, spathiphyllum, lily, succulent, fern,
    houseplant, bamboo, christmas tree, flower box, rose
person 0.7 2.0
    male, female, man, woman, boy, girl, person, human, people, character, mannequin, child, baby
animal 0.15 1.0
    animal, dog, cat, bulldog, rabbit, chicken, bird, horse, deer, pet
vehicle 0.5 3.0
    vehicle, car, truck, bus, van, suv, bike, bicycle, motorbike, motorcycle, scooter, tricycle, fork lift, stroller,
    smart car, ford focus, seat leon, peugeot, renault, yamaha, rowboat, boat, mower, wheelbarrow, chevrolet,
    shipping container
lamp-floor 1.0 2.1
    floor lamp, standing lamp, floor light, lampadaire
lamp-table 0.15 0.9
    lamp, light, table lamp, desk lamp, lantern, bedside lamp
lamp-ceiling 0.1 1.2
    pendant, chandelier, ceiling lamp, ceiling light, hanging light, pendant lamp, chandelier lamp, hanging lamp,
    ceiling fan, suspension
wall 0.05 1.2
    picture, painting, poster, frame, clock, cuckoo clock, mirror, white board, whiteboard, calendar, wall light,
    wall lamp, wall, upper cabinet, upper corner cabinet, small upper cabinet, upper shelves cabinet, hood,
    range hood, switch, socket, plug, intercom, thermometer, smoke detector, emergency sign, cctv, dart game,
    air conditioning, towel rack, extinguisher, wall hanger, shower head, surveillance camera, electric water heater,
    gaz water heater, flat tv, wall flat tv, entry bell, entry speech unit, speech unit, air conditioning unit,
    air conditioning internal unit, number lock, toilet paper dispenser, tv set
window 0.4 2.5
    window
door 1.8 2.6
    door, elevator
outdoor 0.3 8.0
    tree, palm, pine, acacia, cypress, poplar, maple, beech, hedge, bush, swing, seesaw, hut, tent, camping tent,
    fountain, rock, fence, railing, umbrella, mailbox, letters box, deck chair, beach chair, pool lounge, relax chair,
    hammock, street lamp, street light, outdoor lamp, stone lantern, snowman, goal, football goal, barnum, sandpit,
    trampoline, jacuzzi, dog house, basketball net, plant box, wood bank, bank, children game, garden, exterior,
    outdoor, doll garden, peach blossom, coconut tree, external unit, air conditioning external unit
rug 0.005 0.06
    rug, carpet, doormat, tatami, mat
stairs 1.5 6.0
    stairs, staircase, spiral staircase, escalator, stair
ground 0.001 3.0
    parking slot, crossing, rails, arrow, swimming pool, pool, diving board
small 0.02 0.6
    cup, glass, bottle, bowl, plate, book, vase, jar, pot, box, toy, phone, laptop, computer, printer, camera, radio,
    clock, watch, keys, pan, knife, knife stand, fork, spoon, tool, towel, comb, soap, brush, sponge, basket, dustbin,
    teapot, bread, cake, fruits, apples, hat, cap, shoe, shoes, sneakers, slippers, glove, bag, handbag, suitcase,
    backpack, ball, basketball, gift, figurine, statue, pottery, candle, car model, toaster, microwave, blender,
    mixer, tray, kettle, small oven, hot dog, roasted chicken, tennis bat, remote control, boot, moccasin, game,
    guitar, skirt, dress, jacket, suit, trouser, briefcase, headphone, helmet, pencil, pen, ruler, scissor, marker,
    screen, tablet, joystick, aquarium, chessboard, racket, barrel, crate, doll, teddy bear, puzzle, xylophone,
    hammer, drill, saw, screwdriver, step ladder, scale, stereo, station, tv, television, extinguisher, rocking horse,
    monitor, coffee machine, coffee brewer, coffee press, dvd player, kitchen, decoration, ornament
other 0.02 3.0
    other
"""


def read_roles(table: str) -> dict[str, Role]:
    """The roles of a table, by name: a line `name low high`, then indented lines of words with commas between them."""
    roles = {}
    for block in re.split(r"\n(?=\S)", table.strip()):
        header, words = block.split("\n", 1)
        name, low, high = header.split()
        roles[name] = Role(tuple(word.strip() for word in words.split(",")), float(low), float(high))
    return roles


ROLES = read_roles(TABLE)
LAMP_HEIGHT = ROLES["lamp-table"].high  # higher lamps stand on the floor


def words_of(text: str) -> list[str]:
    """The words of a name, in lower case and without plurals: "TV stand, deckChairs2" -> tv stand deck chair."""
    text = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    return [single(word) for word in re.findall(r"[^\W\d_]+", text.lower())]


def single(word: str) -> str:
    """A word without the s of a plural."""
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


# Words as words_of gives them, with their role.
PHRASES = [(words_of(word), name) for name, role in ROLES.items() for word in role.words]


def role_of(*names: str) -> str:
    """The role of the first name that contains a word of ROLES; "other" if none does.

    English puts what a thing is last ("piano bench"), before any "with" or "and": the match that ends last counts, and
    among those the longest.
    """
    for name in names:
        # only the thing itself
        words = words_of(name)
        for stop in ("with", "and", "on", "of", "for"):
            words = words[: words.index(stop)] if stop in words[1:] else words

        # its last and longest match
        best = (0, 0, "")
        for phrase, role in PHRASES:
            for start in range(len(words) - len(phrase) + 1):
                end = start + len(phrase)
                if words[start:end] == phrase and (end, len(phrase)) > best[:2]:
                    best = (end, len(phrase), role)
        if best[2]:
            return best[2]
    return "other"
