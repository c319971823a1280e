// Everything that is compiled once: l_inf, the sparse gradients of selections, bounds of norms, and
// the kernels for any number of order statistics.
#pragma once
#include "tile.cuh"

namespace sn {

__device__ __forceinline__ bool is_nan(float a) { return a != a; }
__device__ __forceinline__ float infinity() { return __int_as_float(0x7f800000); }
__device__ __forceinline__ float not_a_number() { return __int_as_float(0x7fffffff); }

// The kept entries of each row of a mask, ascending, and their number. A block of 256: one row.
extern "C" __global__ void __launch_bounds__(256)
    sn_mask_index(const unsigned char *mask, int columns, int *index, int *count) {
  __shared__ int of_warp[8];
  int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32, total = 0;
  i64 row = static_cast<i64>(blockIdx.x) * columns;
  for (int c0 = 0; c0 < columns; c0 += 256) {
    int c = c0 + tid;
    bool keep = c < columns && mask[row + c];
    unsigned ballot = __ballot_sync(0xffffffffu, keep);
    if (lane == 0) of_warp[warp] = __popc(ballot);
    __syncthreads();
    int at = total + __popc(ballot & ((1u << lane) - 1u));
    for (int v = 0; v < 8; ++v) {
      if (v < warp) at += of_warp[v];
      total += of_warp[v];
    }
    if (keep) index[row + at] = c;
    __syncthreads();
  }
  if (tid == 0) count[blockIdx.x] = total;
}

// l_inf forward: two instructions per difference.
template <class T>
__device__ __forceinline__ void max_forward(const LayerArgs &args) {
  __shared__ typename T::Shared shared;
  T tile(shared, args);
  if (tile.empty()) return;
  float top[T::TM][T::TN] = {};
  tile.run(
      [&](int, float4(&x)[1][T::TM], const float4 &w, int j) {
#pragma unroll
        for (int m = 0; m < T::TM; ++m) {
          const float4 &v = x[0][m];
          float t = max_nan(top[m][j], fabsf(v.x - w.x));
          t = max_nan(t, fabsf(v.y - w.y));
          t = max_nan(t, fabsf(v.z - w.z));
          top[m][j] = max_nan(t, fabsf(v.w - w.w));
        }
      },
      [] {});
  tile.outputs([&](int b, int o, int m, int j) { args.y[place(args, b, o)] = top[m][j]; });
}
extern "C" __global__ void __launch_bounds__(DenseTile::THREADS) sn_max_forward(LayerArgs a) {
  max_forward<DenseTile>(a);
}
extern "C" __global__ void __launch_bounds__(DenseGather::THREADS)
    sn_max_forward_gather(LayerArgs a) {
  max_forward<DenseGather>(a);
}

// The first input that attains y, as a code; -1 where there is none. `code` is -1 everywhere
// before.
template <class T>
__device__ __forceinline__ void max_select(const LayerArgs &args, int *code) {
  __shared__ typename T::Shared shared;
  T tile(shared, args);
  if (tile.empty()) return;
  float top[T::TM][T::TN];
  int first[T::TM][T::TN];  // of the four inputs with the first hit
#pragma unroll
  for (int m = 0; m < T::TM; ++m)
#pragma unroll
    for (int j = 0; j < T::TN; ++j) {
      int row = tile.ty + m * T::TY, o = shared.column[tile.tx + j * T::TX];
      float y =
          row < tile.rows.count && o >= 0 ? args.y[place(args, tile.rows.begin + row, o)] : 0.0f;
      top[m][j] = y > 0.0f ? y : not_a_number();  // equal to nothing
      first[m][j] = -1;
    }
  tile.run(
      [&](int k, float4(&x)[1][T::TM], const float4 &w, int j) {
#pragma unroll
        for (int m = 0; m < T::TM; ++m) {
          const float4 &v = x[0][m];
          float y = top[m][j];
          // No short circuit: four chained comparisons instead of four branches.
          bool hit = (fabsf(v.x - w.x) == y) | (fabsf(v.y - w.y) == y) | (fabsf(v.z - w.z) == y) |
                     (fabsf(v.w - w.w) == y);
          // Once is enough: from then on the output looks for NaN.
          first[m][j] = hit ? k : first[m][j];
          top[m][j] = hit ? not_a_number() : y;
        }
      },
      [] {});
  bool any = false;
  tile.outputs([&](int b, int o, int m, int j) {
    code[static_cast<i64>(b) * args.outputs + o] = first[m][j];
    any = any || first[m][j] >= 0;
  });
  if (any)
    tile.each_output([&](int b, int o) {
      int *to = code + static_cast<i64>(b) * args.outputs + o;
      float y = args.y[place(args, b, o)];
      int k = *to;
      for (int e = 0; k >= 0 && e < 4; ++e) {
        if (k + e >= tile.depth) break;
        int i = tile.in_index ? tile.in_index[k + e] : k + e;
        float d = args.x[static_cast<i64>(b) * args.x_stride + i] -
                  args.w[static_cast<i64>(o) * args.w_stride + i];
        if (fabsf(d) == y) {
          *to = i << 1 | (d < 0.0f ? 1 : 0);
          break;
        }
      }
    });
}
extern "C" __global__ void __launch_bounds__(DenseTile::THREADS)
    sn_max_select(LayerArgs a, int *code) {
  max_select<DenseTile>(a, code);
}
extern "C" __global__ void __launch_bounds__(DenseGather::THREADS)
    sn_max_select_gather(LayerArgs a, int *code) {
  max_select<DenseGather>(a, code);
}

// Sparse gradients. A block of four warps owns one row of dx (or dw) and a range of inputs. Each
// warp goes through a quarter of the entries, 32 at a time; lanes that hit the same input take
// turns in lane order. The four partial rows are added in order: no atomics, the same sum every
// time.
constexpr int kRange = 2560, kQuarters = 4;

template <bool WEIGHTS>
__device__ __forceinline__ void scatter(const SparseArgs &a) {
  __shared__ float sums[kQuarters][kRange];
  int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32;
  int row = static_cast<int>(blockIdx.x), i0 = static_cast<int>(blockIdx.y) * kRange;
  int range = min(kRange, a.inputs - i0);
  for (int z = lane; z < range; z += 32) sums[warp][z] = 0.0f;
  __syncwarp();
  int others = WEIGHTS ? a.rows : a.outputs;
  int quarter = ceil_div(others, kQuarters);
  int first = min(others, warp * quarter), last = min(others, first + quarter);
  i64 entries = static_cast<i64>(last - first) * a.count;
  for (i64 e0 = 0; e0 < entries; e0 += 32) {
    i64 e = e0 + lane;
    int at = -1 - lane;  // no input, and equal to no other lane's
    float v = 0.0f;
    if (e < entries) {
      int other = first + static_cast<int>(e / a.count), k = static_cast<int>(e % a.count);
      int b = WEIGHTS ? other : row, o = WEIGHTS ? row : other;
      int code = a.code[(static_cast<i64>(b) * a.outputs + o) * a.count + k];
      int i = (code >> 1) - i0;
      if (code >= 0 && i >= 0 && i < range) {
        float dy = a.dy[static_cast<i64>(b) * a.dy_stride + o];
        float coef = a.coef ? a.coef[static_cast<i64>(o) * a.coef_stride + k] : 1.0f;
        v = dy * coef;
        if ((code & 1) != (WEIGHTS ? 1 : 0)) v = -v;
        at = i;
      }
    }
    unsigned same = __match_any_sync(0xffffffffu, at);
    int turn = __popc(same & ((1u << lane) - 1u));
    for (int t = 0; __any_sync(0xffffffffu, turn >= t); ++t) {
      if (turn == t && at >= 0) sums[warp][at] += v;
      __syncwarp();
    }
  }
  __syncthreads();
  float *out = a.out + static_cast<i64>(row) * a.out_stride + i0;
  for (int z = tid; z < range; z += kQuarters * 32) {
    float sum = a.add ? out[z] : 0.0f;
    for (int q = 0; q < kQuarters; ++q) sum += sums[q][z];
    out[z] = sum;
  }
}
extern "C" __global__ void __launch_bounds__(kQuarters * 32) sn_scatter_dx(SparseArgs a) {
  scatter<false>(a);
}
extern "C" __global__ void __launch_bounds__(kQuarters * 32) sn_scatter_dw(SparseArgs a) {
  scatter<true>(a);
}

// dcoef[o, k] = sum over the samples of dy a_(k). A thread: one (o, k).
extern "C" __global__ void __launch_bounds__(128) sn_scatter_dcoef(SparseArgs a) {
  i64 at = static_cast<i64>(blockIdx.x) * 128 + threadIdx.x;
  if (at >= static_cast<i64>(a.outputs) * a.count) return;
  int o = static_cast<int>(at / a.count);
  float sum = a.add ? a.out[at] : 0.0f;
  for (int b = 0; b < a.rows; ++b) {
    int code = a.code[static_cast<i64>(b) * a.outputs * a.count + at];
    if (code < 0) continue;
    float x = a.x[static_cast<i64>(b) * a.x_stride + (code >> 1)];
    float w = a.w[static_cast<i64>(o) * a.w_stride + (code >> 1)];
    sum += a.dy[static_cast<i64>(b) * a.dy_stride + o] * fabsf(x - w);
  }
  a.out[at] = sum;
}

// Intervals. The distance to w of a point of [l, u] lies in [lower, upper], rounded outward.
struct Span {
  float lower, upper;
};
__device__ __forceinline__ Span span(float l, float u, float w) {
  Span s;
  s.lower = fmaxf(0.0f, fmaxf(__fsub_rd(l, w), __fsub_rd(w, u)));
  s.upper = max_nan(__fsub_ru(w, l), __fsub_ru(u, w));  // NaN if either is
  return s;
}

// Rows with lower > upper or NaN anywhere.
extern "C" __global__ void __launch_bounds__(128)
    sn_check_rows(const float *lower, const float *upper, i64 stride, int inputs,
                  unsigned char *invalid) {
  int bad = 0;
  i64 row = static_cast<i64>(blockIdx.x) * stride;
  for (int i = static_cast<int>(threadIdx.x); i < inputs; i += 128)
    if (!(lower[row + i] <= upper[row + i])) bad = 1;
  bad = __syncthreads_or(bad);
  if (threadIdx.x == 0) invalid[blockIdx.x] = static_cast<unsigned char>(bad != 0);
}

__device__ __forceinline__ void write_bounds(const LayerArgs &a, int b, int o, float lower,
                                             float upper) {
  bool bad = a.invalid[b] || is_nan(lower) || is_nan(upper);
  a.y[place(a, b, o)] = bad ? -infinity() : lower;
  a.y2[place(a, b, o)] = bad ? infinity() : upper;
}

using BoundsTile = Tile<4, 4, 16, 8, false, 2>;
extern "C" __global__ void __launch_bounds__(BoundsTile::THREADS) sn_max_bounds(LayerArgs args) {
  using T = BoundsTile;
  __shared__ T::Shared shared;
  T tile(shared, args);
  if (tile.empty()) return;
  float low[T::TM][T::TN] = {}, high[T::TM][T::TN] = {};
  tile.run(
      [&](int, float4(&x)[2][T::TM], const float4 &w, int j) {
#pragma unroll
        for (int m = 0; m < T::TM; ++m) {
          const float4 &l = x[0][m], &u = x[1][m];
          Span s[4] = {span(l.x, u.x, w.x), span(l.y, u.y, w.y), span(l.z, u.z, w.z),
                       span(l.w, u.w, w.w)};
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            low[m][j] = fmaxf(low[m][j], s[e].lower);
            high[m][j] = max_nan(high[m][j], s[e].upper);
          }
        }
      },
      [] {});
  tile.outputs(
      [&](int b, int o, int m, int j) { write_bounds(args, b, o, low[m][j], high[m][j]); });
}

