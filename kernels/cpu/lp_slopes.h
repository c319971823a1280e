// The slopes of l_p norms, a lane per input: what every backward pass of finite p is made of.
#ifndef SORTNET_CPU_LP_SLOPES_H
#define SORTNET_CPU_LP_SLOPES_H

#include "lp_pruned.h"

namespace sortnet {
namespace {

constexpr int64_t kInputBlock = 128;
constexpr int64_t kNeuronBlock = 64;
constexpr int kNeurons = kLanes == 16 ? 4 : 2; // whose weights and gradients stay in registers

// t^N, N odd, by squaring.
template <int N> inline F odd_power(F t) {
  static_assert(N % 2 == 1, "the sign of t is kept");
  F square = t, product = t;
  for (int n = N >> 1; n != 0; n >>= 1) {
    square = Simd::mul(square, square);
    if (n & 1) product = Simd::mul(product, square);
  }
  return product;
}

// Slopes turn ratios t = (x - w) / y into |t|^(p-1) sign(t).
template <int P> struct WholeSlope {
  template <int N> void operator()(F (&t)[N]) const {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) t[n] = of(t[n]);
  }
  static F of(F t) {
    if constexpr (P == 1) {
      // 1 / y is 0 where nothing is wanted, and the sign of 0 is 0.
      const F one = Simd::copysign(Simd::set1(1.0f), t);
      return Simd::select(Simd::eq(t, Simd::set1(0.0f)), Simd::set1(0.0f), one);
    } else if constexpr (P == 3) {
      return Simd::mul(t, Simd::abs(t));
    } else {
      return odd_power<P - 1>(t);
    }
  }
};

// Where all slopes are below 2^-30 they are 0; `power` gives the others.
template <int N, class Power> inline void slopes_from(F least, F (&t)[N], const Power &power) {
  M m[N];
  bool any = false;
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) {
    m[n] = Simd::ge(Simd::abs(t[n]), least);
    any = n == 0 ? Simd::any(m[0]) : Simd::any(m[0], m[n]);
  }
  if (any) power();
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) t[n] = any ? Simd::zero_unless(m[n], t[n]) : Simd::set1(0.0f);
}

// Slopes below 2^-30 are 0; `power` gives the others.
template <int N, class Power> inline void high_slopes(F least, F (&t)[N], const Power &power) {
  M m[N];
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) m[n] = Simd::ge(Simd::abs(t[n]), least);
  power();
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) t[n] = Simd::zero_unless(m[n], t[n]);
}

// t^(P - 1) by the shortest chain of products.
template <int P> inline F high_power(F t) {
  const F t2 = Simd::mul(t, t);
  if constexpr (P == 32) {
    const F t3 = Simd::mul(t2, t), t6 = Simd::mul(t3, t3), t12 = Simd::mul(t6, t6), t24 = Simd::mul(t12, t12);
    return Simd::mul(Simd::mul(t24, t6), t);
  } else if constexpr (P == 48) {
    const F t3 = Simd::mul(t2, t), t4 = Simd::mul(t3, t), t7 = Simd::mul(t4, t3), t10 = Simd::mul(t7, t3);
    const F t20 = Simd::mul(t10, t10);
    return Simd::mul(Simd::mul(t20, t20), t7);
  } else {
    static_assert(P == 64 || P == 128);
    const F t5 = Simd::mul(Simd::mul(t2, t2), t), t10 = Simd::mul(t5, t5);
    const F t21 = Simd::mul(Simd::mul(t10, t10), t), t63 = Simd::mul(Simd::mul(t21, t21), t21);
    return P == 64 ? t63 : Simd::mul(Simd::mul(t63, t63), t);
  }
}

template <int P> struct HighWholeSlope {
  F least;
  template <int N> void operator()(F (&t)[N]) const {
    high_slopes(least, t, [&] {
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) t[n] = high_power<P>(t[n]);
    });
  }
};

// Even whole p in general.
struct HighEvenSlope {
  Whole whole;
  F least;
  template <int N> void operator()(F (&t)[N]) const {
    high_slopes(least, t, [&] {
      F square[N]; // t^(2^k), and t becomes t^(2^(k+1) - 1)
      for (int n = 0; n < N; ++n) square[n] = t[n];
      for (int k = 1; k < whole.squarings; ++k) {
        for (int n = 0; n < N; ++n) {
          square[n] = Simd::mul(square[n], square[n]);
          t[n] = Simd::mul(t[n], square[n]);
        }
      }
      for (int n = 0; n < N && whole.triple; ++n) { // 3 2^k - 1 = 2^(k+1) + 2^k - 1
        square[n] = Simd::mul(square[n], square[n]);
        t[n] = Simd::mul(t[n], Simd::mul(square[n], square[n]));
      }
    });
  }
};

// Any p so large.
template <bool Polynomial> struct HighSlope {
  const HighPower &power; // of p - 1
  F least;
  template <int N> void operator()(F (&t)[N]) const {
    high_slopes(least, t, [&] {
      F s[N];
      for (int n = 0; n < N; ++n) s[n] = Simd::abs(t[n]);
      Raise<Polynomial>{power}(s);
      for (int n = 0; n < N; ++n) t[n] = Simd::copysign(s[n], t[n]);
    });
  }
};

// Any p.
template <bool Fine> struct Slope {
  const Exponent &e; // of p - 1
  F offset, least;
  template <int N> void operator()(F (&t)[N]) const {
    slopes_from(least, t, [&] {
      F power[N], offsets[N];
      for (int n = 0; n < N; ++n) power[n] = t[n], offsets[n] = offset;
      power_terms<Fine, N>(e, power, offsets);
      for (int n = 0; n < N; ++n) t[n] = Simd::copysign(power[n], t[n]);
    });
  }
};

