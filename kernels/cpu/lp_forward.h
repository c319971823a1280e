// sn_lp_forward. One lane per neuron; a tile of kRows samples by kPanel neurons stays in registers
// while the inputs stream by; the weights of the tile are the outermost loop.
#ifndef SORTNET_CPU_LP_FORWARD_H
#define SORTNET_CPU_LP_FORWARD_H

#include "power.h"

namespace sortnet {
namespace {

constexpr int kMaxRows = kLanes == 16 ? 8 : 4; // rows of a tile: what the registers hold
constexpr int kMaxTile = 8 * kPair;

// A tile: Rows consecutive samples from x on, and one panel. Slot r * kPair + v belongs to sample r.
struct Tile {
  const float *x;
  int64_t x_stride;
  const float *w;
  const int32_t *inputs; // the kept inputs
  int64_t count;         // how many
};

template <int Rows> __attribute__((noinline)) void max_tile(const Tile &t, F *top) {
  F acc[Rows][kPair];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kPair; ++v) acc[r][v] = Simd::set1(0.0f);
  }
  for (int64_t k = 0; k < t.count; ++k) {
    const int64_t i = t.inputs[k];
    const F w0 = Simd::load(t.w + i * kPanel), w1 = Simd::load(t.w + i * kPanel + kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const F x = Simd::set1(t.x[r * t.x_stride + i]);
      acc[r][0] = Simd::absmax(acc[r][0], Simd::sub(x, w0));
      acc[r][1] = Simd::absmax(acc[r][1], Simd::sub(x, w1));
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kPair; ++v) top[r * kPair + v] = acc[r][v];
  }
}

// Sums whose error does not grow with the number of terms: short runs, each added with its rounding
// error kept.
struct Sum {
  F high[kMaxTile], low[kMaxTile];

  void clear(int n) {
    for (int s = 0; s < n; ++s) high[s] = low[s] = Simd::set1(0.0f);
  }
  void add(int s, F run) {
    const F total = Simd::add(high[s], run);
    const F part = Simd::sub(total, high[s]);
    const F error = Simd::add(Simd::sub(high[s], Simd::sub(total, part)), Simd::sub(run, part));
    high[s] = total;
    low[s] = Simd::add(low[s], error);
  }
  F total(int s) const { return Simd::add(high[s], low[s]); }
};

// Terms added in float32 before a run is closed: at most (run - 1) roundings, an error of the norm of
// (run - 1) 2^-24 / p.
inline int64_t run_length(float p) { return p < 2.0f ? 16 : 32; }

// sum of term(x - w, acc, slot) over the kept inputs.
template <int Rows, class Term>
__attribute__((noinline)) void sum_tile(const Tile &t, const Term &term, int64_t run, Sum *sum) {
  sum->clear(Rows * kPair);
  for (int64_t begin = 0; begin < t.count; begin += run) {
    const int64_t end = smaller(t.count, begin + run);
    F acc[Rows][kPair];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kPair; ++v) acc[r][v] = Simd::set1(0.0f);
    }
    for (int64_t k = begin; k < end; ++k) {
      const int64_t i = t.inputs[k];
      const F w0 = Simd::load(t.w + i * kPanel), w1 = Simd::load(t.w + i * kPanel + kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const F x = Simd::set1(t.x[r * t.x_stride + i]);
        term.add(Simd::sub(x, w0), Simd::sub(x, w1), r * kPair, acc[r]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kPair; ++v) sum->add(r * kPair + v, acc[r][v]);
    }
  }
}

// Whole powers by multiplication, not scaled: right while the sum stays in range.
template <int P> struct WholePower {
  void add(F d0, F d1, int, F *acc) const {
    acc[0] = one(d0, acc[0]);
    acc[1] = one(d1, acc[1]);
  }
  static F one(F d, F acc) {
    if (P == 1) return Simd::add(acc, Simd::abs(d));
    const F d2 = Simd::mul(d, d);
    if (P == 2) return Simd::fma(d, d, acc);
    if (P == 3) return Simd::fma(d2, Simd::abs(d), acc);
    if (P == 4) return Simd::fma(d2, d2, acc);
    const F d4 = Simd::mul(d2, d2);
    return Simd::fma(d4, d4, acc); // P == 8
  }
};

