"""Which muscle, and on which side, a channel's label means: the labels that laboratories really use.

To teach it a new word, add the abbreviation to `WORDS`; for a new muscle add its name to `MUSCLES`; for a code that is
written in one piece (``bflh``, ``TA``) add it to the muscle's codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MUSCLES: dict[str, str] = {
    # name: codes that mean it when they stand alone (without side and without trailing digits)
    "adductor brevis": "addbrev ab",
    "adductor longus": "addlong al",
    "adductor magnus": "addmag addmagdist addmagisch addmagmid addmagprox",
    "biceps brachii": "bic bb bi",
    "biceps brachii caput longum": "biclong bblh",
    "biceps brachii caput breve": "bicshort bbsh",
    "biceps femoris": "bf",
    "biceps femoris caput longum": "bflh bifemlh",
    "biceps femoris caput breve": "bfsh bifemsh",
    "brachialis": "bra brach",
    "brachioradialis": "brd bracrad brr",
    "coracobrachialis": "corb cb",
    "deltoid": "delt",
    "anterior deltoid": "da ad delt1 deltant",
    "middle deltoid": "dm md delt2 deltmed",
    "posterior deltoid": "dp pd delt3 deltpost",
    "erector spinae": "es ercspn",
    "iliocostalis": "ilioc",
    "longissimus": "longis ltpt ltpl",
    "multifidus": "mf multif",
    "extensor carpi radialis": "ecr ecrl ecrb",
    "extensor carpi ulnaris": "ecu",
    "extensor digitorum": "ed edc edcl edcr edcm edci",
    "extensor digitorum longus": "edl",
    "extensor hallucis longus": "ehl",
    "external oblique": "eo extobl",
    "internal oblique": "io intobl",
    "flexor carpi radialis": "fcr",
    "flexor carpi ulnaris": "fcu",
    "flexor digitorum longus": "fdl",
    "flexor digitorum superficialis": "fds fdsl fdsr fdsm fdsi",
    "flexor hallucis longus": "fhl",
    "first dorsal interosseous": "fdi",
    "abductor pollicis brevis": "apb",
    "gastrocnemius": "gas gast gastroc",
    "gastrocnemius lateralis": "gaslat latgas lg lgas gl glat gaslr",
    "gastrocnemius medialis": "gasmed medgas mg mgas gmed_gas gm_gas",
    "gluteus maximus": "gmax glmax glutmax ma gluteusmax",
    "gluteus medius": "gmed glmed glutmed me gluteusmed",
    "gluteus minimus": "gmin glmin glutmin",
    "gracilis": "grac gra",
    "hamstrings": "hams ham hamstring",
    "hamstrings lateralis": "lh lham",
    "hamstrings medialis": "mh mham",
    "iliacus": "",
    "iliopsoas": "ilps",
    "infraspinatus": "infra infsp isp",
    "latissimus dorsi": "lat lats ld latdors lat1 lat2 lat3",
    "levator scapulae": "levscap",
    "pectoralis major": "pec pecm pecmaj pecs pm pecm1 pecm2 pecm3",
    "pectoralis minor": "pecmin",
    "peroneus brevis": "perbrev pb",
    "peroneus longus": "perlong pl perl",
    "peroneus tertius": "pertert",
    "piriformis": "piri",
    "psoas": "",
    "quadriceps": "quad quads thi thigh",
    "rectus abdominis": "ra rectabd",
    "rectus femoris": "rf recfem rectfem rect recf",
    "rhomboideus": "rhom rhomb rhomboid rhomboids",
    "sartorius": "sart sar",
    "semimembranosus": "semimem sm",
    "semitendinosus": "semiten st",
    "serratus anterior": "sa serr serrant serratus",
    "soleus": "so sol",
    "soleus lateralis": "",
    "soleus medialis": "",
    "splenius capitis": "splen",
    "sternocleidomastoideus": "scm",
    "subscapularis": "subscap subsc",
    "supinator": "sup supin",
    "pronator teres": "pt pronter",
    "anconeus": "anc",
    "supraspinatus": "supra supsp ssp",
    "tensor fasciae latae": "tfl fl",
    "teres major": "tmaj",
    "teres minor": "tmin",
    "tibialis anterior": "ta tibant",
    "tibialis posterior": "tp tibpost",
    "trapezius": "trap traps",
    "upper trapezius": "ut uptrap trapsup",
    "middle trapezius": "mt midtrap trapmid",
    "lower trapezius": "lt lowtrap trapinf",
    "triceps brachii": "tri tric tb triceps",
    "triceps brachii caput longum": "trilong tblh",
    "triceps brachii caput laterale": "trilat tblat",
    "triceps brachii caput mediale": "trimed tbmed",
    "triceps surae": "ts",
    "vastus intermedius": "vasint vi vint",
    "vastus lateralis": "vl vaslat vlat vlo",
    "vastus medialis": "vm vasmed vmed vmo",
    "flexor": "",
    "extensor": "",
}
"""Canonical name: codes in one piece. The last two are all that some animal recordings say."""

WORDS: dict[str, str] = {
    # abbreviation or word of another language: the word of the canonical name ("" where it adds nothing)
    **dict.fromkeys(("ant", "anteriore", "anterieur", "antérieur", "vorne", "vorderer"), "anterior"),
    **dict.fromkeys(("post", "posteriore", "posterieur", "postérieur", "hinterer"), "posterior"),
    **dict.fromkeys(("med", "medial", "medius", "mediale", "mid", "middle", "moyen"), "medialis"),
    **dict.fromkeys(("lat", "lateral", "laterale", "latéral"), "lateralis"),
    **dict.fromkeys(("sup", "superior", "up", "upp", "descendens"), "upper"),
    **dict.fromkeys(("inf", "inferior", "low", "ascendens"), "lower"),
    **dict.fromkeys(("int", "inter"), "intermedius"),
    **dict.fromkeys(("long", "longum", "longa"), "longus"),
    **dict.fromkeys(("brev", "breve", "short"), "brevis"),
    **dict.fromkeys(("max",), "maximus"),
    **dict.fromkeys(("min", "minor"), "minimus"),
    **dict.fromkeys(("maj",), "major"),
    **dict.fromkeys(("fem", "femoral"), "femoris"),
    **dict.fromkeys(("brach", "br", "brachi"), "brachii"),
    **dict.fromkeys(("abd", "abdominal"), "abdominis"),
    **dict.fromkeys(("dors", "dorsal"), "dorsi"),
    **dict.fromkeys(("delt", "deltoideus", "deltoids", "deltoide"), "deltoid"),
    **dict.fromkeys(("trap", "traps", "trapeze", "trapèze", "trapezio"), "trapezius"),
    **dict.fromkeys(("gast", "gas", "gastro", "gastroc", "gastr", "gastrocs", "gastrocnemio"), "gastrocnemius"),
    **dict.fromkeys(("glut", "glute", "gluteo", "gl"), "gluteus"),
    **dict.fromkeys(("tib", "tibial"), "tibialis"),
    **dict.fromkeys(("per", "peron", "peroneal", "fibularis"), "peroneus"),
    **dict.fromkeys(("rect", "rec", "recto"), "rectus"),
    **dict.fromkeys(("vast", "vas", "vasto"), "vastus"),
    **dict.fromkeys(("bic", "bicep", "bifem"), "biceps"),
    **dict.fromkeys(("tri", "tric", "tricep"), "triceps"),
    **dict.fromkeys(("ham", "hams", "hamstring", "isquiotibial"), "hamstrings"),
    **dict.fromkeys(("quad", "quads"), "quadriceps"),
    **dict.fromkeys(("pec", "pect", "pecs", "pectoral"), "pectoralis"),
    **dict.fromkeys(("serr", "serrat"), "serratus"),
    **dict.fromkeys(("sol", "soleo"), "soleus"),
    **dict.fromkeys(("add",), "adductor"),
    **dict.fromkeys(("semit", "semiten", "semitend", "semitendinoso"), "semitendinosus"),
    **dict.fromkeys(("semim", "semimem", "semimemb", "semimembranoso"), "semimembranosus"),
    **dict.fromkeys(("erec", "erect", "erector", "erectors"), "erector"),
    **dict.fromkeys(("obl", "oblique"), "oblique"),
    **dict.fromkeys(("ext",), "extensor"),
    **dict.fromkeys(("flex",), "flexor"),
    **dict.fromkeys(("dig",), "digitorum"),
    **dict.fromkeys(("rad",), "radialis"),
    **dict.fromkeys(("uln",), "ulnaris"),
    **dict.fromkeys(("superf",), "superficialis"),
    **dict.fromkeys(("tens",), "tensor"),
    **dict.fromkeys(("fasc", "fascia"), "fasciae"),
    **dict.fromkeys(("lata",), "latae"),
    **dict.fromkeys(("muscle", "musculus", "m", "muscolo", "caput", "head", "of", "the"), ""),
}

SYNONYMS: dict[str, str] = {
    # several ways to put the same words together
    "anterior deltoid": "anterior deltoid|deltoid clavicular",
    "middle deltoid": "medialis deltoid|lateralis deltoid|deltoid acromial",
    "gluteus medius": "gluteus medialis",
    "gluteus minimus": "gluteus minimus",
    "middle trapezius": "medialis trapezius|transversus trapezius",
    "pectoralis minor": "pectoralis minimus",
    "teres minor": "teres minimus",
    "latissimus dorsi": "grand dorsi|gd dorsi|latissimus|lateralis dorsi",
    "serratus anterior": "grand dentele|gd dentele|gd dent|serratus",
    "biceps brachii caput longum": "biceps brachii longus|biceps longus",
    "biceps brachii caput breve": "biceps brachii brevis|biceps brevis",
    "biceps brachii": "biceps",
    "biceps femoris caput longum": "biceps femoris longus|biceps femoris lh",
    "biceps femoris caput breve": "biceps femoris brevis|biceps femoris sh",
    "triceps brachii": "triceps",
    "triceps brachii caput longum": "triceps brachii longus|triceps longus",
    "triceps brachii caput laterale": "triceps brachii lateralis|triceps lateralis",
    "triceps brachii caput mediale": "triceps brachii medialis|triceps medialis",
    "vastus intermedius": "vastus intermedius",
    "vastus medialis": "vastus medialis|vastus medialis obliquus",
    "rectus femoris": "rectus",
    "tensor fasciae latae": "tensor fasciae|tensor latae",
    "erector spinae": "erector",
    "external oblique": "external oblique|externus oblique|obliquus externus",
    "internal oblique": "internal oblique|internus oblique|obliquus internus",
    "extensor digitorum": "extensor digitorum communis",
}

_LEFT = {"l", "left", "lt", "li", "links", "gauche", "izq", "izquierdo", "sx"}
_RIGHT = {"r", "right", "rt", "re", "rechts", "droit", "droite", "der", "derecho", "dx"}
_NOISE = {
    "emg",
    "voltage",
    "analog",
    "volts",
    "volt",
    "sensor",
    "channel",
    "ch",
    "im",
    "raw",
    "signal",
    "trigno",
    "value",
}
_NOISE |= {"v", "mv", "uv", "µv", "activation", "forceset"}


def _words_of(text: str) -> frozenset[str]:
    words = (WORDS.get(word, word) for word in text.split())
    return frozenset(word for word in words if word)


_BY_WORDS = {_words_of(name): name for name in MUSCLES}
_BY_WORDS.update({_words_of(way): name for name, ways in SYNONYMS.items() for way in ways.split("|")})
_BY_CODE = {code: name for name, codes in MUSCLES.items() for code in [*codes.split(), name.replace(" ", "")]}


def recognise(label: str, beside: Iterable[str] = ()) -> tuple[str, str]:
    """The muscle and the side that a channel's label means.

    Parameters
    ----------
    label : str
        As in the file: ``L Rect``, ``EMG: Delt_ant``, ``soleus_r``, ``GMED``, ``/forceset/soleus_r/activation``.
    beside : iterable of str
        The other labels of the recording. They settle what ``GM`` and ``GL`` mean: the two heads of the gastrocnemius,
        unless the recording has no other calf muscle and they stand beside each other's gluteal codes.

    Returns
    -------
    (name, side)
        The anatomical name ("" where the label means none) and "left", "right" or "".

    Examples
    --------
    >>> recognise("R Tib Ant")
    ('tibialis anterior', 'right')
    >>> recognise("glmax1r")
    ('gluteus maximus', 'right')
    >>> recognise("Force.Fx1")
    ('', '')
    """
    words, side = _side_of(_split(label))
    compact = "".join(words)
    if compact in ("gm", "gl"):
        return _gm_or_gl(compact, beside), side
    name = _look_up(words)
    if not name and not side and len(compact) > 3:
        # The side stuck to a code: OpenSim's bflhr, Noraxon's LTA or RGAS. The end is tried first.
        for stem, letter in ((compact[:-1], compact[-1]), (compact[1:], compact[0])):
            if letter in "lr" and _look_up([stem]):
                return _look_up([stem]), "left" if letter == "l" else "right"
    if not name and not side and len(compact) == 3 and compact[0] in "lr" and compact[1:] in _BY_CODE:
        return _BY_CODE[compact[1:]], "left" if compact[0] == "l" else "right"
    return name, side


def name_muscles(labels: list[str], given: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """(name, side) of each label; `given` overrides, as ``{"EMG1": "left soleus"}``."""
    given = given or {}
    return [_given(given[label]) if label in given else recognise(label, labels) for label in labels]


def _given(text: str) -> tuple[str, str]:
    name, side = recognise(text)
    if name:
        return name, side
    words, side = _side_of(text.split())
    return " ".join(words), side


def _split(label: str) -> list[str]:
    """The words of a label in lower case, without those that say only that it is a channel."""
    text = label.rsplit("/activation", 1)[0].rsplit("/", 1)[-1]
    text = re.sub(r"[\[(].*?[\])]", " ", text)  # a unit in brackets
    text = re.sub(r"(?<=[a-zà-ÿ])(?=[A-Z][a-z])", " ", text)  # camelCase
    words = re.split(r"[^0-9A-Za-zÀ-ÿµ]+", text)
    return [w for w in (w.lower() for w in words) if w and w.rstrip("0123456789") not in _NOISE and not w.isdigit()]


def _side_of(words: list[str]) -> tuple[list[str], str]:
    """Take out the one word, first or last, that is a side."""
    for index in (0, -1):
        if len(words) > 1 and words[index].lower() in _LEFT | _RIGHT:
            side = "left" if words[index].lower() in _LEFT else "right"
            return [w for i, w in enumerate(words) if i != index % len(words)], side
    return words, ""


def _look_up(words: list[str]) -> str:
    compact = "".join(words)
    stem = compact.rstrip("0123456789")
    for code in (compact, stem):
        if code in _BY_CODE:
            return _BY_CODE[code]
    bare = " ".join(w.rstrip("0123456789") for w in words)
    return _BY_WORDS.get(_words_of(bare), "")


def _gm_or_gl(code: str, beside: Iterable[str]) -> str:
    others = {"".join(_side_of(_split(label))[0]) for label in beside}
    if code == "gl" or "gl" in others or {"so", "sol", "soleus"} & others:
        return "gastrocnemius lateralis" if code == "gl" else "gastrocnemius medialis"
    return ""  # GM alone may be the gluteus medius, the gluteus maximus or the gastrocnemius medialis
