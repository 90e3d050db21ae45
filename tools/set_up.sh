#!/usr/bin/env bash
# Sourced by quickstart.sh and run_tests.sh: makes an environment with all that mae_transfer needs, once, and names its Python.
#   set_up [--no-venv]   sets PYTHON: that of .venv, or of the active environment with --no-venv
# A second call starts at once: a stamp remembers what was installed.

set_up() {
    local root wanted stamp
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    PYTHON=${PYTHON:-$(command -v python3 || command -v python || true)}
    if [ -z "$PYTHON" ] || ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        echo "error: Python 3.10 or newer is needed; found ${PYTHON:-none}: install one, or name it: PYTHON=/path/to/python3.11 $0" >&2
        return 2
    fi
    if [ "${1:-}" != --no-venv ]; then
        if [ ! -x "$root/.venv/bin/python" ] && ! "$PYTHON" -m venv "$root/.venv"; then
            echo "error: $PYTHON has no venv module: install it (Debian: apt-get install python3-venv), or use --no-venv" >&2
            return 2
        fi
        PYTHON=$root/.venv/bin/python
    fi
    wanted=$(cat "$root/setup.cfg" "$root/requirements/constraints.txt" | cksum)
    stamp=$("$PYTHON" -c 'import sys; print(sys.prefix)')/.mae_transfer_installed
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted $root" ]; then
        echo "set-up: installing into $("$PYTHON" -c 'import sys; print(sys.prefix)') (5 GB, some minutes, once)"
        # onedl-mmcv first and by itself: without its native ops (ours come from torchvision), and never from pip's cache, which
        # may hold a wheel compiled for another torch.
        MMCV_WITH_OPS=0 "$PYTHON" -m pip install --quiet --no-cache-dir --constraint "$root/requirements/constraints.txt" onedl-mmcv || return 1
        "$PYTHON" -m pip install --quiet --constraint "$root/requirements/constraints.txt" --editable "$root[tests]" || return 1
        echo "$wanted $root" >"$stamp"
    fi
    export PYTHON
}
