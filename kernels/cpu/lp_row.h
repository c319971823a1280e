// The norm of one row of terms beside its largest, a lane per input: for p so large that few terms
// matter, and for sums of powers that would leave the range of float32.
#ifndef SORTNET_CPU_LP_ROW_H
#define SORTNET_CPU_LP_ROW_H

#include "power.h"

namespace sortnet {
namespace {

// Floats of room that a row of n terms needs.
inline int64_t row_room(int64_t n) { return round_up(n, kLanes) + 4 * kLanes; }

// Where powers of ratios to the largest term are right, and their root times it. A largest term that is 0
// or infinite or NaN is the norm itself.
// (Differences below 2^-126 are flushed: beside a smaller one, many of them would matter.)
constexpr float kLeastTop = 0x1p-60f, kMostTop = 0x1p100f;
inline bool usual_top(float top) { return top >= kLeastTop && top <= kMostTop; }
inline bool top_is_norm(float top) { return !(top != 0.0f && finite(top)); }

// For huge p the negligible fraction reaches 1; the largest term may be an ulp below the top, and counts.
constexpr float kMostRatio = 1.0f - 0x1p-21f;

// Even whole powers of vectors, in place.
struct Squarings {
  Whole whole;
  template <int N> void raise(F *t) const {
    for (int n = 0; n < N; ++n) t[n] = whole.triple ? whole_power<3>(t[n]) : t[n];
    for (int k = 0; k < whole.squarings; ++k) {
      for (int n = 0; n < N; ++n) t[n] = Simd::mul(t[n], t[n]);
    }
  }
};

template <bool Fine> struct AnyPower {
  const Exponent &e;
  F offset;
  template <int N> void raise(F *t) const {
    F offsets[N];
    for (int n = 0; n < N; ++n) offsets[n] = offset;
    power_terms<Fine, N>(e, t, offsets);
  }
};

template <class Term> float largest_term(const float *x, const float *u, const float *w, int64_t n) {
  F top[2] = {Simd::set1(0.0f), Simd::set1(0.0f)};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    for (int v = 0; v < 2; ++v) {
      const int64_t at = i + v * kLanes;
      top[v] = Simd::absmax(top[v], Term::of(Term::load_row(x, u, at, kLanes), Simd::load(w + at)));
    }
  }
  for (; i < n; i += kLanes) {
    const int left = int(smaller(kLanes, n - i));
    const F wi = left == kLanes ? Simd::load(w + i) : Simd::load(w + i, left);
    top[0] = Simd::absmax(top[0], Term::of(Term::load_row(x, u, i, left), wi));
  }
  float lane[kLanes], most = 0.0f;
  Simd::store(lane, Simd::max(top[0], top[1]));
  for (const float a : lane) most = a > most ? a : most;
  return most;
}

// The sum of what `power` makes of `count` terms in `room` times `inverse`; room has 4 vectors more.
template <class Power>
float sum_of_powers(float *room, int64_t count, F inverse, const Exponent &e, const Power &power) {
  // Absent terms are 0: their powers are far below rounding.
  constexpr int kStep = 4;
  F zero = Simd::set1(0.0f);
  Simd::renew(zero); // or the compiler calls for a memset
  for (int v = 0; v < kStep; ++v) Simd::store(room + count + v * kLanes, zero);
  const int64_t run = run_length(e.p) * kLanes;
  double total = 0.0;
  for (int64_t begin = 0; begin < count; begin += run) {
    F sum = Simd::set1(0.0f);
    for (int64_t k = begin; k < smaller(count, begin + run); k += kStep * kLanes) {
      F t[kStep];
      for (int v = 0; v < kStep; ++v) t[v] = Simd::mul(Simd::load(room + k + v * kLanes), inverse);
      power.template raise<kStep>(t);
      for (int v = 0; v < kStep; ++v) sum = Simd::add(sum, t[v]);
    }
    float lane[kLanes];
    Simd::store(lane, sum);
    for (const float part : lane) total += double(part);
  }
  return float(total);
}

// For each kind k of terms the sum over n inputs of what `power` makes of their ratios to tops[k], an
// ulp or less from the largest; terms that are negligible beside it are left out. 1 for a top that is
// unusual. room: Terms::count * row_room(n) floats.
template <class Terms, class Power>
void sums_of_row(const float *x, const float *u, const float *w, int64_t n, const Exponent &e,
                 const Power &power, const float *tops, float *room, float *sums) {
  constexpr int K = Terms::count;
  F least[K];
  int64_t count[K] = {};
  const int64_t step = row_room(n);
  const float fraction = e.negligible < kMostRatio ? e.negligible : kMostRatio;
  for (int k = 0; k < K; ++k) {
    least[k] = Simd::set1(usual_top(tops[k]) ? tops[k] * fraction : kInfinity);
  }
  const auto terms = [&](int64_t i, int have, F *a) {
    Terms::of(Terms::load_row(x, u, i, have), load_some(w + i, have), a);
#pragma GCC unroll 2
    for (int k = 0; k < K; ++k) a[k] = Terms::size(a[k]);
  };
  const auto collect = [&](const F *a) {
#pragma GCC unroll 2
    for (int k = 0; k < K; ++k) {
      count[k] += Simd::compress(room + k * step + count[k], a[k], Simd::ge(a[k], least[k]));
    }
  };
  int64_t i = 0;
  // Where few terms matter, most vectors have none.
  for (; e.negligible > 0.7f && i + 4 * kLanes <= n; i += 4 * kLanes) {
    F a[4][K];
    M m[4];
    for (int v = 0; v < 4; ++v) {
      terms(i + v * kLanes, kLanes, a[v]);
      m[v] = Simd::ge(a[v][0], least[0]);
      for (int k = 1; k < K; ++k) m[v] = Simd::either(m[v], Simd::ge(a[v][k], least[k]));
    }
    if (__builtin_expect(!Simd::any(m[0], m[1]) && !Simd::any(m[2], m[3]), 1)) continue;
    for (int v = 0; v < 4; ++v) collect(a[v]);
  }
  for (; i + kLanes <= n; i += kLanes) {
    F a[K];
    terms(i, kLanes, a);
    collect(a);
  }
  if (i < n) {
    F a[K];
    terms(i, int(n - i), a);
    collect(a);
  }
  for (int k = 0; k < K; ++k) {
    const F inverse = Simd::set1(1.0f / tops[k]);
    sums[k] = usual_top(tops[k]) ? sum_of_powers(room + k * step, count[k], inverse, e, power) : 1.0f;
  }
}

// sums[b] for the rows x[b] (u[b]) beside tops[b], b < samples: [samples][Terms::count].
template <class Terms>
void sums_beside(const float *const *x, const float *const *u, int64_t samples, const float *w, int64_t n,
                 const Exponent &e, const float *tops, float *room, float *sums) {
  const FlushToZero mode;
  const auto all = [&](const auto &power) {
    for (int64_t b = 0; b < samples; ++b) {
      sums_of_row<Terms>(x[b], u[b], w, n, e, power, tops + b * Terms::count, room,
                         sums + b * Terms::count);
    }
  };
  const F offset = make_offset(e, Simd::set1(0.0f)).offset;
  if (e.whole.squarings > 0) all(Squarings{e.whole});
  else if (e.fine) all(AnyPower<true>{e, offset});
  else all(AnyPower<false>{e, offset});
}

// Norms in place of the largest terms, n of them rounded up to whole vectors; those of unusual largest
// terms are left.
void norms_from(const Exponent &e, const float *sums, float *tops, int64_t n) {
  const Offset offset = e.whole.squarings > 0 ? no_offset() : make_offset(e, Simd::set1(0.0f));
  for (int64_t k = 0; k < n; k += kLanes) {
    float *at = tops + k;
    const F top = Simd::load(at);
    const M usual = Simd::both(Simd::ge(top, Simd::set1(kLeastTop)), Simd::le(top, Simd::set1(kMostTop)));
    Simd::store(at, Simd::select(usual, Simd::mul(root(e, Simd::load(sums + k), offset), top), top));
  }
}

// The norm of one row. False if it must be computed in float64. room: row_room(n) floats.
template <class Term>
bool row_norm(const float *x, const float *u, const float *w, int64_t n, const Exponent &e, float *room,
              float *y) {
  float tops[kLanes] = {largest_term<Term>(x, u, w, n)}, sums[kLanes] = {};
  if (top_is_norm(tops[0])) return *y = tops[0], true;
  if (!usual_top(tops[0])) return false;
  sums_beside<One<Term>>(&x, &u, 1, w, n, e, tops, room, sums);
  for (int l = 1; l < kLanes; ++l) tops[l] = tops[0], sums[l] = 1.0f;
  norms_from(e, sums, tops, kLanes);
  return *y = tops[0], true;
}

} // namespace
} // namespace sortnet

#endif
