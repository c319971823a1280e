// sn_lp_forward. One lane per neuron; a tile of kRows samples by kPanel neurons stays in registers
// while the inputs stream by; the weights of the tile are the outermost loop.
#ifndef SORTNET_CPU_LP_FORWARD_H
#define SORTNET_CPU_LP_FORWARD_H

#include <type_traits>

#include "power.h"

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

// Powers of the terms that are not negligible beside the largest, which is known.
template <class Power> struct TopPower {
  Power power;
  const F *least, *inverse; // of the largest: times e.negligible, and its reciprocal
  void add(F d0, F d1, int slot, F *acc) const {
    const M m0 = Simd::ge(Simd::abs(d0), least[slot]);
    const M m1 = Simd::ge(Simd::abs(d1), least[slot + 1]);
    if (__builtin_expect(Simd::any(m0, m1), 0)) {
      F t[kPair] = {Simd::mul(d0, inverse[slot]), Simd::mul(d1, inverse[slot + 1])};
      power(t);
      acc[0] = Simd::add(acc[0], Simd::zero_unless(m0, t[0]));
      acc[1] = Simd::add(acc[1], Simd::zero_unless(m1, t[1]));
    }
  }
};

template <bool Fine> struct AnyPower {
  const Exponent &e;
  F offset;
  void operator()(F *t) const {
    const F offsets[kPair] = {offset, offset};
    power_terms<Fine, kPair>(e, t, offsets);
  }
};

// Even whole powers.
struct Squarings {
  Whole whole;
  void operator()(F *t) const {
    for (int n = 0; n < kPair; ++n) t[n] = whole.triple ? whole_power<3>(t[n]) : t[n];
    for (int k = 0; k < whole.squarings; ++k) {
      for (int n = 0; n < kPair; ++n) t[n] = Simd::mul(t[n], t[n]);
    }
  }
};

// Where the sum of unscaled or roughly scaled powers may be used: no overflow, no loss by underflow.
inline M in_range(const Exponent &e, F sum) {
  return Simd::both(Simd::ge(sum, Simd::set1(e.least_sum)), Simd::le(sum, Simd::set1(0x1p126f)));
}

enum class Method { top, whole, scaled_whole, scaled, beside_top };

Method method_of(float p) {
  // log(I) / p is below 2e-7 for every I: the norm is the maximum.
  if (p > 1.1e8f) return Method::top;
  if (p == 1.0f || p == 2.0f || p == 3.0f || p == 4.0f || p == 8.0f) return Method::whole;
  if (p <= 96.0f && whole_of(p).squarings >= 0) return Method::scaled_whole;
  // Above, most terms are negligible: finding the largest first pays.
  return p <= 40.0f ? Method::scaled : Method::beside_top;
}