// p < inf: y and y2 hold the maxima already. The sums are in float64; `slack` is a bound of the
// relative error of everything done in float64, and the last step rounds outward.
using PowerBoundsTile = Tile<2, 2, 16, 8, false, 2>;
extern "C" __global__ void __launch_bounds__(PowerBoundsTile::THREADS)
    sn_power_bounds(LayerArgs args, double p, double slack) {
  using T = PowerBoundsTile;
  __shared__ T::Shared shared;
  T tile(shared, args);
  if (tile.empty()) return;
  double sums[2][T::TM][T::TN] = {};
  float top[2][T::TM][T::TN] = {};
  tile.outputs([&](int b, int o, int m, int j) {
    top[0][m][j] = args.y[place(args, b, o)];
    top[1][m][j] = args.y2[place(args, b, o)];
  });
  auto ratio = [&](float a, float scale) {
    return a > 0.0f && scale > 0.0f ? pow(static_cast<double>(a) / scale, p) : 0.0;
  };
  tile.run(
      [&](int, float4(&x)[2][T::TM], const float4 &w, int j) {
#pragma unroll
        for (int m = 0; m < T::TM; ++m) {
          const float4 &l = x[0][m], &u = x[1][m];
          float ls[4] = {l.x, l.y, l.z, l.w}, us[4] = {u.x, u.y, u.z, u.w},
                ws[4] = {w.x, w.y, w.z, w.w};
#pragma unroll 1
          for (int e = 0; e < 4; ++e) {
            Span s = span(ls[e], us[e], ws[e]);
            sums[0][m][j] += ratio(s.lower, top[0][m][j]);
            sums[1][m][j] += ratio(s.upper, top[1][m][j]);
          }
        }
      },
      [] {});
  tile.outputs([&](int b, int o, int m, int j) {
    float bound[2];
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      float t = top[side][m][j];
      bound[side] = t;
      if (t > 0.0f && !isinf(t)) {
        double norm = t * pow(sums[side][m][j], 1.0 / p);
        bound[side] = side ? __double2float_ru(norm * (1.0 + slack))
                           : __double2float_rd(norm * (1.0 - slack));
      }
    }
    // -inf, +inf of invalid rows come through as they are.
    args.y[place(args, b, o)] = bound[0];
    args.y2[place(args, b, o)] = bound[1];
  });
}

