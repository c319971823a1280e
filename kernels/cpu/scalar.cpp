#include "../strict_float.h"

#include "scalar.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "parallel.h"

namespace sortnet {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

bool kept(const uint8_t *mask, int64_t row, int64_t width, int64_t i) {
  return mask == nullptr || mask[row * width + i] != 0;
}

template <class T> T *room(int64_t n) {
  const size_t count = static_cast<size_t>(std::max<int64_t>(n, 1));
  return static_cast<T *>(scratch(ScratchSlot::single, count * sizeof(T)));
}

// The l_p norm of n non-negative terms, scaled by the largest. NaN where a term is.
double norm(const float *a, int64_t n, float p) {
  double top = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    if (std::isnan(a[i])) return kNaN;
    top = std::max(top, double(a[i]));
  }
  if (p == kInf || top == 0.0 || std::isinf(top)) return top;
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += std::pow(a[i] / top, double(p));
  return top * std::pow(sum, 1.0 / double(p));
}

// d y[b, o] / d x[b, i] of a finite p for every i, into g[I].
void lp_gradient(const LpBackward &c, int64_t b, int64_t o, float *g) {
  const int64_t I = c.layer.inputs;
  const double y = c.y[b * c.y_stride + o];
  for (int64_t i = 0; i < I; ++i) {
    const float d = c.x[b * c.x_stride + i] - c.layer.w[o * c.layer.w_stride + i];
    g[i] = 0.0f;
    if (y != 0.0 && d != 0.0f && kept(c.masks.in, b / c.masks.group, I, i)) {
      g[i] = std::copysign(float(std::pow(std::fabs(d) / y, double(c.p) - 1.0)), d);
    }
  }
}

// The least and largest |x - w| over [l, u], rounded outward. False: no bound can be given.
bool interval(float l, float u, float w, float *lo, float *hi) {
  if (!(l <= u)) return false;
  const double a = double(l) - double(w), b = double(u) - double(w);
  if (std::isnan(a) || std::isnan(b)) return false;
  const double least = std::max({a, -b, 0.0}), largest = std::max(std::fabs(a), std::fabs(b));
  *lo = float(least);
  if (double(*lo) > least) *lo = std::nextafterf(*lo, 0.0f);
  *hi = float(largest);
  if (double(*hi) < largest) *hi = std::nextafterf(*hi, kInf);
  return true;
}

// The outputs of `aggregate(lo, hi, &l, &u, &size)` over the terms' intervals, rounded outward by more
// than the float64 arithmetic errs: size bounds the sum of the terms' magnitudes. Non-negative
// outputs if `positive`.
template <class Aggregate>
void bounds_one(const Bounds &c, int64_t b, int64_t o, bool positive, const Aggregate &aggregate) {
  const int64_t I = c.layer.inputs;
  float *lo = room<float>(2 * I), *hi = lo + I;
  float *yl = c.y_lower + b * c.y_stride + o, *yu = c.y_upper + b * c.y_stride + o;
  bool valid = true;
  for (int64_t i = 0; i < I && valid; ++i) {
    const int64_t at = b * c.x_stride + i;
    valid = interval(c.lower[at], c.upper[at], c.layer.w[o * c.layer.w_stride + i], lo + i, hi + i);
  }
  double l = 0.0, u = 0.0, size = 0.0;
  if (valid) aggregate(lo, hi, &l, &u, &size);
  if (!valid || std::isnan(l) || std::isnan(u) || std::isnan(size)) {
    *yl = -kInf;
    *yu = kInf;
  } else if (size == 0.0) {
    *yl = *yu = 0.0f;
  } else {
    // An infinite lower end comes from infinite weights or inputs, whose real values are unbounded
    // but finite.
    const double slack = std::isinf(size) ? 0.0 : size * 0x1p-40;
    *yl = std::nextafterf(float(l - slack), -kInf);
    *yu = std::nextafterf(float(u + slack), kInf);
    if (positive && !(*yl >= 0.0f)) *yl = 0.0f;
  }
}

} // namespace

float negligible_fraction(float p, int64_t inputs) {
  const double n = double(std::max<int64_t>(inputs, 1));
  return float(std::min(1.0, std::pow(2e-7 * double(p) / n, 1.0 / double(p))));
}

float negligible_slope(float p) {
  // A ratio of 0 has no slope, however near 1 p is.
  return p > 1.0f ? float(std::max(std::pow(2.0, -30.0 / (double(p) - 1.0)), 0x1p-126)) : 0.0f;
}

