// The K largest of a stream of vectors, in every lane. A batch of them is sorted by a network and merged into the
// list, which takes half of the comparisons of inserting one by one.
#ifndef SORTNET_CPU_TOP_H
#define SORTNET_CPU_TOP_H

#include "common.h"

namespace sortnet {
namespace {

// v[I] >= v[J] afterwards. Values below +0 are no terms: they end behind all others, in any order.
template <int I, int J> inline void compare(F *v) {
  const F high = Simd::max_bits(v[I], v[J]);
  v[J] = Simd::min_bits(v[I], v[J]);
  v[I] = high;
}

// Batcher's odd-even merge of v[Low], v[Low + Step], ... < Low + Count, whose halves are sorted.
template <int Low, int Count, int Step> inline void merge_halves(F *v);

template <int I, int Step, int End> inline void compare_every(F *v) {
  if constexpr (I + Step < End) {
    compare<I, I + Step>(v);
    compare_every<I + 2 * Step, Step, End>(v);
  }
}

template <int Low, int Count, int Step> inline void merge_halves(F *v) {
  if constexpr (2 * Step < Count) {
    merge_halves<Low, Count, 2 * Step>(v);
    merge_halves<Low + Step, Count, 2 * Step>(v);
    compare_every<Low + Step, Step, Low + Count>(v);
  } else {
    compare<Low, Low + Step>(v);
  }
}

// Sorts v[Low] ... v[Low + Count - 1], a power of two, the largest first.
template <int Low, int Count> inline void sort_down(F *v) {
  if constexpr (Count > 1) {
    sort_down<Low, Count / 2>(v);
    sort_down<Low + Count / 2, Count / 2>(v);
    merge_halves<Low, Count, 1>(v);
  }
}

// Comparisons at distance Step of a bitonic merge whose first Absent places hold infinity and are not there.
template <int I, int Step, int Absent, int End> inline void bitonic_step(F *v) {
  if constexpr (I + Step < End) {
    if constexpr ((I & Step) == 0 && I >= Absent) compare<I - Absent, I + Step - Absent>(v);
    bitonic_step<I + 1, Step, Absent, End>(v);
  }
}

template <int Step, int Absent, int End> inline void bitonic_merge(F *v) {
  if constexpr (Step > 0) {
    bitonic_step<0, Step, Absent, End>(v);
    bitonic_merge<Step / 2, Absent, End>(v);
  }
}

constexpr int power_of_two_from(int n) { return n <= 1 ? 1 : 2 * power_of_two_from((n + 1) / 2); }

// t: the K largest so far, sorted; b: Count more, sorted.
template <int K, int Count> inline void merge_top(F *t, const F *b) {
  constexpr int used = Count < K ? Count : K, whole = power_of_two_from(K);
  // Falls to somewhere, then rises.
#pragma GCC unroll 16
  for (int j = 0; j < used; ++j) t[K - 1 - j] = Simd::max_bits(t[K - 1 - j], b[j]);
  bitonic_merge<whole / 2, whole - K, whole>(t);
}

// Keeps t[0] >= t[1] >= ... the largest of all v inserted, in every lane.
template <int K> inline void insert(F *t, F v) {
#pragma GCC unroll 16
  for (int k = 0; k < K; ++k) {
    const F high = Simd::max(t[k], v);
    v = Simd::min(t[k], v);
    t[k] = high;
  }
}

// The K largest of what is taken, in every lane; 0 where there are fewer.
template <int K> struct Top {
  static constexpr int batch = K >= 8 ? 8 : 4;
  F t[K];
  Top() {
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) t[k] = Simd::set1(0.0f);
  }
  explicit Top(const float *from) {
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) t[k] = Simd::load(from + k * kLanes);
  }
  void store(float *to) const {
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) Simd::store(to + k * kLanes, t[k]);
  }
  // Takes get(0) ... get(n - 1).
  template <class Get> void take(int64_t n, const Get &get) {
    int64_t at = 0;
    for (; at + batch <= n; at += batch) {
      F b[batch];
#pragma GCC unroll 8
      for (int j = 0; j < batch; ++j) b[j] = get(at + j);
      sort_down<0, batch>(b);
      merge_top<K, batch>(t, b);
    }
    for (; at < n; ++at) insert<K>(t, get(at));
  }
};

} // namespace
} // namespace sortnet

#endif