// Order statistics by repeated maximum: any K, one block per output, I K / 128 steps. Registers
// hold the usual small K (sort.cuh); this is the same result for all others.
__device__ __forceinline__ unsigned long long key_of(float a, int i) {
  return static_cast<unsigned long long>(__float_as_uint(a) & 0x7fffffffu) << 32 |
         (0xffffffffu - static_cast<unsigned>(i));
}
__device__ __forceinline__ float key_value(unsigned long long key) {
  return __uint_as_float(static_cast<unsigned>(key >> 32));
}

// each(k, key) runs on one thread for k = 0 .. count-1, in order.
template <class At, class Each>
__device__ __forceinline__ void repeated_maximum(int inputs, int count, At at, Each each) {
  __shared__ unsigned long long best[4];
  int tid = static_cast<int>(threadIdx.x), lane = tid % 32, warp = tid / 32;
  unsigned long long before = ~0ull;
  for (int k = 0; k < count; ++k) {
    unsigned long long top = 0;
    for (int i = tid; i < inputs; i += 128) {
      unsigned long long key = key_of(at(i), i);
      if (key < before && key > top) top = key;
    }
    for (int offset = 16; offset; offset /= 2) {
      unsigned long long other = __shfl_xor_sync(0xffffffffu, top, offset);
      if (other > top) top = other;
    }
    __syncthreads();
    if (lane == 0) best[warp] = top;
    __syncthreads();
    before = best[0];
    for (int v = 1; v < 4; ++v)
      if (best[v] > before) before = best[v];
    if (tid == 0) each(k, before);
  }
}

