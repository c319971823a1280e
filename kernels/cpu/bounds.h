// sn_lp_bounds and sn_sort_bounds: the aggregate of the least and of the largest |x_i - w_i| that the
// intervals allow, rounded outward. With u = 2^-24:
//   - a term is max(l - w, w - u, 0) or max(w - l, u - w) in float32: a relative error of at most u
//     (differences do not underflow), so the maximum is off by one unit at most;
//   - a norm of finite p adds at most 2e-6 (lp_forward.h): widened by kNormSlack > 2e-6 + 4 u;
//   - a sum of K products, of relative error u each, summed with K - 1 roundings: |error| <=
//     (K + 1) u (1 + O(Ku)) A, A = sum |coef_k| a_(k) of the largest terms; the widening itself is rounded
//     twice, and a product may underflow by 2^-150: widened by (K + 6) u A + K 2^-149.
#ifndef SORTNET_CPU_BOUNDS_H
#define SORTNET_CPU_BOUNDS_H

#include "lp_forward.h"
#include "sort_pruned.h"

namespace sortnet {
namespace {

constexpr float kNormSlack = 2.4e-6f;

// Both ends of the intervals, interleaved. `largest` of a sample is NaN where an interval is not one.
struct Intervals {
  Samples lower;
  float *upper_tiles;
};

// Runs task(intervals, first, last, panel index) for blocks of samples and panels.
template <class Task> sn_status for_intervals(const Bounds &c, int most, const Task &task) {
  const int64_t B = c.layer.batch, I = c.layer.inputs, O = c.layer.outputs;
  Carver shared;
  for (int k = 0; k < 2; ++k) {
    shared.count<float>(B * (I + 1));
    shared.count<float>(B);
  }
  if (!shared.open(ScratchSlot::shared)) return SN_OUT_OF_MEMORY;
  const Samples lower = {shared.take<float>(B * (I + 1)), shared.take<float>(B)};
  const Samples upper = {shared.take<float>(B * (I + 1)), shared.take<float>(B)};
  const int64_t rows = rows_per_task(B, panels(O)), parts = ceil_div(B, rows);
  const sn_status laid = parallel_for(B * I < 65536 ? nullptr : c.ex, ceil_div(B, 32), [&](int64_t t) {
    const int64_t first = t * 32, last = smaller(B, first + 32);
    interleave_samples(c.lower, c.x_stride, I, nullptr, I, first, last, most, lower);
    interleave_samples(c.upper, c.x_stride, I, nullptr, I, first, last, most, upper);
    for (int64_t b = first; b < last; ++b) {
      float &top = lower.largest[b];
      if (!(upper.largest[b] <= top)) top = upper.largest[b];
      if (!ordered(c.lower + b * c.x_stride, c.upper + b * c.x_stride, I)) top = __builtin_nanf("");
    }
  });
  if (laid != SN_OK) return laid;
  const Intervals x = {lower, upper.tiles};
  return parallel_for(c.ex, panels(O) * parts, [&](int64_t t) {
    const int64_t first = t % parts * rows;
    task(x, first, smaller(B, first + rows), t / parts);
  });
}

// The largest nearest and farthest terms, [Count * kPair][2].
template <int Count> __attribute__((noinline)) void max_bounds(const Tile &t, F (*top)[2]) {
  F acc[Count][kPair][2];
#pragma GCC unroll 16
  for (int r = 0; r < Count; ++r) {
    for (int v = 0; v < kPair; ++v) acc[r][v][0] = acc[r][v][1] = Simd::set1(0.0f);
  }
  const float *l_at = t.x, *u_at = t.u, *w_at = t.w;
  for (int64_t i = 0; i < t.inputs; ++i, l_at += Count, u_at += Count, w_at += kPanel) {
    const F w[kPair] = {Simd::load(w_at), Simd::load(w_at + kLanes)};
#pragma GCC unroll 16
    for (int r = 0; r < Count; ++r) {
      const auto ends = Interval::load(l_at, u_at, r);
#pragma GCC unroll 2
      for (int v = 0; v < kPair; ++v) {
        F a[2];
        NearestAndFarthest::of(ends, w[v], a);
        for (int k = 0; k < 2; ++k) acc[r][v][k] = NearestAndFarthest::larger(acc[r][v][k], a[k]);
      }
    }
  }
  std::memcpy(top, acc, sizeof acc);
}

// n values, rounded up to whole vectors, widened by what a norm of finite p may err; 0 is exact.
void widen_norms(float *values, int64_t n, bool up) {
  const float factor = up ? 1.0f + kNormSlack : 1.0f - kNormSlack;
  for (int64_t k = 0; k < n; k += kLanes) {
    const F y = Simd::load(values + k), zero = Simd::set1(0.0f);
    const F wide = Simd::mul(y, Simd::set1(factor));
    const F out = up ? Simd::next_up(wide) : Simd::next_down(wide);
    Simd::store(values + k, Simd::select(Simd::eq(y, zero), zero, out));
  }
}

sn_status lp_bounds(const Bounds &c);

// Method::pruned: the maxima first, an ulp outward, then the powers of what matters beside them.
sn_status lp_bounds_beside_top(const Bounds &c, const Exponent &e) {
  Bounds maxima = c;
  maxima.p = kInfinity;
  const sn_status status = lp_bounds(maxima);
  if (status != SN_OK) return status;

  constexpr int64_t kRows = 32, kNeurons = 64; // of a task
  const sn_layer &l = c.layer;
  const int64_t I = l.inputs, O = l.outputs;
  const int64_t turns = ceil_div(l.batch, kRows); // at a block of weights
  return parallel_for(c.ex, ceil_div(O, kNeurons) * turns, [&](int64_t task) {
    const int64_t first = task % turns * kRows, samples = smaller(kRows, l.batch - first);
    Carver memory;
    memory.count<float>(2 * row_room(I));
    memory.open_or_throw(ScratchSlot::task);
    float *const room = memory.take<float>(2 * row_room(I));
    const float *lower[kRows], *upper[kRows];
    for (int64_t b = 0; b < samples; ++b) {
      lower[b] = c.lower + (first + b) * c.x_stride;
      upper[b] = c.upper + (first + b) * c.x_stride;
    }
    for (int64_t o = task / turns * kNeurons; o < smaller(O, (task / turns + 1) * kNeurons); ++o) {
      float tops[kRows][2], ends[2][kRows], sums[kRows][2], parts[2][kRows];
      for (int64_t b = 0; b < samples; ++b) {
        tops[b][0] = c.y_lower[(first + b) * c.y_stride + o];
        tops[b][1] = c.y_upper[(first + b) * c.y_stride + o];
      }
      sums_beside<NearestAndFarthest>(lower, upper, samples, l.w + o * l.w_stride, I, e, tops[0], room,
                                      sums[0]);
      for (int k = 0; k < 2; ++k) {
        for (int64_t b = 0; b < kRows; ++b) {
          ends[k][b] = b < samples ? tops[b][k] : 1.0f;
          parts[k][b] = b < samples ? sums[b][k] : 1.0f;
        }
        norms_from(e, parts[k], ends[k], samples);
        widen_norms(ends[k], samples, k == 1);
      }
      for (int64_t b = 0; b < samples; ++b) {
        c.y_lower[(first + b) * c.y_stride + o] = ends[0][b];
        c.y_upper[(first + b) * c.y_stride + o] = ends[1][b];
        const auto usual = [](float top) { return top == 0.0f || usual_top(top); };
        if (!usual(tops[b][0]) || !usual(tops[b][1])) lp_bounds_one(c, first + b, o);
      }
    }
  });
}

sn_status lp_bounds(const Bounds &c) {
  const sn_layer &l = c.layer;
  const int64_t I = l.inputs, O = l.outputs;
  const Norm norm = {method_of(c.p), make_exponent(c.p, I)};
  if (norm.method == Method::pruned) return lp_bounds_beside_top(c, norm.e);
  const bool exact = c.p == kInfinity;
  const sn_masks none = {nullptr, nullptr, 1};
  if (exact && linf_prunes(l, none)) return linf_bounds(c, none);
  const int most = exact ? kLongRows : rows_of(norm);
  return for_intervals(c, most, [&](const Intervals &x, int64_t first, int64_t last, int64_t index) {
    Carver memory;
    memory.count<float>((I + 2) * kPanel);
    memory.count<float>(row_room(I));
    memory.open_or_throw(ScratchSlot::task);
    const Panel panel = panel_of(l, index, memory.take<float>((I + 2) * kPanel));
    float *const terms = memory.take<float>(row_room(I));
    const int64_t o = index * kPanel, count = smaller(kPanel, O - o);
    const auto put = [&](float *y, int64_t b, const float *values) {
      std::memcpy(y + b * c.y_stride + o, values, size_t(count) * sizeof(float));
    };
    const uint64_t bad = not_finite(panel.largest);
    if (exact) {
      for (int64_t b = first; b < last;) {
        const int rows = tile_rows(last - b, most);
        const Tile t = {x.lower.tiles + b * (I + 1), x.upper_tiles + b * (I + 1), panel.w, I};
        F top[kMaxTile][2];
        switch (rows) {
          case 4: max_bounds<4>(t, top); break;
          default: max_bounds<1>(t, top);
        }
        for (int r = 0; r < rows; ++r) {
          float values[2][kPanel];
          for (int v = 0; v < kPair; ++v) {
            Simd::store(values[0] + v * kLanes, Simd::next_down(top[r * kPair + v][0]));
            Simd::store(values[1] + v * kLanes, farthest_up(top[r * kPair + v][1]));
          }
          put(c.y_lower, b + r, values[0]);
          put(c.y_upper, b + r, values[1]);
        }
        b += rows;
      }
    } else {
      // NaN: to be computed anew when both ends are there.
      const auto by_row = [&](auto term, int64_t b, int64_t k, bool up) {
        float y[kLanes] = {};
        if (!row_norm<decltype(term)>(c.lower + b * c.x_stride, c.upper + b * c.x_stride,
                                      l.w + (o + k) * l.w_stride, I, norm.e, terms, y)) {
          return __builtin_nanf("");
        }
        widen_norms(y, 1, up);
        return y[0];
      };
      const auto store = [&](auto term, float *y, bool up) {
        return [&, term, y, up](int64_t b, const float *values, uint64_t again) {
          float wide[kPanel];
          std::memcpy(wide, values, sizeof wide);
          widen_norms(wide, kPanel, up);
          const uint64_t odd = finite(x.lower.largest[b]) ? bad : ~uint64_t(0);
          for (int64_t k = 0; k < count; ++k) {
            if ((again & ~odd) >> k & 1) wide[k] = by_row(term, b, k, up);
          }
          put(y, b, wide);
        };
      };
      panel_norms<Nearest>(x.lower, x.upper_tiles, panel, I, norm, first, last,
                           store(Nearest(), c.y_lower, false));
      panel_norms<Farthest>(x.lower, x.upper_tiles, panel, I, norm, first, last,
                            store(Farthest(), c.y_upper, true));
    }
    for (int64_t b = first; b < last; ++b) {
      const uint64_t odd = finite(x.lower.largest[b]) ? bad : ~uint64_t(0);
      const float *yl = c.y_lower + b * c.y_stride + o, *yu = c.y_upper + b * c.y_stride + o;
      for (int64_t k = 0; k < count; ++k) {
        if ((odd >> k & 1) != 0 || !(yl[k] <= yu[k])) lp_bounds_one(c, b, o + k);
      }
    }
  });
}

// The sums of a vector of outputs, rounded outward, from their nearest terms and kMaxSorted vectors after them the
// farthest. Returns the outputs, a bit each, whose size is too large for that.
template <class Coef>
uint32_t widened_sums(const float *near, int64_t count, const Coef &coef, float *low, float *high) {
  const float share = float(count + 6) * 0x1p-24f, least_slack = float(count) * 0x1p-149f;
  const float *const far = near + kMaxSorted * kLanes;
  const F zero = Simd::set1(0.0f);
  F lower = zero, upper = zero, size = zero;
  for (int64_t k = count - 1; k >= 0; --k) {
    const F w = coef(k);
    const F n = Simd::mul(w, Simd::load(near + k * kLanes));
    const F f = Simd::mul(w, Simd::load(far + k * kLanes));
    lower = Simd::add(lower, Simd::min(n, f)); // a negative weight swaps the ends
    upper = Simd::add(upper, Simd::max(n, f));
    size = Simd::add(size, Simd::abs(f));
  }
  // All zero where the largest term is.
  const F slack = Simd::select(Simd::eq(Simd::load(far), zero), zero,
                               Simd::add(Simd::mul(size, Simd::set1(share)), Simd::set1(least_slack)));
  Simd::store(low, Simd::sub(lower, slack));
  Simd::store(high, Simd::add(upper, slack));
  return ~Simd::bits(Simd::le(size, Simd::set1(0x1p126f))) & ((1u << kLanes) - 1);
}

// Keeps t[0] >= t[1] >= ... the largest of n values and v.
inline void insert_one(float *t, int64_t n, float v) {
  if (!(v > t[n - 1])) return;
  for (int64_t k = n - 1; k >= 0; --k) {
    const bool here = k == 0 || t[k - 1] >= v;
    t[k] = here ? v : t[k - 1];
    if (here) return;
  }
}

struct SortedBounds {
  static constexpr int64_t outputs = 2;
  static constexpr int vectors = kBoundVectors;
  const Bounds &c;
  Rows rows() const { return {c.lower, c.upper, c.x_stride}; }
  template <class Coef> uint32_t of_lanes(const float *near, const Coef &coef, float *out, int64_t step) const {
    return widened_sums(near, c.coef.count, coef, out, out + step);
  }
  // Summed as all others are, so that the bounds of a sample do not depend on its tile.
  void one(int64_t b, int64_t o, float *out, int64_t step) const {
    const int64_t I = c.layer.inputs, K = c.coef.count;
    const float *l = c.lower + b * c.x_stride, *u = c.upper + b * c.x_stride;
    const float *w = c.layer.w + o * c.layer.w_stride;
    float sorted[2][kMaxSorted] = {}, vectors[2 * kMaxSorted * kLanes], sums[2][kLanes];
    for (int64_t i = 0; i < I; ++i) {
      const float below = w[i] - l[i], above = u[i] - w[i];
      insert_one(sorted[0], K, below < above ? -below : -above);
      insert_one(sorted[1], K, below < above ? above : below);
    }
    for (int j = 0; j < 2; ++j) {
      for (int64_t k = 0; k < K; ++k) Simd::store(vectors + (j * kMaxSorted + k) * kLanes, Simd::set1(sorted[j][k]));
    }
    const CoefficientsOfOne coef = {c.coef.data + o * c.coef.stride};
    if ((widened_sums(vectors, K, coef, sums[0], sums[1]) & 1) != 0) {
      sort_bounds_one(c, b, o);
      for (int64_t j = 0; j < outputs; ++j) sums[j][0] = y(j)[b * c.y_stride + o];
    }
    for (int64_t j = 0; j < outputs; ++j) out[j * step] = sums[j][0];
  }
  float *y(int64_t j) const { return j == 0 ? c.y_lower : c.y_upper; }
  int64_t y_stride() const { return c.y_stride; }
  void write(int64_t b, int64_t o) const { sort_bounds_one(c, b, o); }
};

sn_status sort_bounds(const Bounds &c) {
  const sn_layer &l = c.layer;
  const int64_t B = l.batch, I = l.inputs, O = l.outputs, K = c.coef.count;
  if (K == 0 || K > kMaxSorted) {
    return parallel_for(c.ex, B, [&](int64_t b) {
      for (int64_t o = 0; o < O; ++o) sort_bounds_one(c, b, o);
    });
  }
  const Segments seg(I);
  if (sort_prunes(l, seg, K, kBoundVectors)) {
    return sort_pruned<NearestAndFarthest>(SortedBounds{c}, l, c.coef, seg, c.lower, c.upper, c.x_stride, c.ex);
  }
  return for_intervals(c, kSortRows, [&](const Intervals &x, int64_t first, int64_t last, int64_t index) {
    const SortMemory memory(I, NearestAndFarthest::count);
    const Panel panel = panel_of(l, index, memory.weights);
    const int64_t o = index * kPanel, count = smaller(kPanel, O - o);
    Rows operands(c.lower, c.upper, c.x_stride);
    operands.add_panel(l, index);
    const uint64_t bad = not_finite(panel.largest);
    for (int64_t b = first; b < last;) {
      const int rows = tile_rows(last - b, kSortRows);
      const Tile t = {x.lower.tiles + b * (I + 1), x.upper_tiles + b * (I + 1), panel.w, I};
      const auto store = [&](int r, int v, const float *near, uint32_t crowded) {
        const int64_t *const neurons = operands.neurons + v * kLanes, here = smaller(kLanes, count - v * kLanes);
        float low[kLanes], high[kLanes];
        crowded |= widened_sums(near, K, CoefficientsOfMany{c.coef, neurons, here}, low, high);
        for (int64_t k = 0; k < here; ++k) {
          float ends[2] = {low[k], high[k]};
          if (crowded >> k & 1) SortedBounds{c}.one(b + r, neurons[k], ends, 1);
          c.y_lower[(b + r) * c.y_stride + neurons[k]] = ends[0];
          c.y_upper[(b + r) * c.y_stride + neurons[k]] = ends[1];
        }
      };
      sort_tile_of<NearestAndFarthest>(operands.of_tile(b, rows), seg, t, K, memory.room, store);
      b += rows;
    }
    for (int64_t b = first; b < last; ++b) {
      const uint64_t odd = finite(x.lower.largest[b]) ? bad : ~uint64_t(0);
      for (int64_t k = 0; odd != 0 && k < count; ++k) {
        if (odd >> k & 1) sort_bounds_one(c, b, o + k);
      }
    }
  });
}

} // namespace
} // namespace sortnet

#endif
