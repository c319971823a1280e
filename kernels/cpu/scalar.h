// One output at a time in plain C++ and float64: what the vector kernels hand over because it is
// rare (NaN, infinite or denormal data, many order statistics) and what no speed is asked of.
// Compiled for the oldest processor.
#ifndef SORTNET_CPU_SCALAR_H
#define SORTNET_CPU_SCALAR_H

#include "kernels.h"

namespace sortnet {

// Largest t with inputs t^p <= 2e-7 p, at most 1.
float negligible_fraction(float p, int64_t inputs);

// t with t^(p-1) = 2^-30, normal.
float negligible_slope(float p);

// t^p for ratios t from `least` to 1: q(t)^(2^squarings), where q(t) = t^(p / 2^squarings), p / 2^squarings in [1, 2), is a
// polynomial in t - centre with a relative error below 2e-7; of degree 0: t itself.
struct HighPower {
  float least, centre;
  int squarings, degree;
  float coefficient[20];
};
HighPower make_high_power(float p, float least);

float lp_one(const LpForward &c, int64_t b, int64_t o);
// Adds the gradients through output (b, o) to row b of dx and row o of dw.
void lp_backward_one(const LpBackward &c, int64_t b, int64_t o);
float sort_one(const SortForward &c, int64_t b, int64_t o);
// coef . (the K largest of n terms), which are reordered. K <= n, no NaN.
float sort_candidates(float *a, int64_t n, const sn_coefficients &coef, int64_t o);
// The K largest terms of output (b, o) in order of rank, NaN as infinity: their inputs, with the signs of the
// differences; kNoSlope where a difference is 0 or NaN. At most kPlaceInput inputs.
constexpr uint32_t kNegative = uint32_t(1) << 31, kNoSlope = uint32_t(1) << 30, kPlaceInput = kNoSlope - 1;
void sort_places_one(const SortBackward &c, int64_t b, int64_t o, uint32_t *places);
void lp_bounds_one(const Bounds &c, int64_t b, int64_t o);
void sort_bounds_one(const Bounds &c, int64_t b, int64_t o);

} // namespace sortnet

#endif