// Gathered operands of a task: `columns` inputs, padded to whole vectors with x = w = 0.
struct SlopeTile {
  int64_t samples, columns; // columns: a multiple of kLanes
  const float *x;           // [samples][kInputBlock]
  float *dx;                // the same, added to
  const float *w;           // [kNeurons][kInputBlock]
  float *dw;                // the same, overwritten
  const float *factors;     // [samples][2 kNeurons]: 1 / y, then dy
};

template <int Vectors, class SlopeOf>
inline void slope_columns(const SlopeTile &t, int64_t column, const SlopeOf &slope) {
  F w[kNeurons][Vectors], dw[kNeurons][Vectors];
#pragma GCC unroll 4
  for (int o = 0; o < kNeurons; ++o) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      w[o][v] = Simd::load(t.w + o * kInputBlock + column + v * kLanes);
      dw[o][v] = Simd::set1(0.0f);
    }
  }
  const float *x_at = t.x + column, *factor = t.factors;
  float *dx_at = t.dx + column;
  for (int64_t b = 0; b < t.samples; ++b) {
    F x[Vectors], dx[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      x[v] = Simd::load(x_at + v * kLanes);
      dx[v] = Simd::load(dx_at + v * kLanes);
    }
#pragma GCC unroll 4
    for (int o = 0; o < kNeurons; ++o) {
      const F inverse = Simd::set1(factor[o]), dy = Simd::set1(factor[kNeurons + o]);
      F g[Vectors];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) g[v] = Simd::mul(Simd::sub(x[v], w[o][v]), inverse);
      slope(g);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        dx[v] = Simd::fma(dy, g[v], dx[v]);
        dw[o][v] = Simd::fnma(dy, g[v], dw[o][v]);
      }
    }
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) Simd::store(dx_at + v * kLanes, dx[v]);
    x_at += kInputBlock;
    dx_at += kInputBlock;
    factor += 2 * kNeurons;
  }
#pragma GCC unroll 4
  for (int o = 0; o < kNeurons; ++o) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      Simd::store(t.dw + o * kInputBlock + column + v * kLanes, dw[o][v]);
    }
  }
}

template <class SlopeOf>
__attribute__((noinline)) void slope_tile(const SlopeTile &t, const SlopeOf &slope) {
  int64_t column = 0;
  for (; column + 2 * kLanes <= t.columns; column += 2 * kLanes) {
    slope_columns<2>(t, column, slope);
  }
  if (column < t.columns) slope_columns<1>(t, column, slope);
}

// The constants of a call.
struct Slopes {
  float p;
  Exponent e;  // of p - 1
  float least; // |t|^(p-1) < 2^-30 below
  Whole whole; // p
  bool high;   // slopes below are 0 exactly
  HighPower power = {}; // of p - 1, where high

  explicit Slopes(float exponent)
      : p(exponent), e(make_exponent(exponent > 1.0f ? exponent - 1.0f : 1.0f, 1)),
        least(negligible_slope(exponent)), whole(whole_of(exponent)), high(method_of(exponent) == Method::pruned) {
    if (!high) return;
    least = least < kMostRatio ? least : kMostRatio;
    power = make_high_power(p - 1.0f, least);
  }

  void operator()(const SlopeTile &t) const {
    // A difference below 2^-126 beside a norm of at least 2^-100 has no slope to speak of from p = 2 on.
    if (p < 2.0f) return add(t);
    const FlushToZero mode;
    if (high) with_slope([&](const auto &slope) { slope_tile(t, slope); });
    else add(t);
  }

  // Calls `use` with what makes high slopes.
  template <class Use> void with_slope(const Use &use) const {
    const F bound = Simd::set1(least);
    if (whole.squarings <= 0) {
      if (power.degree == 0) use(HighSlope<false>{power, bound});
      else use(HighSlope<true>{power, bound});
      return;
    }
    switch (p <= 128.0f ? int(p) : 0) {
      case 32: return use(HighWholeSlope<32>{bound});
      case 48: return use(HighWholeSlope<48>{bound});
      case 64: return use(HighWholeSlope<64>{bound});
      case 128: return use(HighWholeSlope<128>{bound});
      default: return use(HighEvenSlope{whole, bound});
    }
  }

private:
  void add(const SlopeTile &t) const {
    switch (whole.squarings < 0 ? 0 : int(p)) {
      case 1: return slope_tile(t, WholeSlope<1>());
      case 2: return slope_tile(t, WholeSlope<2>());
      case 3: return slope_tile(t, WholeSlope<3>());
      case 4: return slope_tile(t, WholeSlope<4>());
      case 6: return slope_tile(t, WholeSlope<6>());
      case 8: return slope_tile(t, WholeSlope<8>());
      case 12: return slope_tile(t, WholeSlope<12>());
      case 16: return slope_tile(t, WholeSlope<16>());
      case 24: return slope_tile(t, WholeSlope<24>());
    }
    const F offset = make_offset(e, Simd::set1(0.0f)).offset;
    if (e.fine) slope_tile(t, Slope<true>{e, offset, Simd::set1(least)});
    else slope_tile(t, Slope<false>{e, offset, Simd::set1(least)});
  }
};

// A norm whose reciprocal is out of range, or that is not finite, or whose rounding a power so large would
// show: its slopes are computed one by one.
inline bool odd_norm(float y, float p) {
  return p > 0x1p20f ? y != 0.0f : !(y == 0.0f || (y >= 0x1p-100f && y <= FLT_MAX));
}

} // namespace
} // namespace sortnet

#endif
