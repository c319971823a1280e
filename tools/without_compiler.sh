#!/usr/bin/env bash
# without_compiler.sh COMMAND...: runs a command of the active virtual environment as on a machine
# without a compiler: nothing is on the PATH but the environment's own programs.
set -euo pipefail
: "${VIRTUAL_ENV:?activate a virtual environment first}"
for name in c++ g++ clang++ cc gcc clang; do
  if [ -e "$VIRTUAL_ENV/bin/$name" ]; then
    echo "$VIRTUAL_ENV/bin has a compiler of its own: $name" >&2
    exit 1
  fi
done
unset CXX CC CMAKE_ARGS CMAKE_TOOLCHAIN_FILE CMAKE_CXX_COMPILER_LAUNCHER SORTNET_TARGET
PATH="$VIRTUAL_ENV/bin" exec "$@"
