// sn_lp_forward. One lane per neuron; a tile of kRows samples by kPanel neurons stays in registers
// while the inputs stream by; the weights of the tile are the outermost loop.
#ifndef SORTNET_CPU_LP_FORWARD_H
#define SORTNET_CPU_LP_FORWARD_H

#include "lp_pruned.h"

namespace sortnet {
namespace {

// Rows of a tile: what the registers hold beside short and long sequences of instructions.
constexpr int kMaxRows = kLanes == 16 ? 8 : 4;
constexpr int kLongRows = 4;
constexpr int kMaxTile = 8 * kPair;

template <int Rows, class Term>
__attribute__((noinline)) void max_tile(const Tile &t, F *top) {
  F acc[Rows][kPair];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kPair; ++v) acc[r][v] = Simd::set1(0.0f);
  }
  const float *x_at = t.x, *u_at = t.u, *w_at = t.w;
#pragma GCC unroll 2
  for (int64_t i = 0; i < t.inputs; ++i, x_at += Rows, u_at += Rows, w_at += kPanel) {
    const F w0 = Simd::load(w_at), w1 = Simd::load(w_at + kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const auto x = Term::load(x_at, u_at, r);
      acc[r][0] = Simd::absmax(acc[r][0], Term::of(x, w0));
      acc[r][1] = Simd::absmax(acc[r][1], Term::of(x, w1));
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
  void add(int s, F run) { add_exactly(high[s], low[s], run); }
  F total(int s) const { return Simd::add(high[s], low[s]); }
};

// The sum over the inputs of what `power` makes of the terms.
template <int Rows, class Term, class Power>
__attribute__((noinline)) void sum_tile(const Tile &t, const Power &power, int64_t run, Sum *sum) {
  sum->clear(Rows * kPair);
  const float *x_at = t.x, *u_at = t.u, *w_at = t.w;
  for (int64_t begin = 0; begin < t.inputs; begin += run) {
    const int64_t end = smaller(t.inputs, begin + run);
    F acc[Rows][kPair];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kPair; ++v) acc[r][v] = Simd::set1(0.0f);
    }
#pragma GCC unroll 2
    for (int64_t i = begin; i < end; ++i, x_at += Rows, u_at += Rows, w_at += kPanel) {
      const F w0 = Simd::load(w_at), w1 = Simd::load(w_at + kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const auto x = Term::load(x_at, u_at, r);
        power.add(Term::of(x, w0), Term::of(x, w1), r * kPair, acc[r]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kPair; ++v) sum->add(r * kPair + v, acc[r][v]);
    }
  }
}

// Whole powers by multiplication: right while the sum stays in range.
template <int P> struct WholePower {
  void add(F d0, F d1, int, F *acc) const {
    acc[0] = one(d0, acc[0]);
    acc[1] = one(d1, acc[1]);
  }
  static F one(F d, F acc) {
    if constexpr (P == 1) return Simd::add(acc, Simd::abs(d));
    else if constexpr (P == 3) return Simd::fma(Simd::mul(d, d), Simd::abs(d), acc);
    else {
      const F half = whole_power<P / 2>(d);
      return Simd::fma(half, half, acc);
    }
  }
};

// The same of the terms of each output times a power of two that brings them near 1.
template <int P> struct ScaledWholePower {
  const F *scale;
  void add(F d0, F d1, int slot, F *acc) const {
    acc[0] = WholePower<P>::one(Simd::mul(d0, scale[slot]), acc[0]);
    acc[1] = WholePower<P>::one(Simd::mul(d1, scale[slot + 1]), acc[1]);
  }
};

// Any power, each output with an offset of its exponent that brings its terms near 1.
template <bool Fine> struct ScaledPower {
  const Exponent &e;
  const F *offset;
  void add(F d0, F d1, int slot, F *acc) const {
    F t[kPair] = {d0, d1};
    power_terms<Fine, kPair>(e, t, offset + slot);
    acc[0] = Simd::add(acc[0], t[0]);
    acc[1] = Simd::add(acc[1], t[1]);
  }
};

// Where the sum of unscaled or roughly scaled powers may be used: no overflow, no loss by underflow.
inline M in_range(const Exponent &e, F sum) {
  return Simd::both(Simd::ge(sum, Simd::set1(e.least_sum)), Simd::le(sum, Simd::set1(0x1p126f)));
}

// What all tiles of a call share.
struct Norm {
  Method method;
  Exponent e;
};

// The norms of a tile, of any method but pruned. `x_largest`: of its samples; `w_largest`: of its
// neurons. `again`: lanes to be computed by row.
template <int Rows, class Term>
void norms(const Tile &t, const Norm &norm, const float *x_largest, const float *w_largest, F *y,
           M *again) {
  constexpr int n = Rows * kPair;
  const Exponent &e = norm.e;
  const M none = Simd::ge(Simd::set1(-1.0f), Simd::set1(0.0f));
  const M every = Simd::ge(Simd::set1(0.0f), Simd::set1(-1.0f));
  for (int s = 0; s < n; ++s) again[s] = none;
  if (norm.method == Method::top) return max_tile<Rows, Term>(t, y);
  Sum sum;
  Offset offset[n];
  M right[n];
  const int64_t run = run_length(e.p);
  if (norm.method == Method::whole) {
    const FlushToZero mode;
    switch (int(e.p)) {
      case 1: sum_tile<Rows, Term>(t, WholePower<1>(), run, &sum); break;
      case 2: sum_tile<Rows, Term>(t, WholePower<2>(), run, &sum); break;
      case 3: sum_tile<Rows, Term>(t, WholePower<3>(), run, &sum); break;
      case 4: sum_tile<Rows, Term>(t, WholePower<4>(), run, &sum); break;
      default: sum_tile<Rows, Term>(t, WholePower<8>(), run, &sum);
    }
    for (int s = 0; s < n; ++s) {
      offset[s] = no_offset();
      right[s] = in_range(e, sum.total(s));
    }
  } else {
    const bool whole = norm.method == Method::scaled_whole;
    // The largest difference there can be becomes at most 2^(lift + 1): its power times I is finite.
    const float lift = whole ? smaller(4, int64_t(110.0f / e.p) - 1) : 2.0f;
    // Denormal terms must not matter; and without a fused multiply-add the offset of a large exponent
    // does not cancel exactly.
    const bool wide = Simd::fused || whole;
    const F most = Simd::set1(wide ? 120.0f : 8.0f), least = Simd::set1(wide ? -60.0f : -8.0f);
    F plain[n], scale[n];
    for (int s = 0; s < n; ++s) {
      const F reach = Simd::add(Simd::set1(x_largest[s / kPair]),
                                Simd::load(w_largest + s % kPair * kLanes));
      F exponent, mantissa;
      Simd::split(reach, &exponent, &mantissa);
      right[s] = Simd::both(Simd::ge(exponent, least), Simd::le(exponent, most));
      const F shift = Simd::sub(Simd::max(Simd::set1(-60.0f), exponent), Simd::set1(lift));
      if (whole) {
        offset[s] = no_offset();
        offset[s].shift = shift;
        scale[s] = Simd::scale(Simd::set1(1.0f), Simd::sub(Simd::set1(0.0f), shift));
      } else {
        offset[s] = make_offset(e, shift);
        plain[s] = offset[s].offset;
      }
    }
    const FlushToZero mode;
    if constexpr (Rows <= kLongRows) { // rows_of
      const auto add = [&](auto power) { sum_tile<Rows, Term>(t, power, run, &sum); };
      switch (whole ? int(e.p) : 0) {
        case 0:
          if (e.fine) add(ScaledPower<true>{e, plain});
          else add(ScaledPower<false>{e, plain});
          break;
        case 6: add(ScaledWholePower<6>{scale}); break;
        case 12: add(ScaledWholePower<12>{scale}); break;
        case 16: add(ScaledWholePower<16>{scale}); break;
        default: add(ScaledWholePower<24>{scale});
      }
    }
    for (int s = 0; s < n; ++s) right[s] = Simd::both(right[s], in_range(e, sum.total(s)));
  }
  for (int s = 0; s < n; ++s) {
    const F total = sum.total(s);
    y[s] = e.p == 1.0f ? total : root(e, total, offset[s]);
    again[s] = Simd::unless(right[s], every);
  }
}

// Rows per tile: of plain instructions as many as accumulators fit, of long ones half of that.
int rows_of(const Norm &norm) {
  return norm.method == Method::top || norm.method == Method::whole ? kMaxRows : kLongRows;
}

// One panel's norms of the samples first .. last-1, handed to store(sample, values, again): kPanel
// values, and a bit for each that must be computed by row.
template <class Term, class Store>
void panel_norms(const Samples &x, const float *u_tiles, const Panel &panel, int64_t inputs, const Norm &norm,
                 int64_t first, int64_t last, const Store &store) {
  F y[kMaxTile];
  M again[kMaxTile];
  for (int64_t b = first; b < last;) {
    const int rows = tile_rows(last - b, rows_of(norm));
    const Tile t = {x.tiles + b * (inputs + 1), u_tiles + b * (inputs + 1), panel.w, inputs};
    switch (rows) {
      case 8: norms<8, Term>(t, norm, x.largest + b, panel.largest, y, again); break;
      case 4: norms<4, Term>(t, norm, x.largest + b, panel.largest, y, again); break;
      default: norms<1, Term>(t, norm, x.largest + b, panel.largest, y, again);
    }
    for (int r = 0; r < rows; ++r) {
      float values[kPanel];
      uint64_t bits = 0;
      for (int v = 0; v < kPair; ++v) {
        Simd::store(values + v * kLanes, y[r * kPair + v]);
        bits |= uint64_t(Simd::bits(again[r * kPair + v])) << (v * kLanes);
      }
      store(b + r, values, bits);
    }
    b += rows;
  }
}

// Room in a task for one row of kept inputs, one of kept weights, and their terms.
struct RowMemory {
  float *x, *w, *terms;
  static int64_t floats(int64_t inputs) { return 3 * row_room(inputs); }
  RowMemory(float *room, int64_t inputs)
      : x(room), w(x + row_room(inputs)), terms(w + row_room(inputs)) {}
};

// One output by row.
float lp_by_row(const LpForward &c, const Exponent &e, int64_t b, int64_t o, const RowMemory &memory) {
  const int64_t I = c.layer.inputs;
  const uint8_t *in = mask_row(c.masks.in, b / c.masks.group, I);
  const int64_t n = gather<1>({c.x + b * c.x_stride}, in, I, {memory.x});
  gather<1>({c.layer.w + o * c.layer.w_stride}, in, I, {memory.w});
  float y;
  return row_norm<Distance>(memory.x, memory.x, memory.w, n, e, memory.terms, &y) ? y : lp_one(c, b, o);
}

sn_status lp_forward(const LpForward &c) {
  const sn_layer &l = c.layer;
  const int64_t B = l.batch, I = l.inputs, O = l.outputs;
  const Norm norm = {method_of(c.p), make_exponent(c.p, I)};
  if (norm.method == Method::pruned && I > 0) return lp_forward_pruned(c);
  if (norm.method == Method::top && linf_prunes(l, c.masks)) return linf_forward(c);

  // Without masks the batch is one group, and tasks take panels in turn; with masks every group has
  // its own samples and panels of kept inputs and neurons.
  const bool masked = c.masks.in != nullptr || c.masks.out != nullptr;
  const int64_t group = samples_together(c.masks, B);
  const int64_t groups = ceil_div(B, group);
  const int64_t rows = masked ? group : rows_per_task(B, panels(O)); // of a task
  const int64_t parts = ceil_div(group, rows);                       // of a group
  const int64_t width = // neurons of a task
      masked ? round_up(ceil_div(O, larger(1, 16 / groups)), 4 * kPanel) : kPanel;
  const int64_t widths = ceil_div(O, width);

  Carver shared;
  shared.count<float>(B * (I + 1));
  shared.count<float>(B);
  shared.count<int64_t>(groups);
  if (!shared.open(ScratchSlot::shared)) return SN_OUT_OF_MEMORY;
  const Samples x = {shared.take<float>(B * (I + 1)), shared.take<float>(B)};
  int64_t *const inputs = shared.take<int64_t>(groups); // kept by each group
  for (int64_t g = 0; g < groups; ++g) inputs[g] = count_kept(mask_row(c.masks.in, g, I), I);

  // Where the samples of group g begin; its tiles are laid out as if it were alone.
  const auto samples = [&](int64_t g) {
    return Samples{x.tiles + g * group * (I + 1), x.largest + g * group};
  };
  const int64_t block = smaller(group, 32);
  const int64_t blocks = ceil_div(group, block);
  const sn_status laid = parallel_for(B * I < 65536 ? nullptr : c.ex, groups * blocks, [&](int64_t t) {
    const int64_t g = t / blocks, first = t % blocks * block;
    const int64_t last = smaller(smaller(first + block, group), B - g * group);
    interleave_samples(c.x + g * group * c.x_stride, c.x_stride, I, mask_row(c.masks.in, g, I), inputs[g],
                       first, last, rows_of(norm), samples(g));
  });
  if (laid != SN_OK) return laid;

  return parallel_for(c.ex, groups * parts * widths, [&](int64_t task) {
    const int64_t g = task / (parts * widths), part = task % (parts * widths);
    const int64_t first = part % parts * rows;
    const int64_t last = smaller(smaller(first + rows, group), B - g * group);
    const int64_t o_first = part / parts * width, o_last = smaller(O, o_first + width);
    const uint8_t *const in = mask_row(c.masks.in, g, I), *const out = mask_row(c.masks.out, g, O);
    const Samples here = samples(g);
    Carver memory;
    memory.count<float>((I + 2) * kPanel);
    memory.count<float>(RowMemory::floats(I));
    memory.open_or_throw(ScratchSlot::task);
    float *const room = memory.take<float>((I + 2) * kPanel);
    const RowMemory row(memory.take<float>(RowMemory::floats(I)), I);

    if (out != nullptr) {
      for (int64_t b = first; b < last; ++b) {
        float *y = c.y + (g * group + b) * c.y_stride;
        for (int64_t o = o_first; o < o_last; ++o) y[o] = 0.0f;
      }
    }
    for (int64_t o = o_first; o < o_last;) {
      int64_t neuron[kPanel];
      int count = 0;
      for (; o < o_last && count < kPanel; ++o) {
        if (out == nullptr || out[o] != 0) neuron[count++] = o;
      }
      if (count == 0) break;
      Panel panel;
      if (!masked) {
        panel = panel_of(l, neuron[0] / kPanel, room);
      } else {
        const float *weights[kPanel];
        for (int k = 0; k < count; ++k) weights[k] = l.w + neuron[k] * l.w_stride;
        interleave<kPanel>(weights, count, I, in, room + kPanel, room);
        panel = {room + kPanel, room};
      }
      const uint64_t bad = not_finite(panel.largest);
      const auto store = [&](int64_t b, const float *values, uint64_t again) {
        float *y = c.y + (g * group + b) * c.y_stride;
        if (out == nullptr) {
          std::memcpy(y + neuron[0], values, size_t(count) * sizeof(float));
        } else {
          for (int k = 0; k < count; ++k) y[neuron[k]] = values[k];
        }
        const uint64_t slow = finite(here.largest[b]) ? bad : ~uint64_t(0);
        for (int k = 0; (again | slow) != 0 && k < count; ++k) {
          if (slow >> k & 1) y[neuron[k]] = lp_one(c, g * group + b, neuron[k]);
          else if (again >> k & 1) y[neuron[k]] = lp_by_row(c, norm.e, g * group + b, neuron[k], row);
        }
      };
      panel_norms<Distance>(here, here.tiles, panel, inputs[g], norm, first, last, store);
    }
  });
}

} // namespace
} // namespace sortnet

#endif
