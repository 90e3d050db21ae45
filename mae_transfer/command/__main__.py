"""``python -m mae_transfer.command``: the same as ``mae-transfer``."""

from .main import main

if __name__ == '__main__':
    main()
