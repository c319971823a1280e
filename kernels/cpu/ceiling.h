// The speed of the kernels' instructions alone, in registers: what the benchmark compares with.
#ifndef SORTNET_CPU_CEILING_H
#define SORTNET_CPU_CEILING_H

#include <chrono>

#include "lp_forward.h"

namespace sortnet {
namespace {

template <class Step> double ceiling_of(const sn_executor *ex, int64_t threads, const Step &step) {
  constexpr int chains = kLanes == 16 ? 16 : 8;
  constexpr int64_t rounds = 200000;
  const auto begin = std::chrono::steady_clock::now();
  parallel_for(ex, threads, [&](int64_t) {
    F acc[chains], x = Simd::set1(1.0f), w = Simd::set1(0.5f);
    for (F &a : acc) a = Simd::set1(0.0f);
    for (int64_t n = 0; n < rounds; ++n) {
#pragma GCC unroll 16
      for (int k = 0; k < chains; ++k) {
        Simd::renew(x);
        acc[k] = step(acc[k], Simd::sub(x, w));
      }
    }
    for (F &a : acc) Simd::renew(a);
  });
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  return double(rounds) * chains * kLanes * double(threads) / time.count();
}

double ceiling(int32_t whole_power, const sn_executor *ex, int64_t threads) {
  if (whole_power == 8) {
    return ceiling_of(ex, threads, [](F acc, F d) { return WholePower<8>::one(d, acc); });
  }
  return ceiling_of(ex, threads, [](F acc, F d) { return Simd::absmax(acc, d); });
}

} // namespace
} // namespace sortnet

#endif