// Norms by two passes: the largest term, then the powers of the terms beside it. Lanes of `slow` are
// to be computed one by one.
template <int Rows, class Term>
__attribute__((noinline)) void norms_beside_top(const Tile &t, const Exponent &e, F *y, M *slow) {
  constexpr int n = Rows * kPair;
  F top[n], least[n], inverse[n];
  max_tile<Rows, Term>(t, top);
  for (int s = 0; s < n; ++s) {
    least[s] = Simd::mul(top[s], Simd::set1(e.negligible));
    inverse[s] = Simd::div(Simd::set1(1.0f), top[s]);
  }
  const bool squarings = e.whole.squarings > 0;
  const Offset offset = squarings ? no_offset() : make_offset(e, Simd::set1(0.0f));
  Sum sum;
  {
    const FlushToZero mode;
    const auto add = [&](const auto &power) {
      using Power = std::decay_t<decltype(power)>;
      sum_tile<Rows, Term>(t, TopPower<Power>{power, least, inverse}, run_length(e.p), &sum);
    };
    if (squarings) add(Squarings{e.whole});
    else if (e.fine) add(AnyPower<true>{e, offset.offset});
    else add(AnyPower<false>{e, offset.offset});
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
template <int Rows, class Term>
void norms(const Tile &t, const Norm &norm, const float *x_largest, const float *w_largest, F *y,
           M *slow) {
  constexpr int n = Rows * kPair;
  const Exponent &e = norm.e;
  for (int s = 0; s < n; ++s) slow[s] = Simd::ge(Simd::set1(-1.0f), Simd::set1(0.0f));
  if (norm.method == Method::top) return max_tile<Rows, Term>(t, y);
  Sum sum;
  Offset offset[n];
  M right[n];
  bool all = norm.method != Method::beside_top;
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
  } else if (norm.method != Method::beside_top) {
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
        case 24: add(ScaledWholePower<24>{scale}); break;
        case 32: add(ScaledWholePower<32>{scale}); break;
        case 48: add(ScaledWholePower<48>{scale}); break;
        case 64: add(ScaledWholePower<64>{scale}); break;
        default: add(ScaledWholePower<96>{scale});
      }
    }
    for (int s = 0; s < n; ++s) right[s] = Simd::both(right[s], in_range(e, sum.total(s)));
  }
  if (norm.method != Method::beside_top) {
    for (int s = 0; s < n; ++s) {
      const F total = sum.total(s);
      y[s] = e.p == 1.0f ? total : root(e, total, offset[s]);
      all = all && Simd::bits(right[s]) == (1u << kLanes) - 1;
    }
  }
  if (all) return;
  F other[n];
  norms_beside_top<Rows, Term>(t, e, other, slow);
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
  return norm.method == Method::top || norm.method == Method::whole ? kMaxRows : kLongRows;
}

// One panel's norms of the samples first .. last-1, handed to store(sample, values, slow): kPanel
// values, and a bit for each that must be computed one by one.
template <class Term, class Store>
void panel_norms(const Samples &x, const float *u_tiles, const Panel &panel, int64_t inputs, const Norm &norm,
                 int64_t first, int64_t last, const Store &store) {
  F y[kMaxTile];
  M slow[kMaxTile];
  for (int64_t b = first; b < last;) {
    const int rows = tile_rows(last - b, rows_of(norm));
    const Tile t = {x.tiles + b * (inputs + 1), u_tiles + b * (inputs + 1), panel.w, inputs};
    switch (rows) {
      case 8: norms<8, Term>(t, norm, x.largest + b, panel.largest, y, slow); break;
      case 4: norms<4, Term>(t, norm, x.largest + b, panel.largest, y, slow); break;
      default: norms<1, Term>(t, norm, x.largest + b, panel.largest, y, slow);
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

sn_status lp_forward(const LpForward &c) {
  const sn_layer &l = c.layer;
  const int64_t B = l.batch, I = l.inputs, O = l.outputs;
  const Norm norm = {method_of(c.p), make_exponent(c.p, I)};

  // Without masks the batch is one group, and tasks take panels in turn; with masks every group has
  // its own samples and panels of kept inputs and neurons.
  const bool masked = c.masks.in != nullptr || c.masks.out != nullptr;
  const int64_t group = masked ? smaller(c.masks.group, B) : B;
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
    memory.open_or_throw(ScratchSlot::task);
    float *const room = memory.take<float>((I + 2) * kPanel);

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
      const auto store = [&](int64_t b, const float *values, uint64_t slow) {
        float *y = c.y + (g * group + b) * c.y_stride;
        if (out == nullptr) {
          std::memcpy(y + neuron[0], values, size_t(count) * sizeof(float));
        } else {
          for (int k = 0; k < count; ++k) y[neuron[k]] = values[k];
        }
        slow |= finite(here.largest[b]) ? bad : ~uint64_t(0);
        for (int k = 0; slow != 0 && k < count; ++k) {
          if (slow >> k & 1) y[neuron[k]] = lp_one(c, g * group + b, neuron[k]);
        }
      };
      panel_norms<Distance>(here, here.tiles, panel, inputs[g], norm, first, last, store);
    }
  });
}

} // namespace
} // namespace sortnet

#endif
