#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a program of ./.venv (SAFE_TRANSFER_VENV: of another) in an environment of its own:
#   scripts/in_venv.sh safe_transfer up pr2_cup_swirl
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/clean_environment.sh
. "$root/scripts/clean_environment.sh"
SAFE_TRANSFER_QUIET=1 clean_environment
if [ $# -eq 0 ]; then
  echo "which program? For example: scripts/in_venv.sh safe_transfer --help" >&2
  exit 2
fi
venv=${SAFE_TRANSFER_VENV:-.venv}
program="$root/$venv/bin/$1"
if [ ! -x "$program" ]; then
  echo "$1 is not in ./$venv: run make setup first" >&2
  exit 2
fi
shift
# What our programs tell a person to type must work in the shell that this was called from.
if [ "$(command -v safe_transfer || true)" = "$root/$venv/bin/safe_transfer" ]; then
  unset SAFE_TRANSFER_COMMAND
else
  export SAFE_TRANSFER_COMMAND="$0 safe_transfer"
fi
export PATH="$root/$venv/bin:$PATH" VIRTUAL_ENV="$root/$venv"
exec "$program" "$@"