// Any power, each output with an offset of its exponent that brings its terms near 1.
template <bool Fine> struct ScaledPower {
  const Exponent &e;
  const F *offset;
  void add(F d0, F d1, int slot, F *acc) const {
    acc[0] = Simd::add(acc[0], power_term<Fine>(e, d0, offset[slot]));
    acc[1] = Simd::add(acc[1], power_term<Fine>(e, d1, offset[slot + 1]));
  }
};

// Any power of the terms that are not negligible beside the largest, which is known.
template <bool Fine> struct TopPower {
  const Exponent &e;
  F offset;
  const F *least, *inverse; // of the largest: times e.negligible, and its reciprocal
  void add(F d0, F d1, int slot, F *acc) const {
    const M m0 = Simd::ge(Simd::abs(d0), least[slot]);
    const M m1 = Simd::ge(Simd::abs(d1), least[slot + 1]);
    if (__builtin_expect(Simd::any(m0, m1), 0)) {
      const F t0 = power_term<Fine>(e, Simd::mul(d0, inverse[slot]), offset);
      const F t1 = power_term<Fine>(e, Simd::mul(d1, inverse[slot + 1]), offset);
      acc[0] = Simd::add(acc[0], Simd::zero_unless(m0, t0));
      acc[1] = Simd::add(acc[1], Simd::zero_unless(m1, t1));
    }
  }
};

// Where the sum of unscaled or roughly scaled powers may be used: no overflow, and what underflowed
// (below 2^-126 each) is below 2^-30 of the sum.
inline M in_range(F sum) {
  return Simd::both(Simd::ge(sum, Simd::set1(0x1p-70f)), Simd::le(sum, Simd::set1(0x1p126f)));
}

enum class Method { top, whole, scaled, beside_top };

Method method_of(float p) {
  // log(I) / p is below 2e-7 for every I: the norm is the maximum.
  if (p > 1.1e8f) return Method::top;
  if (p == 1.0f || p == 2.0f || p == 3.0f || p == 4.0f || p == 8.0f) return Method::whole;
  // Above, most terms are negligible: finding the largest first pays.
  return p <= 40.0f ? Method::scaled : Method::beside_top;
}

// Norms by two passes: the largest term, then the powers of the terms beside it. Lanes of `slow` are
// to be computed one by one.
template <int Rows, bool Fine>
__attribute__((noinline)) void norms_beside_top(const Tile &t, const Exponent &e, F *y, M *slow) {
  constexpr int n = Rows * kPair;
  F top[n], least[n], inverse[n];
  max_tile<Rows>(t, top);
  for (int s = 0; s < n; ++s) {
    least[s] = Simd::mul(top[s], Simd::set1(e.negligible));
    inverse[s] = Simd::div(Simd::set1(1.0f), top[s]);
  }
  const Offset offset = make_offset(e, Simd::set1(0.0f));
  Sum sum;
  {
    const FlushToZero mode;
    sum_tile<Rows>(t, TopPower<Fine>{e, offset.offset, least, inverse}, run_length(e.p), &sum);
  }
  for (int s = 0; s < n; ++s) {
    const M usual = Simd::both(Simd::ge(top[s], Simd::set1(0x1p-100f)),
                               Simd::le(top[s], Simd::set1(0x1p100f)));
    y[s] = Simd::select(usual, Simd::mul(root(e, sum.total(s), offset), top[s]), top[s]);
    // A largest term that is 0 or infinite is the norm.
    const M finite = Simd::both(Simd::ge(top[s], Simd::set1(0x1p-149f)),
                                Simd::le(top[s], Simd::set1(FLT_MAX)));
    slow[s] = Simd::differ(finite, usual);
  }
}

// What all tiles of a call share.
struct Norm {
  Method method;
  Exponent e;
};

