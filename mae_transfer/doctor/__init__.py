"""What of an installation and a machine works, checked one thing after the other: ``mae-transfer doctor``.

Nothing here is imported before its check begins: a package that is missing or broken is what is looked for.
"""
