"""The checker of every call in the tests: beartype, in which an int is a float as in Python's own numeric tower."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
