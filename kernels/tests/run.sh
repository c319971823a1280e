#!/usr/bin/env bash
# Runs the native test program under the address, undefined-behaviour and thread sanitizers, with every
# instruction set of this processor (AVX-512 by SIMDe's headers where only they are at hand), and checks
# that objects compiled for one instruction set share no code with the others.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

emulate=OFF
simde='#include <simde/x86/avx512.h>'
if ! grep -q avx512bw /proc/cpuinfo && echo "$simde" | "${CXX:-c++}" -fsyntax-only -x c++ - 2>/dev/null; then
  emulate=ON
fi

# Compiled without optimisation: instrumented and optimised, the vector code takes minutes to build.
for sanitizers in address,undefined thread; do
  build="$work/${sanitizers%%,*}"
  isas=(avx512 avx2 generic)
  # The threads are the same for every instruction set.
  [ "$sanitizers" = thread ] && isas=(generic) emulate=OFF
  cmake -S . -B "$build" -DSORTNET_SANITIZE="$sanitizers" -DSORTNET_EMULATE_AVX512=$emulate \
    -DCMAKE_BUILD_TYPE=None >/dev/null
  cmake --build "$build" --target sortnet_suite --parallel 2 >/dev/null
  for isa in "${isas[@]}"; do
    echo "-- $sanitizers, $isa, emulated AVX-512: $emulate"
    SORTNET_ISA=$isa UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
      "$build/kernels/tests/sortnet_suite"
  done
done

# A weak symbol (an inline function, a template) of an AVX object could be the copy that the linker
# keeps for everyone, and would stop an older processor.
cmake -S . -B "$work/plain" >/dev/null
cmake --build "$work/plain" --target sortnet_cpu --parallel 2 >/dev/null
for object in "$work"/plain/kernels/cpu/CMakeFiles/sortnet_cpu.dir/avx*.cpp.o; do
  if nm -C "$object" | grep -E ' [WVu] ' | grep -v 'DW.ref'; then
    echo "shared code in $object" >&2
    exit 1
  fi
done
echo "no shared code in the objects of newer instruction sets"
