// What the x86 processor can run and the system saves at a change of threads. Asked of the processor itself:
// __builtin_cpu_supports depends on a compiler runtime, and that of Zig knows no answer but no.
#ifndef SORTNET_CPU_PROCESSOR_H
#define SORTNET_CPU_PROCESSOR_H

#if defined(__x86_64__)
#include <cpuid.h>

namespace sortnet {

struct Processor {
  bool avx2, avx512; // AVX2 with FMA; AVX-512 F, DQ, BW and VL
};

inline Processor processor() {
  const auto bit = [](unsigned word, int n) { return (word >> n & 1) != 0; };
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return {};
  const bool fma = bit(c, 12), avx = bit(c, 28), xgetbv = bit(c, 27);
  if (!avx || !xgetbv || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  unsigned saved = 0, high = 0;
  __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  const bool ymm = (saved & 0x06) == 0x06, zmm = (saved & 0xe6) == 0xe6;
  return {ymm && fma && bit(b, 5), zmm && fma && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31)};
}

} // namespace sortnet
#endif

#endif
