// Powers and roots in float32 lanes, and the sums of powers behind the l_p norm.
//
// The norm is (sum a_i^p)^(1/p): a relative error e of a term is an error e / p of the norm, and an
// absolute error d of log2(a_i) one of ln(2) d, for every p.
#ifndef SORTNET_CPU_POWER_H
#define SORTNET_CPU_POWER_H

#include "common.h"

namespace sortnet {
namespace {

// log2(1.5 + r) = centre + r polynomial(r), |r| <= 1/2: minimax by Remez exchange, absolute errors
// 2.8e-7 and 6.6e-9.
constexpr float kLog2Centre = 0.584962785243988f;
constexpr float kLog2Of1_5 = 0.5849624872207642f;
constexpr float kLog2[7] = {0.9617953896522522f,   -0.32063233852386475f, 0.14254532754421234f,
                            -0.07058960944414139f, 0.037311289459466934f, -0.025123370811343193f,
                            0.015125359408557415f};
constexpr float kLog2Fine[9] = {0.961796760559082f,    -0.32059767842292786f,  0.14248573780059814f,
                                -0.0712830126285553f,  0.03804803639650345f,   -0.0206858329474926f,
                                0.011658200062811375f, -0.008874740451574326f, 0.005547594744712114f};
// 2^f, 0 <= f < 1: relative error 2.6e-6, 7.5e-8, 1.9e-9.
constexpr float kExp4[5] = {1.0000026226043701f, 0.6930038332939148f, 0.2414427548646927f,
                            0.052011460065841675f, 0.013534167781472206f};
constexpr float kExp5[6] = {0.9999999403953552f,   0.6931530833244324f,   0.24015361070632935f,
                            0.05582631751894951f, 0.00898933969438076f, 0.0018775766948238015f};
constexpr float kExp6[7] = {1.0f,
                            0.6931470036506653f,
                            0.24022983014583588f,
                            0.055483341217041016f,
                            0.009678840637207031f,
                            0.001243968727067113f,
                            0.00021702254889532924f};

template <int N> inline F horner(const float (&c)[N], F x) {
  F h = Simd::set1(c[N - 1]);
#pragma GCC unroll 16
  for (int k = N - 2; k >= 0; --k) h = Simd::fma(h, x, Simd::set1(c[k]));
  return h;
}

// d^P by squaring; P = 2^k or 3 2^k. Rounded as (P - 1) roundings at most, hence one of the norm.
template <int P> inline F whole_power(F d) {
  if constexpr (P == 1) {
    return d;
  } else if constexpr (P == 3) {
    return Simd::mul(Simd::mul(d, d), d);
  } else {
    const F half = whole_power<P / 2>(d);
    return Simd::mul(half, half);
  }
}

// p = 2^squarings, or three times that; what multiplications reach.
struct Whole {
  int squarings = -1; // -1: p is no such number
  bool triple = false;
};

inline Whole whole_of(float p) {
  float power = 1.0f;
  for (int k = 0; power <= p && k <= 20; ++k, power *= 2.0f) {
    if (power == p) return {k, false};
    if (3.0f * power == p) return {k, true};
  }
  return {};
}

// The exponent p and what it implies.
struct Exponent {
  float p;
  float inverse;
  float log2[7];     // kLog2 times p
  bool fine;         // p < 8: the longer polynomial for 2^f
  float negligible;  // terms below this fraction of the largest are left out
  Whole whole;
  // Terms that underflow, below 2^-126 each, are together below 2^-24 of the norm of a larger sum.
  float least_sum;
};

// All terms below `negligible` together are below 2e-7 p of the sum, hence 2e-7 of the norm.
Exponent make_exponent(float p, int64_t inputs) {
  Exponent e;
  e.p = p;
  e.inverse = 1.0f / p;
  for (int k = 0; k < 7; ++k) e.log2[k] = kLog2[k] * p;
  e.fine = p < 8.0f;
  e.negligible = negligible_fraction(p, inputs);
  e.whole = whole_of(p);
  e.least_sum = float(larger(1, inputs)) * 0x1p-102f / p;
  return e;
}

// |d|^p 2^(offset - p kLog2Centre) in place: the caller chooses the offsets and the root takes them
// back. Step by step for all N together, since one chain of dependent instructions keeps the processor
// waiting.
template <bool Fine, int N> inline void power_terms(const Exponent &e, F *d, const F *offset) {
  F r[N], z[N], h[N];
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) {
    F x, m;
    Simd::split(d[n], &x, &m);
    r[n] = Simd::sub(m, Simd::set1(1.5f));
    z[n] = Simd::fma(x, Simd::set1(e.p), offset[n]);
    h[n] = Simd::set1(e.log2[6]);
  }
#pragma GCC unroll 8
  for (int k = 5; k >= 0; --k) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) h[n] = Simd::fma(h[n], r[n], Simd::set1(e.log2[k]));
  }
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) {
    z[n] = Simd::parts(Simd::fma(h[n], r[n], z[n]), &r[n]);
    h[n] = Simd::set1(Fine ? kExp5[5] : kExp4[4]);
  }
