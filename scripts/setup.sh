#!/usr/bin/env bash
# Make .venv and install jinqiao with pinned versions. Argument: core or test.
set -euo pipefail
what=${1:?core or test}
venv=${VENV:-.venv}
python=${PYTHON:-python3}
extras=""
[ "$what" = test ] && extras="[test,lint]"

"$python" - <<'PY' || { echo "jinqiao needs Python 3.11 or newer; set PYTHON=/path/to/python" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
PY
if [ ! -x "$venv/bin/python" ]; then
  "$python" -m venv "$venv" || {
    echo "could not make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv" >&2
    exit 1
  }
fi
# A pinned version that has no wheel for this Python is left to the resolver.
constraints=(-c constraints.txt)
if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
  constraints=()
fi
echo "installing jinqiao$extras into $venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${constraints[@]}" -e ".$extras"
"$venv/bin/python" -m jinqiao.flow.warm
touch "$venv/.core"
[ "$what" = test ] && touch "$venv/.test"
exit 0
