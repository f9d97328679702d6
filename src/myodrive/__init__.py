"""How active is each muscle at each moment? Muscle activation from EMG, from movement and from simulation.

The table of contents is in ``__init__.pyi``; a name is imported when it is first used, so that the command line
answers at once.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
