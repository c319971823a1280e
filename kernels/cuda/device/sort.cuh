// Sorted top K for small K, one program per K (SN_TOPK, 1..16): the K largest differences of an
// output live in registers. Four differences at a time are compared with the smallest of them, and
// the insertion network runs only when one is larger, ever more rarely as the inputs stream by.
// The kernels of base.cuh do the same for any K.
#pragma once
#include "base.cuh"

#if !defined(SN_TOPK)
#define SN_TOPK 10
#endif

namespace sn {

constexpr int K = SN_TOPK;

// v is descending; a takes its place, the smallest falls out.
__device__ __forceinline__ void insert(float (&v)[K], float a) {
#pragma unroll
  for (int k = K - 1; k > 0; --k) v[k] = fmaxf(v[k], fminf(v[k - 1], a));
  v[0] = fmaxf(v[0], a);
}

template <class T>
__device__ __forceinline__ void sort_forward(const LayerArgs &args, const CoefArgs &c) {
  __shared__ typename T::Shared shared;
  T tile(shared, args);
  if (tile.empty()) return;
  float v[T::TM][T::TN][K] = {};
  unsigned nan = 0;  // bit m * TN + j: that output met a NaN
  tile.run(
      [&](int, float4(&x)[1][T::TM], const float4 &w, int j) {
#pragma unroll
        for (int m = 0; m < T::TM; ++m) {
          const float4 &q = x[0][m];
          float a0 = fabsf(q.x - w.x), a1 = fabsf(q.y - w.y), a2 = fabsf(q.z - w.z),
                a3 = fabsf(q.w - w.w);
          float &least = v[m][j][K - 1];
          // !(a <= least) and not a > least: a NaN must not slip through.
          if (!(a0 <= least) || !(a1 <= least) || !(a2 <= least) || !(a3 <= least)) {
            if (is_nan(a0) || is_nan(a1) || is_nan(a2) || is_nan(a3)) nan |= 1u << (m * T::TN + j);
            if (a0 > least) insert(v[m][j], a0);
            if (a1 > least) insert(v[m][j], a1);
            if (a2 > least) insert(v[m][j], a2);
            if (a3 > least) insert(v[m][j], a3);
          }
        }
      },
      [] {});
  tile.outputs([&](int b, int o, int m, int j) {
    float y = __fmul_rn(coefficient(c, o, K - 1), v[m][j][K - 1]);
#pragma unroll
    for (int k = K - 2; k >= 0; --k) y = __fadd_rn(y, __fmul_rn(coefficient(c, o, k), v[m][j][k]));
    args.y[place(args, b, o)] = nan >> (m * T::TN + j) & 1u ? not_a_number() : y;
  });
}
using SortTile = Tile<4, 2, 16, 8, true>;
using SortGather = Tile<4, 2, 16, 8, false>;
extern "C" __global__ void __launch_bounds__(SortTile::THREADS)
    sn_sort_forward(LayerArgs a, CoefArgs c) {
  sort_forward<SortTile>(a, c);
}
extern "C" __global__ void __launch_bounds__(SortGather::THREADS)
    sn_sort_forward_gather(LayerArgs a, CoefArgs c) {
  sort_forward<SortGather>(a, c);
}

// The same with the index and the sign beside each value. Equal values keep the order of their
// indices, since only a strictly larger one moves ahead.
using SortSelectTile = Tile<2, 2, 16, 16, false>;
extern "C" __global__ void __launch_bounds__(SortSelectTile::THREADS)
    sn_sort_select(LayerArgs args, CoefArgs c) {
  using T = SortSelectTile;
  __shared__ T::Shared shared;
  T tile(shared, args);
  if (tile.empty()) return;
  float v[T::TM][T::TN][K] = {};
  int code[T::TM][T::TN][K];
#pragma unroll
  for (int m = 0; m < T::TM; ++m)
#pragma unroll
    for (int j = 0; j < T::TN; ++j)
#pragma unroll
      for (int k = 0; k < K; ++k) code[m][j][k] = -1;
  tile.run(
      [&](int at, float4(&x)[1][T::TM], const float4 &w, int j) {
#pragma unroll
        for (int m = 0; m < T::TM; ++m) {
          const float4 &q = x[0][m];
          float d[4] = {q.x - w.x, q.y - w.y, q.z - w.z, q.w - w.w};
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            float a = fabsf(d[e]);
            float (&value)[K] = v[m][j];
            int (&index)[K] = code[m][j];
            if (a > value[K - 1]) {
              int own = (at + e) << 1 | (d[e] < 0.0f ? 1 : 0);
#pragma unroll
              for (int k = K - 1; k > 0; --k) {
                bool above = a > value[k - 1], here = a > value[k];
                index[k] = above ? index[k - 1] : here ? own : index[k];
                value[k] = above ? value[k - 1] : here ? a : value[k];
              }
              if (a > value[0]) {
                index[0] = own;
                value[0] = a;
              }
            }
          }
        }
      },
      [] {});
  tile.outputs([&](int b, int o, int m, int j) {
    int *to = c.code + (static_cast<i64>(b) * args.outputs + o) * K;
#pragma unroll
    for (int k = 0; k < K; ++k) to[k] = code[m][j][k];
  });
}

// Bounds: the K largest lower and the K largest upper distances.
using SortBoundsTile = Tile<2, 1, 32, 8, false, 2>;
extern "C" __global__ void __launch_bounds__(SortBoundsTile::THREADS)
    sn_sort_bounds(LayerArgs args, CoefArgs c) {
  using T = SortBoundsTile;
  __shared__ T::Shared shared;
  T tile(shared, args);
  if (tile.empty()) return;
  float low[T::TM][T::TN][K] = {}, high[T::TM][T::TN][K] = {};
  unsigned nan = 0;
  tile.run(
      [&](int, float4(&x)[2][T::TM], const float4 &w, int j) {
#pragma unroll
        for (int m = 0; m < T::TM; ++m) {
          const float4 &l = x[0][m], &u = x[1][m];
          Span s[4] = {span(l.x, u.x, w.x), span(l.y, u.y, w.y), span(l.z, u.z, w.z),
                       span(l.w, u.w, w.w)};
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            if (s[e].lower > low[m][j][K - 1]) insert(low[m][j], s[e].lower);
            if (!(s[e].upper <= high[m][j][K - 1])) {
              if (is_nan(s[e].upper)) nan |= 1u << (m * T::TN + j);
              if (s[e].upper > high[m][j][K - 1]) insert(high[m][j], s[e].upper);
            }
          }
        }
      },
      [] {});
  tile.outputs([&](int b, int o, int m, int j) {
    float lower = 0.0f, upper = 0.0f;
#pragma unroll
    for (int k = K - 1; k >= 0; --k) {
      float coef = coefficient(c, o, k), a = low[m][j][k], z = high[m][j][k];
      lower = __fadd_rd(lower, __fmul_rd(coef, coef >= 0.0f ? a : z));
      upper = __fadd_ru(upper, __fmul_ru(coef, coef >= 0.0f ? z : a));
    }
    if (nan >> (m * T::TN + j) & 1u) lower = upper = not_a_number();
    write_bounds(args, b, o, lower, upper);
  });
}

}  // namespace sn
