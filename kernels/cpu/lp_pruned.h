// The norm of powers so high that few terms matter: the search that finds the maximum also finds the terms that are
// not negligible beside it, and only their powers are taken. A lane per sample.
//
// Which terms count is a matter of the output alone: those whose ratio to the largest is at least HighPower::least.
// They are added in runs of whole stretches of inputs, and a term that does not count adds nothing, so that it does
// not matter which others the samples of a tile make the search look at.
#ifndef SORTNET_CPU_LP_PRUNED_H
#define SORTNET_CPU_LP_PRUNED_H

#include "linf.h"
#include "lp_row.h"

namespace sortnet {
namespace {

enum class Method { top, whole, scaled_whole, scaled, pruned };

constexpr float kMostScaled = 24.0f; // whole powers that multiply all terms

Method method_of(float p) {
  // log(I) / p is below 2e-7 for every I: the norm is the maximum.
  if (p > 1.1e8f) return Method::top;
  if (p == 1.0f || p == 2.0f || p == 3.0f || p == 4.0f || p == 8.0f) return Method::whole;
  if (p <= kMostScaled && whole_of(p).squarings >= 0) return Method::scaled_whole;
  // Above, half of the terms are negligible, and more.
  return p <= 13.0f ? Method::scaled : Method::pruned;
}

template <int Squarings, int N> inline void square(F (&t)[N], int squarings) {
  const int count = Squarings > 0 ? Squarings : squarings;
#pragma GCC unroll 16
  for (int k = 0; k < count; ++k) {
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) t[n] = Simd::mul(t[n], t[n]);
  }
}

// Raises ratios t >= 0 to the power p, any or a power of two; Squarings 0: as many as the power has.
template <bool Polynomial, int Squarings = 0> struct Raise {
  const HighPower &power;
  template <int N> void operator()(F (&t)[N]) const {
    if constexpr (Polynomial) {
      F s[N];
      const F centre = Simd::set1(power.centre), top = Simd::set1(power.coefficient[power.degree]);
#pragma GCC unroll 16
      for (int n = 0; n < N; ++n) s[n] = Simd::sub(t[n], centre), t[n] = top;
      for (int k = power.degree - 1; k >= 0; --k) {
        const F c = Simd::set1(power.coefficient[k]);
#pragma GCC unroll 16
        for (int n = 0; n < N; ++n) t[n] = Simd::fma(t[n], s[n], c);
      }
    }
    square<Squarings>(t, power.squarings);
  }
};

// p = 3 2^k.
template <int Squarings = 0> struct RaiseTriple {
  const HighPower &power; // of squarings one more: 3 2^k = 1.5 2^(k+1)
  template <int N> void operator()(F (&t)[N]) const {
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) t[n] = Simd::mul(Simd::mul(t[n], t[n]), t[n]);
    square<Squarings>(t, power.squarings - 1);
  }
};

// What the outputs of a call share.
struct HighNorm {
  Exponent e;
  HighPower power;
  uint32_t run; // inputs whose powers are added in float32: run - 1 roundings are below 4 p of the sum, 2.4e-7 of the norm
};

HighNorm make_high_norm(float p, int64_t inputs) {
  HighNorm n = {make_exponent(p, inputs), {}, 32};
  n.power = make_high_power(p, n.e.negligible < kMostRatio ? n.e.negligible : kMostRatio);
  while (n.run < 1024 && float(2 * n.run) <= 4.0f * p) n.run *= 2;
  return n;
}

// For several neurons the sums, over the inputs of an ascending list, of the powers of the ratios that count.
template <int Neurons, class Power>
void add_powers(const TileView &t, const float *const *w, const uint32_t *list, int64_t n,
                const F (*inverse)[kTileVectors], const HighNorm &norm, const Power &raise,
                F (*sum)[kTileVectors]) {
  constexpr int V = kTileVectors, N = Neurons * V;
  const F least = Simd::set1(norm.power.least);
  F low[Neurons][V];
  for (int k = 0; k < Neurons; ++k) {
    for (int v = 0; v < V; ++v) sum[k][v] = low[k][v] = Simd::set1(0.0f);
  }
  for (int64_t j = 0; j < n;) {
    const uint32_t end = (list[j] / norm.run + 1) * norm.run;
    F run[N];
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) run[k] = Simd::set1(0.0f);
    do {
      const int64_t i = list[j];
      F x[V], ratio[N];
      M counts[N];
      for (int v = 0; v < V; ++v) x[v] = Simd::load(t.x + i * kTileRows + v * kLanes);
#pragma GCC unroll 8
      for (int k = 0; k < N; ++k) {
        const F d = Simd::sub(x[k % V], Simd::set1(w[k / V][i]));
        ratio[k] = Simd::mul(Simd::abs(d), inverse[k / V][k % V]);
        counts[k] = Simd::ge(ratio[k], least);
      }
      raise(ratio);
#pragma GCC unroll 8
      for (int k = 0; k < N; ++k) run[k] = Simd::add_if(counts[k], run[k], ratio[k]);
    } while (++j < n && list[j] < end);
    for (int k = 0; k < N; ++k) add_exactly(sum[k / V][k % V], low[k / V][k % V], run[k]);
  }
  for (int k = 0; k < Neurons; ++k) {
    for (int v = 0; v < V; ++v) sum[k][v] = Simd::add(sum[k][v], low[k][v]);
  }
}

