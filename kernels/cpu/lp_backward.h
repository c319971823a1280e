// sn_lp_backward. One lane per input: a task owns a block of inputs, that is columns of dx and dw, and
// walks all outputs and samples, so that nothing is summed across tasks and nothing is rearranged.
#ifndef SORTNET_CPU_LP_BACKWARD_H
#define SORTNET_CPU_LP_BACKWARD_H

#include <atomic>

#include "linf.h"
#include "power.h"

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

// Even whole p so large that most slopes are 0.
struct SkippedWholeSlope {
  Whole whole;
  F least;
  template <int N> void operator()(F (&t)[N]) const {
    slopes_from(least, t, [&] {
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

// The call's constants and the factors of every output.
struct Slopes {
  float p;
  Exponent e;  // of p - 1
  float least; // |t|^(p-1) < 2^-30 below
  Whole whole; // p

  explicit Slopes(float power)
      : p(power), e(make_exponent(power > 1.0f ? power - 1.0f : 1.0f, 1)),
        least(negligible_slope(power)), whole(whole_of(power)) {}

  void operator()(const SlopeTile &t) const {
    // A difference below 2^-126 beside a norm of at least 2^-100 has no slope to speak of from p = 2 on.
    if (p < 2.0f) return add(t);
    const FlushToZero mode;
    add(t);
  }

private:
  void add(const SlopeTile &t) const {
    switch (whole.squarings < 0 || p > 64.0f ? 0 : int(p)) {
      case 1: return slope_tile(t, WholeSlope<1>());
      case 2: return slope_tile(t, WholeSlope<2>());
      case 3: return slope_tile(t, WholeSlope<3>());
      case 4: return slope_tile(t, WholeSlope<4>());
      case 6: return slope_tile(t, WholeSlope<6>());
      case 8: return slope_tile(t, WholeSlope<8>());
      case 12: return slope_tile(t, WholeSlope<12>());
      case 16: return slope_tile(t, WholeSlope<16>());
      case 24: return slope_tile(t, WholeSlope<24>());
      case 32: return slope_tile(t, WholeSlope<32>());
      case 48: return slope_tile(t, WholeSlope<48>());
      case 64: return slope_tile(t, WholeSlope<64>());
    }
    if (whole.squarings > 0) return slope_tile(t, SkippedWholeSlope{whole, Simd::set1(least)});
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

sn_status lp_backward_finite(const LpBackward &c) {
  const sn_layer &l = c.layer;
  const int64_t B = l.batch, I = l.inputs, O = l.outputs;
  const int64_t group = larger(1, samples_together(c.masks, B));
  const int64_t groups = ceil_div(B, group);
  const Slopes slopes(c.p);

  // Neurons come in blocks, so that a block's weights and gradients stay in the cache for all groups.
  // For each group and block: its kept neurons, and the factors of the group's samples.
  const int64_t blocks = ceil_div(O, kNeuronBlock);
  constexpr int64_t row = 2 * kNeurons; // factors of a sample
  const int64_t block_factors = kNeuronBlock / kNeurons * group * row;
  Carver shared;
  shared.count<float>(groups * blocks * block_factors);
  shared.count<int32_t>(groups * blocks * kNeuronBlock);
  shared.count<int32_t>(groups * blocks);
  if (!shared.open(ScratchSlot::shared)) return SN_OUT_OF_MEMORY;
  float *const factors = shared.take<float>(groups * blocks * block_factors);
  int32_t *const neurons = shared.take<int32_t>(groups * blocks * kNeuronBlock);
  int32_t *const kept = shared.take<int32_t>(groups * blocks);
  std::atomic<bool> odd{false};
  sn_status status = parallel_for(
      B * O < 16384 ? nullptr : c.ex, groups * blocks, [&](int64_t task) {
        const int64_t g = task / blocks, o_first = task % blocks * kNeuronBlock;
        const int64_t samples = smaller(group, B - g * group);
        const uint8_t *out = mask_row(c.masks.out, g, O);
        int32_t *const list = neurons + task * kNeuronBlock;
        int32_t count = 0;
        for (int64_t o = o_first; o < smaller(O, o_first + kNeuronBlock); ++o) {
          list[count] = int32_t(o);
          count += out == nullptr || out[o] != 0;
        }
        kept[task] = count;
        bool any_odd = false;
        for (int64_t b = 0; b < samples; ++b) {
          const float *y = c.y + (g * group + b) * c.y_stride;
          const float *dy = c.dy + (g * group + b) * c.dy_stride;
          for (int32_t n = 0; n < round_up(count, kNeurons); ++n) {
            const float norm = n < count ? y[list[n]] : 0.0f;
            const bool is_odd = odd_norm(norm, c.p), use = norm != 0.0f && !is_odd;
            any_odd = any_odd || is_odd;
            float *f = factors + task * block_factors + (n / kNeurons * group + b) * row + n % kNeurons;
            f[0] = use ? 1.0f / norm : 0.0f;
            f[kNeurons] = use ? dy[list[n]] : 0.0f;
          }
        }
        if (any_odd) odd.store(true, std::memory_order_relaxed);
      });
  if (status != SN_OK) return status;

  status = parallel_for(c.ex, ceil_div(I, kInputBlock), [&](int64_t task) {
    const int64_t i = task * kInputBlock, width = smaller(kInputBlock, I - i);
    const size_t row_bytes = size_t(width) * sizeof(float);
    constexpr int64_t neuron_floats = kNeurons * kInputBlock + kLanes;
    const int64_t sample_floats = B * kInputBlock + kLanes;
    Carver memory;
    for (int k = 0; k < 2; ++k) memory.count<float>(sample_floats);
    for (int k = 0; k < 2; ++k) memory.count<float>(neuron_floats);
    // Where groups of masks read a block of weights again and again, columns of it lie together: rows apart by a
    // power of two would share few sets of the caches.
    const bool copied = groups > 1;
    for (int k = 0; k < 2; ++k) memory.count<float>(copied ? kNeuronBlock * kInputBlock : 0);
    memory.open_or_throw(ScratchSlot::task);
    float *const x = memory.take<float>(sample_floats), *const dx = memory.take<float>(sample_floats);
    float *const w = memory.take<float>(neuron_floats), *const dw = memory.take<float>(neuron_floats);
    float *const w_copy = memory.take<float>(copied ? kNeuronBlock * kInputBlock : 0);
    float *const dw_copy = memory.take<float>(copied ? kNeuronBlock * kInputBlock : 0);
    const auto kept_inputs = [&](int64_t g) {
      return c.masks.in == nullptr ? nullptr : c.masks.in + g * I + i;
    };
    for (int64_t b = 0; b < B; ++b) {
      float *const to = x + b * kInputBlock;
      const int64_t n = gather<1>({c.x + b * c.x_stride + i}, kept_inputs(b / group), width, {to});
      std::memset(to + n, 0, size_t(kInputBlock - n) * sizeof(float));
    }
    std::memset(dx, 0, size_t(B * kInputBlock) * sizeof(float));
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t o_first = block * kNeuronBlock, in_block = smaller(kNeuronBlock, O - o_first);
      const float *const w_block = copied ? w_copy : l.w + o_first * l.w_stride + i;
      float *const dw_block = copied || c.dw == nullptr ? dw_copy : c.dw + o_first * c.dw_stride + i;
      const int64_t w_step = copied ? kInputBlock : l.w_stride, dw_step = copied ? kInputBlock : c.dw_stride;
      for (int64_t k = 0; k < in_block; ++k) {
        if (copied) std::memcpy(w_copy + k * w_step, l.w + (o_first + k) * l.w_stride + i, row_bytes);
        if (c.dw != nullptr) std::memset(dw_block + k * dw_step, 0, row_bytes);
      }
      for (int64_t g = 0; g < groups; ++g) {
        const uint8_t *in = kept_inputs(g);
        const int64_t columns = round_up(count_kept(in, width), kLanes);
        const int64_t at = g * blocks + block, first = g * group;
        const int32_t *list = neurons + at * kNeuronBlock;
        for (int32_t n = 0; n < kept[at]; n += kNeurons) {
          const int count = int(smaller(kNeurons, kept[at] - n));
          const float *from[kNeurons];
          float *to[kNeurons];
          for (int k = 0; k < kNeurons; ++k) {
            from[k] = w_block + (list[n + (k < count ? k : 0)] - o_first) * w_step;
            to[k] = w + k * kInputBlock;
          }
          const int64_t present = gather(from, in, width, to);
          const size_t absent = size_t(columns - present) * sizeof(float);
          for (int k = 0; k < kNeurons; ++k) std::memset(to[k] + present, 0, absent);
          slopes({smaller(group, B - first), columns, x + first * kInputBlock,
                  dx + first * kInputBlock, w, dw,
                  factors + at * block_factors + n / kNeurons * group * row});
          if (c.dw == nullptr) continue;
          for (int k = 0; k < kNeurons; ++k) {
            from[k] = dw + k * kInputBlock;
            to[k] = dw_block + (list[n + (k < count ? k : 0)] - o_first) * dw_step;
          }
          if (count == kNeurons) scatter_add(from, in, width, to);
          else for (int k = 0; k < count; ++k) scatter_add<1>({from[k]}, in, width, {to[k]});
        }
      }
      for (int64_t k = 0; k < in_block && copied && c.dw != nullptr; ++k) {
        std::memcpy(c.dw + (o_first + k) * c.dw_stride + i, dw_copy + k * dw_step, row_bytes);
      }
    }
    for (int64_t b = 0; b < B && c.dx != nullptr; ++b) {
      float *to = c.dx + b * c.dx_stride + i;
      std::memset(to, 0, row_bytes);
      scatter_add<1>({dx + b * kInputBlock}, kept_inputs(b / group), width, {to});
    }
  });
  if (status != SN_OK || !odd.load()) return status;
  return parallel_for(nullptr, B, [&](int64_t b) {
    const uint8_t *out = mask_row(c.masks.out, b / c.masks.group, O);
    for (int64_t o = 0; o < O; ++o) {
      if ((out == nullptr || out[o] != 0) && odd_norm(c.y[b * c.y_stride + o], c.p)) {
        lp_backward_one(c, b, o);
      }
    }
  });
}

sn_status lp_backward(const LpBackward &c) {
  return c.p == kInfinity ? linf_backward(c) : lp_backward_finite(c);
}

} // namespace
} // namespace sortnet

#endif