#pragma GCC unroll 8
  for (int k = Fine ? 4 : 3; k >= 0; --k) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) h[n] = Simd::fma(h[n], r[n], Simd::set1(Fine ? kExp5[k] : kExp4[k]));
  }
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) d[n] = Simd::scale_normal(h[n], z[n]);
}

// Terms added in float32 before a run is closed: at most (run - 1) roundings, an error of the norm of
// (run - 1) 2^-24 / p.
inline int64_t run_length(float p) { return p < 2.0f ? 16 : 32; }

// Adds `run` to a sum and what that rounds off to `low`.
inline void add_exactly(F &sum, F &low, F run) {
  const F total = Simd::add(sum, run);
  const F part = Simd::sub(total, sum);
  low = Simd::add(low, Simd::add(Simd::sub(sum, Simd::sub(total, part)), Simd::sub(run, part)));
  sum = total;
}

// The offset that divides the terms of an output by 2^(p exponent), a whole number, and what its
// rounding errors are, so that the root can undo them: they would grow with the exponent.
struct Offset {
  F offset, residue, shift, remainder;
};

inline Offset make_offset(const Exponent &e, F exponent) {
  Offset o;
  const F centre = Simd::set1(kLog2Centre), p = Simd::set1(e.p);
  const F s = Simd::sub(centre, exponent);
  o.remainder = Simd::sub(centre, Simd::add(s, exponent)); // centre - exponent = s + remainder
  o.offset = Simd::mul(p, s);
  o.residue = Simd::fnma(p, s, o.offset); // offset = p s + residue
  o.shift = exponent;
  return o;
}

inline Offset no_offset() {
  const F zero = Simd::set1(0.0f);
  return {zero, zero, zero, zero};
}

// S^(1/p), S > 0 normal, of terms with this offset.
inline F root(const Exponent &e, F sum, const Offset &o) {
  F x, m;
  Simd::split(sum, &x, &m);
  const F r = Simd::sub(m, Simd::set1(1.5f));
  const F l = Simd::fma(horner(kLog2Fine, r), r, Simd::set1(kLog2Of1_5));
  // x / p = n + rest / p exactly, so that a large x costs no digits.
  const F inverse = Simd::set1(e.inverse);
  const F n = Simd::round(Simd::mul(x, inverse));
  const F rest = Simd::fnma(n, Simd::set1(e.p), x);
  const F z = Simd::fma(Simd::sub(Simd::add(rest, l), o.residue), inverse, o.remainder);
  F f;
  const F whole = Simd::parts(z, &f);
  return Simd::scale(Simd::scale_normal(horner(kExp6, f), whole), Simd::add(n, o.shift));
}

} // namespace
} // namespace sortnet

#endif