// Calls `use` with what raises to the power.
template <class Use> inline void with_power(const HighNorm &n, const Use &use) {
  if (n.power.degree == 0) {
    switch (n.power.squarings) {
      case 5: return use(Raise<false, 5>{n.power});
      case 6: return use(Raise<false, 6>{n.power});
      case 7: return use(Raise<false, 7>{n.power});
      default: return use(Raise<false>{n.power});
    }
  }
  if (n.e.whole.squarings <= 0) return use(Raise<true>{n.power});
  switch (n.e.whole.squarings) {
    case 4: return use(RaiseTriple<4>{n.power});
    case 5: return use(RaiseTriple<5>{n.power});
    default: return use(RaiseTriple<>{n.power});
  }
}

struct PrunedNorm {
  static constexpr int together = 8 / kTileVectors;
  static constexpr int64_t outputs() { return 1; }
  const LpForward &c;
  const HighNorm &norm;

  static M usual(F top) {
    return Simd::both(Simd::ge(top, Simd::set1(kLeastTop)), Simd::le(top, Simd::set1(kMostTop)));
  }

  // From the maxima of some pairs to their norms, with the terms of a list that holds all that count.
  template <int Pairs>
  void finish(const TileView &t, const Pair *pairs, int n, const uint32_t *list, int64_t length) const {
    const float *w[Pairs];
    F inverse[Pairs][kTileVectors], sum[Pairs][kTileVectors];
    for (int k = 0; k < Pairs; ++k) {
      const Pair &p = pairs[k < n ? k : 0];
      w[k] = p.w;
      for (int v = 0; v < kTileVectors; ++v) {
        const F top = Simd::load(p.out + v * kLanes);
        inverse[k][v] = Simd::div(Simd::set1(1.0f), Simd::select(usual(top), top, Simd::set1(kInfinity)));
      }
    }
    {
      const FlushToZero mode;
      with_power(norm, [&](const auto &raise) {
        add_powers<Pairs>(t, w, list, length, inverse, norm, raise, sum);
      });
    }
    for (int k = 0; k < n; ++k) {
      uint32_t odd = 0; // to be computed one by one
      for (int v = 0; v < kTileVectors; ++v) {
        float *const out = pairs[k].out + v * kLanes;
        const F top = Simd::load(out);
        const M is = usual(top);
        odd |= (Simd::bits(Simd::both(Simd::ge(top, Simd::set1(0x1p-149f)), Simd::le(top, Simd::set1(FLT_MAX)))) &
                ~Simd::bits(is)) << v * kLanes;
        const F y = Simd::mul(root(norm.e, Simd::select(is, sum[k][v], Simd::set1(1.0f)), no_offset()), top);
        Simd::store(out, Simd::select(is, y, top));
      }
      for (; odd != 0; odd &= odd - 1) {
        const int r = __builtin_ctz(odd);
        if (r < t.rows) pairs[k].out[r] = lp_one(c, t.first + r, pairs[k].neuron);
      }
    }
  }

  bool prune(const TileView &t, const Pair &p) const {
    if (!LinfForward{c}.prune(t, p)) return false;
    F least = Simd::set1(kInfinity);
    for (int v = 0; v < kTileVectors; ++v) {
      const F top = Simd::load(p.out + v * kLanes);
      least = Simd::min(least, Simd::select(usual(top), top, least));
    }
    // A ratio errs by three roundings.
    const int level = t.levels.level(Simd::least(least) * (norm.power.least * (1.0f - 0x1p-20f)));
    std::memcpy(t.rest, t.kept_bits, size_t(t.words) * sizeof(uint64_t));
    const int64_t n = take(t, p, level);
    if (n > t.kept_count * 4 / 5) return false;
    finish<1>(t, &p, 1, t.list, n);
    return true;
  }

  void all(const TileView &t, const Pair *pairs, int n) const {
    LinfForward{c}.all(t, pairs, n);
    finish<together>(t, pairs, n, t.kept, t.kept_count);
  }
  void store(const TileView &t, const int64_t *neurons, int64_t n, const float *out) const {
    LinfForward{c}.store(t, neurons, n, out);
  }
  void slow(int64_t b, int64_t o) const { LinfForward{c}.slow(b, o); }
  void clear(int64_t b, int64_t o, int64_t n) const { LinfForward{c}.clear(b, o, n); }
};

// Scratch of a call that tiles of few samples each would otherwise take much of.
constexpr int64_t kMostTileFloats = int64_t(1) << 24;

sn_status lp_forward_pruned(const LpForward &c) {
  const HighNorm norm = make_high_norm(c.p, c.layer.inputs);
  // Some whole groups of samples at a time.
  const int64_t B = c.layer.batch, group = larger(1, samples_together(c.masks, B));
  const int64_t floats = ceil_div(group, kTileRows) * kTileRows * (c.layer.inputs + 1);
  const int64_t rows = group * larger(1, kMostTileFloats / floats);
  for (int64_t first = 0; first < B; first += rows) {
    LpForward part = c;
    part.layer.batch = smaller(rows, B - first);
    part.x += first * c.x_stride;
    part.y += first * c.y_stride;
    if (c.masks.in != nullptr) part.masks.in += first / group * c.layer.inputs;
    if (c.masks.out != nullptr) part.masks.out += first / group * c.layer.outputs;
    const sn_status status = with_tiles(part.layer, part.masks, part.x, nullptr, part.x_stride, part.ex,
                                        [&](const Tiles &t) {
      return for_pairs(part.layer, part.masks, t, part.ex, PrunedNorm{part, norm});
    });
    if (status != SN_OK) return status;
  }
  return SN_OK;
}

} // namespace
} // namespace sortnet

#endif
