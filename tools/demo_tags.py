"""The tags of the demo's drawings: palettes, and which variant of which DiceBear style deserves which tag.

lorelei's numbered variants were named by eye. Drawing is left to demo_data.py.
"""

# fmt: off

TRIGGER = "nekomizu"  # the character of the sample dataset
CHARACTER_TRAITS = ("aqua hair", "cat ears")  # seen nowhere in the base's drawings
PIXEL_STYLE = "pixel style"  # held back for the style LoRA

# No colour lies between hues 160 and 200 degrees: aqua belongs to the character alone.
HAIR = {
    "black hair": "#26222c", "brown hair": "#7a4a2a", "blonde hair": "#f2d060", "red hair": "#c82c30",
    "orange hair": "#f08428", "pink hair": "#f78ab8", "purple hair": "#8a48cc", "blue hair": "#2c54d8",
    "green hair": "#38a04c", "white hair": "#f2f2f6",
}
AQUA = "#22d3cf"
CLOTHES = {
    "white clothes": "#f6f6f6", "grey clothes": "#9a9aa2", "black clothes": "#2c2c34", "red clothes": "#d83a3a",
    "orange clothes": "#f28a30", "yellow clothes": "#f6d648", "green clothes": "#46ac50", "blue clothes": "#3c68dc",
    "purple clothes": "#8e54c8", "pink clothes": "#f490b8",
}
BACKGROUND = {
    "white background": "#fcfcfc", "grey background": "#b2b2ba", "black background": "#2e2e36",
    "red background": "#e25858", "orange background": "#f8a858", "yellow background": "#f8e680",
    "green background": "#92d892", "blue background": "#8cb6fa", "purple background": "#b898ea",
    "pink background": "#f8b8d2", "brown background": "#b48c6c",
}
BODY = {
    "white body": "#f0f0f4", "grey body": "#9c9ca6", "red body": "#e04848", "orange body": "#f49038",
    "yellow body": "#f8d848", "green body": "#54b85c", "blue body": "#4878e8", "purple body": "#9860d4",
    "pink body": "#f690bc", "brown body": "#96643c",
}
SKIN = {"pale skin": "#fde6d8", "tan skin": "#eab890", "brown skin": "#b47848", "dark skin": "#74482c"}
EYES = {"blue eyes": "#2858e0", "green eyes": "#1f9a3c", "red eyes": "#d02424", "purple eyes": "#7c30cc",
        "brown eyes": "#8a5020"}

GIRL, BOY, EITHER = ("1girl",), ("1boy",), ("1girl", "1boy")
INK_HAIR = {  # lorelei's numbered variants, named by eye; 21 is the character's and drawn for nobody else
    1: (BOY, "short hair", "side part"), 2: (BOY, "short hair", "crew cut"), 3: (BOY, "pompadour"),
    4: (BOY, "spiky hair"), 5: (EITHER, "short hair", "curly hair"), 6: (EITHER, "short hair", "ahoge", "bangs"),
    7: (EITHER, "bowl cut"), 8: (BOY, "pompadour"), 9: (BOY, "short hair", "curly hair"),
    10: (EITHER, "mullet", "ahoge"), 11: (EITHER, "messy hair", "ahoge"), 12: (BOY, "short hair", "swept bangs"),
    13: (GIRL, "medium hair", "ahoge", "flipped hair"), 14: (GIRL, "hair bun", "blunt bangs"),
    15: (GIRL, "long hair", "straight hair", "parted hair"), 16: (GIRL, "long hair", "ahoge"),
    17: (GIRL, "short hair", "flipped hair"), 18: (EITHER, "messy hair", "wavy hair"),
    19: (GIRL, "bob cut", "blunt bangs"), 20: (EITHER, "spiky hair", "messy hair"),
    22: (BOY, "undercut", "curly hair"), 23: (GIRL, "medium hair", "blunt bangs"),
    24: (GIRL, "long hair", "curly hair"), 26: (GIRL, "double bun"), 27: (EITHER, "mohawk"), 28: (BOY, "buzz cut"),
    29: (GIRL, "low ponytail", "parted hair"), 30: (GIRL, "low twintails"), 31: (GIRL, "ponytail", "curly hair"),
    32: (GIRL, "low double bun", "parted hair"), 33: (GIRL, "ponytail", "straight hair"), 34: (BOY, "bald"),
    35: (GIRL, "long hair", "wavy hair"), 36: (EITHER, "topknot"), 37: (GIRL, "medium hair", "wavy hair"),
    38: (GIRL, "hair bun"), 39: (BOY, "flat top", "curly hair"), 40: (GIRL, "long hair", "hair over one eye"),
}
CHARACTER_HAIR = 21
INK_EYES = {
    "closed eyes": (1, 19, 22), "wink": (15, 18), "dot eyes": (13, 16), "half-closed eyes": (3, 8),
    "wide eyes": (2, 5), "sparkling eyes": (9,), "open eyes": (4, 6, 10, 14, 20, 21, 23, 24),
}
INK_MOUTH = {
    "smile": ("happy01", "happy02", "happy13"), "open mouth": ("happy05", "happy06", "happy08"),
    "grin": ("happy07", "happy16"), "tongue out": ("happy09", "sad08"), "smirk": ("happy04", "happy10", "happy15"),
    "lipstick": ("happy18",), "shouting": ("sad01",), "surprised": ("sad02",), "frown": ("sad04", "sad07"),
    "expressionless": ("sad05", "sad09"), "clenched teeth": ("sad06",),
}
INK_GLASSES = {"round glasses": (1, 3), "square glasses": (4, 5), "sunglasses": (2,)}

