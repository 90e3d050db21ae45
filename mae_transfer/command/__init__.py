"""``mae-transfer``: the shell's door to what the package does. ``main.py`` chooses the subcommand, a module each.

A module of a subcommand has a docstring (what ``--help`` says), ``EXAMPLES``, ``add_arguments(parser)`` and
``run(args)``. PyTorch is imported by the subcommands, where they need it, and not by ``mae-transfer --help``.
"""
