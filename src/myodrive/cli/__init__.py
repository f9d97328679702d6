"""The command line: parses, calls, prints. Heavy packages are imported inside the functions, so help answers at once.

``commands.py`` and ``measuring.py`` declare the commands and their options, ``jobs.py`` runs, prints and writes,
``parsing.py`` turns words into options, ``terminal.py`` shows progress.
"""

from myodrive.cli import commands, measuring
from myodrive.cli.app import app, main
from myodrive.cli.parsing import method_settings

__all__ = ["app", "commands", "main", "measuring", "method_settings"]