// The norms of a tile. `x_largest`: of its samples; `w_largest`: of its neurons.
template <int Rows>
void norms(const Tile &t, const Norm &norm, const float *x_largest, const float *w_largest, F *y,
           M *slow) {
  constexpr int n = Rows * kPair;
  const Exponent &e = norm.e;
  for (int s = 0; s < n; ++s) slow[s] = Simd::ge(Simd::set1(-1.0f), Simd::set1(0.0f));
  if (norm.method == Method::top) return max_tile<Rows>(t, y);
  Sum sum;
  Offset offset[n];
  M right[n];
  bool all = norm.method != Method::beside_top;
  if (norm.method == Method::whole) {
    const FlushToZero mode;
    const int64_t run = run_length(e.p);
    if (e.p == 1.0f) sum_tile<Rows>(t, WholePower<1>(), run, &sum);
    else if (e.p == 2.0f) sum_tile<Rows>(t, WholePower<2>(), run, &sum);
    else if (e.p == 3.0f) sum_tile<Rows>(t, WholePower<3>(), run, &sum);
    else if (e.p == 4.0f) sum_tile<Rows>(t, WholePower<4>(), run, &sum);
    else sum_tile<Rows>(t, WholePower<8>(), run, &sum);
  } else if (norm.method == Method::scaled) {
    F plain[n];
    for (int s = 0; s < n; ++s) {
      // A quarter to a half of the largest difference there can be.
      const F reach = Simd::add(Simd::set1(x_largest[s / kPair]),
                                Simd::load(w_largest + s % kPair * kLanes));
      F exponent, mantissa;
      Simd::split(reach, &exponent, &mantissa);
      right[s] = Simd::ge(exponent, Simd::set1(-60.0f));
      offset[s] = make_offset(e, Simd::sub(exponent, Simd::set1(2.0f)));
      plain[s] = offset[s].offset;
    }
    const FlushToZero mode;
    if (e.fine) sum_tile<Rows>(t, ScaledPower<true>{e, plain}, run_length(e.p), &sum);
    else sum_tile<Rows>(t, ScaledPower<false>{e, plain}, run_length(e.p), &sum);
  }
  if (norm.method != Method::beside_top) {
    for (int s = 0; s < n; ++s) {
      const F total = sum.total(s);
      if (norm.method == Method::whole) {
        offset[s] = no_offset();
        right[s] = in_range(total);
      } else {
        right[s] = Simd::both(right[s], in_range(total));
      }
      y[s] = e.p == 1.0f ? total : root(e, total, offset[s]);
      all = all && Simd::bits(right[s]) == (1u << kLanes) - 1;
    }
  }
  if (all) return;
  F other[n];
  if (e.fine) norms_beside_top<Rows, true>(t, e, other, slow);
  else norms_beside_top<Rows, false>(t, e, other, slow);
  for (int s = 0; s < n; ++s) {
    if (norm.method == Method::beside_top) {
      y[s] = other[s];
    } else {
      y[s] = Simd::select(right[s], y[s], other[s]);
      slow[s] = Simd::unless(right[s], slow[s]);
    }
  }
}

// Rows per tile: of plain instructions as many as accumulators fit, of long ones half of that.
int rows_of(const Norm &norm) {
  return norm.method == Method::top || norm.method == Method::whole ? kMaxRows : kMaxRows / 2;
}

// One panel's norms of the samples first .. last-1, stored where `store(sample, values, slow)` says:
// kPanel values, and a bit for each that must be computed one by one.
template <class Store>
void panel_norms(const Tile &first_tile, const Norm &norm, int64_t first, int64_t last,
                 const float *x, const float *x_largest, const float *w_largest,
                 const Store &store) {
  Tile t = first_tile;
  F y[kMaxTile];
  M slow[kMaxTile];
  const int most = rows_of(norm);
  for (int64_t b = first; b < last;) {
    t.x = x + b * t.x_stride;
    const int64_t left = last - b;
    int rows = 1;
    if (left >= 8 && most >= 8) {
      rows = 8;
      norms<8>(t, norm, x_largest + b, w_largest, y, slow);
    } else if (left >= 4 && most >= 4) {
      rows = 4;
      norms<4>(t, norm, x_largest + b, w_largest, y, slow);
    } else if (left >= 2) {
      rows = 2;
      norms<2>(t, norm, x_largest + b, w_largest, y, slow);
    } else {
      norms<1>(t, norm, x_largest + b, w_largest, y, slow);
    }
    for (int r = 0; r < rows; ++r) {
      float values[kPanel];
      uint64_t bits = 0;
      for (int v = 0; v < kPair; ++v) {
        Simd::store(values + v * kLanes, y[r * kPair + v]);
        bits |= uint64_t(Simd::bits(slow[r * kPair + v])) << (v * kLanes);
      }
      store(b + r, values, bits);
    }
    b += rows;
  }
}

// Neurons whose weights are not finite, a bit each.
uint64_t not_finite(const float *largest) {
  uint64_t bits = 0;
  for (int k = 0; k < kPanel; ++k) bits |= uint64_t(!finite(largest[k])) << k;
  return bits;
}

