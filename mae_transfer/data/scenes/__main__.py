"""``python -m mae_transfer.data.scenes``: see :mod:`~mae_transfer.data.scenes.quickstart`."""

import sys

from .quickstart import main

if __name__ == '__main__':
    sys.exit(main())