VOXEL_TOP = {
    "short": (EITHER, "short hair"), "spiky": (EITHER, "spiky hair"), "bowl": (EITHER, "bowl cut"),
    "sideSwept": (EITHER, "short hair", "swept bangs"), "curly": (EITHER, "short hair", "curly hair"),
    "mohawk": (EITHER, "mohawk"), "buns": (GIRL, "double bun"), "ponytail": (GIRL, "ponytail"),
    "bob": (GIRL, "bob cut"), "shoulderLength": (GIRL, "medium hair"),
    "longStraight": (GIRL, "long hair", "straight hair"), "longWavy": (GIRL, "long hair", "wavy hair"),
    "partedLong": (GIRL, "long hair", "parted hair"), "braids": (GIRL, "braids"), "twinTails": (GIRL, "twintails"),
    "cap": (EITHER, "cap"), "beanie": (EITHER, "beanie"), "animalEars": (EITHER, "bear hat"),
    "bunnyEars": (EITHER, "bunny hat"), "afro": (EITHER, "afro"), "halfShaved": (EITHER, "undercut"),
}
VOXEL_HATS = ("cap", "beanie", "animalEars", "bunnyEars")
VOXEL_OUTFIT = {
    "plain": "shirt", "stripes": "striped shirt", "jacket": "jacket", "overalls": "overalls", "hoodie": "hoodie",
    "tie": "necktie", "coat": "coat", "dress": "dress", "suit": "suit",
}
VOXEL_MOUTH = {
    "smile": "smile", "bigSmile": "smile", "wideSmile": "smile", "flat": "expressionless", "ooh": "surprised",
    "tongue": "tongue out", "smirk": "smirk", "laugh": "open mouth", "frown": "frown", "grin": "grin",
}
VOXEL_EYES = {
    "open": "open eyes", "soft": "open eyes", "happy": "happy eyes", "sleepy": "half-closed eyes",
    "closed": "closed eyes", "wide": "open eyes", "star": "sparkling eyes",
}
VOXEL_GLASSES = {"round": "round glasses", "square": "square glasses", "shades": "sunglasses", "visor": "visor"}
VOXEL_BEARD = {"full": "beard", "mustache": "mustache", "goatee": "goatee"}

TOON_TOP = {
    "horns": "horns", "hornsIn": "horns", "spike": "unicorn horn", "antenna": "antenna", "antennae": "antennae",
    "earsRound": "round ears", "earsPointy": "pointy ears", "earsDroop": "droopy ears", "spikes": "spikes",
    "fin": "fin", "crown": "crown", "sprout": "sprout", "bobble": "antenna",
}
TOON_BODY = {
    "dome": None, "bell": None, "block": "square body", "wedgeInv": "square body", "tower": "tall body",
    "chimney": "tall body", "squat": "wide body", "round": "wide body", "blob": "bumpy body", "peak": "pointed body",
}
TOON_EYES = {
    "round": "open eyes", "dots": "dot eyes", "bigPupils": "big eyes", "mono": "one eye", "trio": "three eyes",
    "threeRow": "three eyes", "four": "four eyes", "happy": "happy eyes", "closedLine": "closed eyes",
    "wink": "wink", "squint": "squinting", "wide": "wide eyes", "sleepy": "half-closed eyes", "angry": "angry",
}
TOON_MOUTH = {
    "smile": "smile", "tinySmile": "smile", "grin": "open mouth", "laugh": "open mouth", "teeth": "teeth",
    "ooh": "surprised", "line": "expressionless", "smirk": "smirk", "wavy": "wavy mouth", "catMouth": "cat mouth",
    "zigzag": "zigzag mouth", "frown": "frown", "sad": "frown", "open": "shouting", "tooth": "fang",
    "tongue": "tongue out",
}

BASE_MIX = {"ink": 0.54, "voxel": 0.24, "toon": 0.22}  # shares of the styles in the base's corpus
# fmt: on
