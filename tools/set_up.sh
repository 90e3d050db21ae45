#!/usr/bin/env bash
# Creates .venv and installs all that mae_transfer needs: called by itself, or sourced by quickstart.sh and run_tests.sh,
# whose function set_up also exports PYTHON.
#   tools/set_up.sh [--no-venv]   with --no-venv: installs into the environment of the Python that tools/python chooses
# A file in the environment records what was installed, so that a second call installs nothing.

set_up() {
    local tools root active wanted stamp
    tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
    root=$(dirname "$tools")
    if [ "${1:-}" = --no-venv ] || [ ! -x "$root/.venv/bin/python" ]; then
        PYTHON=$("$tools/python" -c 'import sys; print(sys.executable)') || return 2
    else
        PYTHON=$root/.venv/bin/python
    fi
    if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        echo "error: Python 3.10 or newer is needed; found $PYTHON: install one, or name it: PYTHON=/path/to/python3.11 $0" >&2
        return 2
    fi
    if [ "${1:-}" != --no-venv ]; then
        if [ ! -x "$root/.venv/bin/python" ] && ! "$PYTHON" -m venv "$root/.venv"; then
            echo "error: $PYTHON has no venv module: install it (Debian: apt-get install python3-venv), or use --no-venv" >&2
            return 2
        fi
        PYTHON=$root/.venv/bin/python
        active=$(PYTHON='' "$tools/python" -c 'import sys; print(sys.prefix)')
        if [ "$active" != "$root/.venv" ]; then
            echo "set-up: other tools use the active environment $active, not .venv: deactivate it, or use --no-venv"
        fi
    fi
    wanted=$(cat "$root/setup.cfg" "$root/requirements/constraints.txt" | cksum)
    stamp=$("$PYTHON" -c 'import sys; print(sys.prefix)')/.mae_transfer_installed
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted $root" ]; then
        echo "set-up: installing into $("$PYTHON" -c 'import sys; print(sys.prefix)') (5 GB, a few minutes, only once)"
        # onedl-mmcv first and separately: without its native operators (torchvision's replace them), and never from pip's
        # cache, which may have a wheel that was compiled for another torch.
        MMCV_WITH_OPS=0 "$PYTHON" -m pip install --quiet --no-cache-dir --constraint "$root/requirements/constraints.txt" onedl-mmcv || return 1
        # compat: a path of the checkout, so that a script beside a checkout named mae_transfer imports the package, and
        # not that folder.
        "$PYTHON" -m pip install --quiet --constraint "$root/requirements/constraints.txt" \
            --config-settings editable_mode=compat --editable "$root[tests]" || return 1
        echo "$wanted $root" >"$stamp"
    fi
    export PYTHON
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set_up "$@" || exit
    echo "set-up: done; '. $(dirname "$PYTHON")/activate' puts the command mae-transfer on the path"
fi