HighPower make_high_power(float p, float least) {
  HighPower h = {};
  h.squarings = std::ilogb(p);
  const double r = std::ldexp(double(p), -h.squarings);
  h.least = least;
  if (r == 1.0) return h;
  // Interpolation at Chebyshev's nodes, and the error where it is about the largest.
  const double end = 1.0 + 0x1p-18, half = (end - double(least)) / 2.0;
  h.centre = float((end + double(least)) / 2.0);
  const auto at = [&](double z) { return double(h.centre) + half * z; };
  constexpr int most = int(sizeof h.coefficient / sizeof *h.coefficient) - 1;
  constexpr double pi = 3.14159265358979323846;
  for (h.degree = 1;; ++h.degree) {
    const int n = h.degree + 1;
    double node[most + 1], newton[most + 1], c[most + 1] = {};
    for (int k = 0; k < n; ++k) {
      node[k] = half * std::cos(pi * (k + 0.5) / n);
      newton[k] = std::pow(double(h.centre) + node[k], r);
    }
    for (int order = 1; order < n; ++order) {
      for (int k = n - 1; k >= order; --k) newton[k] = (newton[k] - newton[k - 1]) / (node[k] - node[k - order]);
    }
    for (int k = n - 1; k >= 0; --k) { // c = c (s - node) + newton
      for (int j = n - 1; j > 0; --j) c[j] = c[j - 1] - c[j] * node[k];
      c[0] = newton[k] - c[0] * node[k];
    }
    for (int k = 0; k < n; ++k) h.coefficient[k] = float(c[k]);
    double worst = 0.0;
    for (int k = 0; k <= n; ++k) {
      const double t = at(std::cos(pi * k / n)), s = t - double(h.centre);
      double q = double(h.coefficient[n - 1]);
      for (int j = n - 2; j >= 0; --j) q = q * s + double(h.coefficient[j]);
      worst = std::max(worst, std::fabs(q / std::pow(t, r) - 1.0));
    }
    if (worst <= 2e-7 || h.degree == most) return h;
  }
}

float lp_one(const LpForward &c, int64_t b, int64_t o) {
  const int64_t I = c.layer.inputs, g = b / c.masks.group;
  if (!kept(c.masks.out, g, c.layer.outputs, o)) return 0.0f;
  float *a = room<float>(I);
  int64_t n = 0;
  for (int64_t i = 0; i < I; ++i) {
    if (kept(c.masks.in, g, I, i)) {
      a[n++] = std::fabs(c.x[b * c.x_stride + i] - c.layer.w[o * c.layer.w_stride + i]);
    }
  }
  return float(norm(a, n, c.p));
}

void lp_backward_one(const LpBackward &c, int64_t b, int64_t o) {
  const int64_t I = c.layer.inputs;
  float *g = room<float>(I);
  lp_gradient(c, b, o, g);
  const float dy = c.dy[b * c.dy_stride + o];
  for (int64_t i = 0; i < I; ++i) {
    if (g[i] == 0.0f) continue;
    if (c.dx != nullptr) c.dx[b * c.dx_stride + i] += dy * g[i];
    if (c.dw != nullptr) c.dw[o * c.dw_stride + i] -= dy * g[i];
  }
}

float sort_candidates(float *a, int64_t n, const sn_coefficients &coef, int64_t o) {
  const int64_t K = coef.count;
  if (K == 0) return 0.0f;
  if (K < n) std::nth_element(a, a + K - 1, a + n, std::greater<float>());
  std::sort(a, a + K, std::greater<float>());
  const float *c = coef.data + o * coef.stride;
  float y = c[K - 1] * a[K - 1];
  for (int64_t k = K - 2; k >= 0; --k) y += c[k] * a[k];
  return y;
}

float sort_one(const SortForward &c, int64_t b, int64_t o) {
  const int64_t I = c.layer.inputs;
  float *a = room<float>(I);
  for (int64_t i = 0; i < I; ++i) {
    a[i] = std::fabs(c.x[b * c.x_stride + i] - c.layer.w[o * c.layer.w_stride + i]);
    if (std::isnan(a[i])) return kNaN;
  }
  return sort_candidates(a, I, c.coef, o);
}

void sort_places_one(const SortBackward &c, int64_t b, int64_t o, uint32_t *places) {
  const int64_t I = c.layer.inputs, K = c.coef.count;
  struct Term {
    float a;
    uint32_t place;
  };
  Term *t = room<Term>(I);
  for (int64_t i = 0; i < I; ++i) {
    const float d = c.x[b * c.x_stride + i] - c.layer.w[o * c.layer.w_stride + i];
    const uint32_t flag = d > 0.0f ? 0 : d < 0.0f ? kNegative : kNoSlope;
    t[i] = {std::isnan(d) ? kInf : std::fabs(d), uint32_t(i) | flag};
  }
  std::partial_sort(t, t + K, t + I, [](const Term &l, const Term &r) {
    return l.a > r.a || (l.a == r.a && (l.place & kPlaceInput) < (r.place & kPlaceInput));
  });
  for (int64_t k = 0; k < K; ++k) places[k] = t[k].place;
}

void lp_bounds_one(const Bounds &c, int64_t b, int64_t o) {
  const int64_t I = c.layer.inputs;
  bounds_one(c, b, o, true, [&](float *lo, float *hi, double *l, double *u, double *size) {
    *l = norm(lo, I, c.p);
    *u = norm(hi, I, c.p);
    *size = *u;
  });
}

void sort_bounds_one(const Bounds &c, int64_t b, int64_t o) {
  const int64_t I = c.layer.inputs, K = c.coef.count;
  bounds_one(c, b, o, false, [&](float *lo, float *hi, double *l, double *u, double *size) {
    std::partial_sort(lo, lo + K, lo + I, std::greater<float>());
    std::partial_sort(hi, hi + K, hi + I, std::greater<float>());
    for (int64_t k = 0; k < K; ++k) {
      const double w = c.coef.data[o * c.coef.stride + k];
      *l += w * (w < 0.0 ? hi[k] : lo[k]);
      *u += w * (w < 0.0 ? lo[k] : hi[k]);
      *size += std::fabs(w) * hi[k];
    }
  });
}

} // namespace sortnet