__device__ __forceinline__ float coefficient(const CoefArgs &c, int o, int k) {
  return c.coef[static_cast<i64>(o) * c.coef_stride + k];
}

// y, or with `code` the selected inputs instead.
extern "C" __global__ void __launch_bounds__(128) sn_sort_any(LayerArgs a, CoefArgs c) {
  i64 at = blockIdx.x;
  int b = static_cast<int>(at / a.outputs), o = static_cast<int>(at % a.outputs);
  const float *x = a.x + static_cast<i64>(b) * a.x_stride,
              *w = a.w + static_cast<i64>(o) * a.w_stride;
  int count = max(1, c.count);  // a NaN counts even when no order statistic does
  float *values = c.values + at * count;
  repeated_maximum(
      a.inputs, count, [&](int i) { return fabsf(x[i] - w[i]); },
      [&](int k, unsigned long long key) {
        if (c.code) {
          int i = static_cast<int>(0xffffffffu - static_cast<unsigned>(key));
          c.code[at * c.count + k] = x[i] > w[i] ? i << 1 : x[i] < w[i] ? (i << 1 | 1) : -1;
        } else {
          values[k] = key_value(key);
        }
      });
  if (threadIdx.x == 0 && !c.code) {
    float y = 0.0f;
    for (int k = c.count - 1; k >= 0; --k) {
      float term = __fmul_rn(coefficient(c, o, k), values[k]);
      y = k == c.count - 1 ? term : __fadd_rn(y, term);
    }
    a.y[place(a, b, o)] = is_nan(values[0]) ? not_a_number() : y;
  }
}

extern "C" __global__ void __launch_bounds__(128) sn_sort_bounds_any(LayerArgs a, CoefArgs c) {
  i64 at = blockIdx.x;
  int b = static_cast<int>(at / a.outputs), o = static_cast<int>(at % a.outputs);
  const float *l = a.x + static_cast<i64>(b) * a.x_stride,
              *u = a.x2 + static_cast<i64>(b) * a.x_stride;
  const float *w = a.w + static_cast<i64>(o) * a.w_stride;
  int count = max(1, c.count);
  float *low = c.values + at * 2 * count, *high = low + count;
  repeated_maximum(
      a.inputs, count, [&](int i) { return span(l[i], u[i], w[i]).lower; },
      [&](int k, unsigned long long key) { low[k] = key_value(key); });
  __syncthreads();
  repeated_maximum(
      a.inputs, count, [&](int i) { return span(l[i], u[i], w[i]).upper; },
      [&](int k, unsigned long long key) { high[k] = key_value(key); });
  if (threadIdx.x != 0) return;
  float lower = 0.0f, upper = 0.0f;
  for (int k = c.count - 1; k >= 0; --k) {
    float coef = coefficient(c, o, k);
    lower = __fadd_rd(lower, __fmul_rd(coef, coef >= 0.0f ? low[k] : high[k]));
    upper = __fadd_ru(upper, __fmul_ru(coef, coef >= 0.0f ? high[k] : low[k]));
  }
  if (is_nan(high[0])) lower = upper = not_a_number();
  write_bounds(a, b, o, lower, upper);
}

}  // namespace sn