sn_status lp_forward(const LpForward &c) {
  const sn_layer &l = c.layer;
  const int64_t I = l.inputs, O = l.outputs;
  const Norm norm = {method_of(c.p), make_exponent(c.p, I)};
  Carver shared;
  shared.count<float>(l.batch);
  try {
    shared.open(ScratchSlot::shared);
  } catch (...) {
    return SN_OUT_OF_MEMORY;
  }
  float *x_largest = shared.take<float>(l.batch);
  for_blocks(c.ex, l.batch, 16, I,
             [&](int64_t b) { x_largest[b] = largest_of(c.x + b * c.x_stride, I); });

  // Without masks the batch is one group, and tasks take panels in turn; with masks every group has
  // its own panels of kept neurons.
  const bool masked = c.masks.in != nullptr || c.masks.out != nullptr;
  const int64_t group = masked ? smaller(c.masks.group, l.batch) : l.batch;
  const int64_t groups = ceil_div(l.batch, group);
  const int64_t panel_count = panels(O);
  const int64_t chunk = masked ? group : rows_per_task(l.batch, panel_count);
  const int64_t chunks = ceil_div(group, chunk);
  // Neurons of a task.
  const int64_t width = masked ? round_up(ceil_div(O, larger(1, 16 / groups)), 4 * kPanel) : kPanel;
  const int64_t widths = ceil_div(O, width);

  return parallel_for(c.ex, groups * chunks * widths, [&](int64_t task) {
    const int64_t g = task / (chunks * widths), part = task % (chunks * widths);
    const int64_t first = g * group + part % chunks * chunk;
    const int64_t last = smaller(smaller(first + chunk, (g + 1) * group), l.batch);
    const int64_t o_first = part / chunks * width, o_last = smaller(O, o_first + width);
    const uint8_t *in = c.masks.in == nullptr ? nullptr : c.masks.in + g * I;
    const uint8_t *out = c.masks.out == nullptr ? nullptr : c.masks.out + g * O;
    Carver memory;
    memory.count<float>((I + 1) * kPanel);
    memory.count<int32_t>(I);
    memory.count<int64_t>(width);
    memory.open(ScratchSlot::task);
    float *room = memory.take<float>((I + 1) * kPanel);
    int32_t *inputs = memory.take<int32_t>(I);
    int64_t *neurons = memory.take<int64_t>(width);

    int64_t input_count = 0, neuron_count = 0;
    for (int64_t i = 0; i < I; ++i) {
      inputs[input_count] = int32_t(i);
      input_count += in == nullptr || in[i] != 0;
    }
    for (int64_t o = o_first; o < o_last; ++o) {
      neurons[neuron_count] = o;
      neuron_count += out == nullptr || out[o] != 0;
    }
    if (out != nullptr) {
      for (int64_t b = first; b < last; ++b) {
        float *y = c.y + b * c.y_stride;
        for (int64_t o = o_first; o < o_last; ++o) y[o] = 0.0f;
      }
    }
    for (int64_t n = 0; n < neuron_count; n += kPanel) {
      const int count = int(smaller(kPanel, neuron_count - n));
      Panel panel;
      if (out == nullptr) {
        panel = panel_of(l, (o_first + n) / kPanel, room);
      } else {
        pack_panel(l.w, l.w_stride, neurons + n, count, I, room + kPanel, room);
        panel = {room + kPanel, room};
      }
      const uint64_t bad = not_finite(panel.largest);
      const Tile tile = {nullptr, c.x_stride, panel.w, inputs, input_count};
      const auto store = [&](int64_t b, const float *values, uint64_t slow) {
        float *y = c.y + b * c.y_stride;
        if (out == nullptr) {
          std::memcpy(y + o_first + n, values, size_t(count) * sizeof(float));
        } else {
          for (int k = 0; k < count; ++k) y[neurons[n + k]] = values[k];
        }
        slow |= finite(x_largest[b]) ? bad : ~uint64_t(0);
        if (slow != 0) {
          for (int k = 0; k < count; ++k) {
            if (slow >> k & 1) y[neurons[n + k]] = lp_one(c, b, neurons[n + k]);
          }
        }
      };
      panel_norms(tile, norm, first, last, c.x, x_largest, panel.largest, store);
    }
  });
}

} // namespace
} // namespace sortnet

#endif
