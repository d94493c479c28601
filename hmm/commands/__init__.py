"""The subcommands of ``hmm``.

One module for each subcommand, whose function declares the arguments by its signature and describes them by its
docstring. May import everything below the command. Begin with `application`, then `information`, a short example.
"""

from hmm.commands.application import application, dispatch

__all__ = ["application", "dispatch"]
