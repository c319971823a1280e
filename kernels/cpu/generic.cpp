// Plain C++: right everywhere, one neuron at a time.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "kernels.h"
#include "parallel.h"

namespace sortnet {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

bool kept(const uint8_t *mask, int64_t row, int64_t width, int64_t i) {
  return mask == nullptr || mask[row * width + i] != 0;
}

// The l_p norm of n non-negative terms, in float64, scaled by the largest. NaN where a term is.
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

double weighted(const sn_coefficients &c, int64_t o, int64_t k) {
  return double(c.data[o * c.stride + k]);
}

// coef . a, a sorted in descending order; NaN if any of the n terms is.
float sorted_sum(float *a, int64_t n, const sn_coefficients &c, int64_t o) {
  for (int64_t i = 0; i < n; ++i) {
    if (std::isnan(a[i])) return kNaN;
  }
  std::partial_sort(a, a + c.count, a + n, std::greater<float>());
  float y = 0.0f;
  for (int64_t k = c.count - 1; k >= 0; --k) {
    const float term = c.data[o * c.stride + k] * a[k];
    y = k == c.count - 1 ? term : y + term;
  }
  return y;
}

float sign(float d) { return d > 0.0f ? 1.0f : d < 0.0f ? -1.0f : 0.0f; }

float *scratch_floats(int64_t n) {
  return static_cast<float *>(scratch().get(size_t(std::max<int64_t>(n, 1)) * sizeof(float)));
}

sn_status lp_forward(const LpForward &c) {
  const int64_t I = c.layer.inputs;
  return parallel_for(c.ex, c.layer.batch, [&](int64_t b) {
    float *a = scratch_floats(I);
    const int64_t g = b / c.masks.group;
    for (int64_t o = 0; o < c.layer.outputs; ++o) {
      float *y = c.y + b * c.y_stride + o;
      if (!kept(c.masks.out, g, c.layer.outputs, o)) {
        *y = 0.0f;
        continue;
      }
      int64_t n = 0;
      for (int64_t i = 0; i < I; ++i) {
        if (kept(c.masks.in, g, I, i)) {
          a[n++] = std::fabs(c.x[b * c.x_stride + i] - c.layer.w[o * c.layer.w_stride + i]);
        }
      }
      *y = float(norm(a, n, c.p));
    }
  });
}

// d y[b, o] / d x[b, i] for every kept i, into g[I].
void lp_gradient(const LpBackward &c, int64_t b, int64_t o, float *g) {
  const int64_t I = c.layer.inputs;
  const double y = c.y[b * c.y_stride + o];
  bool found = false;
  for (int64_t i = 0; i < I; ++i) {
    g[i] = 0.0f;
    if (found || !kept(c.masks.in, b / c.masks.group, I, i)) continue;
    const float d = c.x[b * c.x_stride + i] - c.layer.w[o * c.layer.w_stride + i];
    if (y == 0.0) continue;
    if (c.p == kInf) {
      found = double(std::fabs(d)) == y;
      if (found) g[i] = sign(d);
    } else if (d != 0.0f) {
      g[i] = std::copysign(float(std::pow(std::fabs(d) / y, double(c.p) - 1.0)), d);
    }
  }
}

sn_status lp_backward(const LpBackward &c) {
  const int64_t B = c.layer.batch, I = c.layer.inputs, O = c.layer.outputs;
  sn_status status = SN_OK;
  const auto add = [&](int64_t b, int64_t o, float *g, float *row, float factor) {
    if (!kept(c.masks.out, b / c.masks.group, O, o)) return;
    lp_gradient(c, b, o, g);
    const float dy = factor * c.dy[b * c.dy_stride + o];
    for (int64_t i = 0; i < I; ++i) {
      if (g[i] != 0.0f) row[i] += dy * g[i];
    }
  };
  if (c.dx != nullptr) {
    status = parallel_for(c.ex, B, [&](int64_t b) {
      float *g = scratch_floats(I), *row = c.dx + b * c.dx_stride;
      std::fill(row, row + I, 0.0f);
      for (int64_t o = 0; o < O; ++o) add(b, o, g, row, 1.0f);
    });
  }
  if (c.dw != nullptr && status == SN_OK) {
    status = parallel_for(c.ex, O, [&](int64_t o) {
      float *g = scratch_floats(I), *row = c.dw + o * c.dw_stride;
      std::fill(row, row + I, 0.0f);
      for (int64_t b = 0; b < B; ++b) add(b, o, g, row, -1.0f);
    });
  }
  return status;
}

sn_status sort_forward(const SortForward &c) {
  const int64_t I = c.layer.inputs;
  return parallel_for(c.ex, c.layer.batch, [&](int64_t b) {
    float *a = scratch_floats(I);
    for (int64_t o = 0; o < c.layer.outputs; ++o) {
      for (int64_t i = 0; i < I; ++i) {
        a[i] = std::fabs(c.x[b * c.x_stride + i] - c.layer.w[o * c.layer.w_stride + i]);
      }
      c.y[b * c.y_stride + o] = sorted_sum(a, I, c.coef, o);
    }
  });
}

sn_status sort_backward(const SortBackward &c) {
  const int64_t B = c.layer.batch, I = c.layer.inputs, O = c.layer.outputs, K = c.coef.count;
  struct Term {
    float a, sign;
    int64_t i;
  };
  // The first K terms of neuron (b, o) in order of rank.
  const auto rank = [&](int64_t b, int64_t o) {
    Term *t = static_cast<Term *>(scratch().get(size_t(std::max<int64_t>(I, 1)) * sizeof(Term)));
    for (int64_t i = 0; i < I; ++i) {
      const float d = c.x[b * c.x_stride + i] - c.layer.w[o * c.layer.w_stride + i];
      t[i] = {std::isnan(d) ? kInf : std::fabs(d), sign(d), i};
    }
    std::partial_sort(t, t + K, t + I, [](const Term &l, const Term &r) {
      return l.a > r.a || (l.a == r.a && l.i < r.i);
    });
    return t;
  };
  sn_status status = SN_OK;
  if (c.dx != nullptr) {
    status = parallel_for(c.ex, B, [&](int64_t b) {
      float *row = c.dx + b * c.dx_stride;
      std::fill(row, row + I, 0.0f);
      for (int64_t o = 0; o < O; ++o) {
        const Term *t = rank(b, o);
        const float dy = c.dy[b * c.dy_stride + o];
        for (int64_t k = 0; k < K; ++k) {
          row[t[k].i] += dy * c.coef.data[o * c.coef.stride + k] * t[k].sign;
        }
      }
    });
  }
  if ((c.dw != nullptr || c.dcoef != nullptr) && status == SN_OK) {
    status = parallel_for(c.ex, O, [&](int64_t o) {
      float *row = c.dw == nullptr ? nullptr : c.dw + o * c.dw_stride;
      float *dcoef = c.dcoef == nullptr ? nullptr : c.dcoef + o * K;
      if (row != nullptr) std::fill(row, row + I, 0.0f);
      if (dcoef != nullptr) std::fill(dcoef, dcoef + K, 0.0f);
      for (int64_t b = 0; b < B; ++b) {
        const Term *t = rank(b, o);
        const float dy = c.dy[b * c.dy_stride + o];
        for (int64_t k = 0; k < K; ++k) {
          if (row != nullptr) row[t[k].i] -= dy * c.coef.data[o * c.coef.stride + k] * t[k].sign;
          if (dcoef != nullptr) dcoef[k] += dy * t[k].a;
        }
      }
    });
  }
  return status;
}

// The next float32 beyond a float64 value, a few units further than its own rounding errors.
float down(double v, double slack) {
  return std::nextafterf(float(v - slack * 0x1p-40), -kInf);
}
float up(double v, double slack) { return std::nextafterf(float(v + slack * 0x1p-40), kInf); }

// The least and largest |x - w| over [l, u], in float64 then rounded outward to float32.
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

// Fills the terms' intervals of neuron (b, o); false: no bound can be given.
bool intervals(const Bounds &c, int64_t b, int64_t o, float *lo, float *hi) {
  for (int64_t i = 0; i < c.layer.inputs; ++i) {
    if (!interval(c.lower[b * c.x_stride + i], c.upper[b * c.x_stride + i],
                  c.layer.w[o * c.layer.w_stride + i], lo + i, hi + i)) {
      return false;
    }
  }
  return true;
}

template <class Aggregate> sn_status bounds(const Bounds &c, const Aggregate &aggregate) {
  const int64_t I = c.layer.inputs;
  return parallel_for(c.ex, c.layer.batch, [&](int64_t b) {
    float *lo = scratch_floats(2 * I), *hi = lo + I;
    for (int64_t o = 0; o < c.layer.outputs; ++o) {
      double l = -double(kInf), u = double(kInf), slack = 0.0;
      if (intervals(c, b, o, lo, hi)) aggregate(o, lo, hi, &l, &u, &slack);
      float *yl = c.y_lower + b * c.y_stride + o, *yu = c.y_upper + b * c.y_stride + o;
      const bool exact = l == 0.0 && u == 0.0 && slack == 0.0;
      *yl = std::isnan(l) || std::isnan(u) ? -kInf : exact ? 0.0f : down(l, slack);
      *yu = std::isnan(l) || std::isnan(u) ? kInf : exact ? 0.0f : up(u, slack);
    }
  });
}

sn_status lp_bounds(const Bounds &c) {
  const int64_t I = c.layer.inputs;
  return bounds(c, [&](int64_t, float *lo, float *hi, double *l, double *u, double *slack) {
    *l = norm(lo, I, c.p);
    *u = norm(hi, I, c.p);
    *slack = std::isinf(*u) ? 0.0 : *u;
  });
}

sn_status sort_bounds(const Bounds &c) {
  const int64_t I = c.layer.inputs, K = c.coef.count;
  return bounds(c, [&](int64_t o, float *lo, float *hi, double *l, double *u, double *slack) {
    std::partial_sort(lo, lo + K, lo + I, std::greater<float>());
    std::partial_sort(hi, hi + K, hi + I, std::greater<float>());
    *l = *u = *slack = 0.0;
    for (int64_t k = 0; k < K; ++k) {
      const double w = weighted(c.coef, o, k);
      *l += w * (w < 0.0 ? hi[k] : lo[k]);
      *u += w * (w < 0.0 ? lo[k] : hi[k]);
      *slack += std::fabs(w) * hi[k];
    }
    if (std::isinf(*slack)) *slack = 0.0;
  });
}

size_t packed_bytes(int64_t outputs, int64_t inputs) {
  return size_t(outputs) * size_t(inputs) * sizeof(float);
}

void pack(const float *w, int64_t w_stride, int64_t outputs, int64_t inputs, float *packed) {
  for (int64_t o = 0; o < outputs; ++o) {
    std::memcpy(packed + o * inputs, w + o * w_stride, size_t(inputs) * sizeof(float));
  }
}

} // namespace

const Kernels generic_kernels = {"generic",    packed_bytes,  pack,      lp_forward, lp_backward,
                                 sort_forward, sort_backward, lp_bounds, sort_bounds};

} // namespace sortnet
