// The l_p distance layer for p < inf, forward and backward. SN_P: a power 2^k or 3 * 2^k that is
// computed by multiplications; 0 is any p, by the approximate logarithm and exponential.
#pragma once
#include "tile.cuh"

#if !defined(SN_P)
#define SN_P 8
#endif

namespace sn {

constexpr int kRowsPerTile = 32;

// |a|^P for P = 2^k or 3 * 2^k.
template <int P>
__device__ __forceinline__ float whole_power(float a) {
  if constexpr (P == 1) {
    return fabsf(a);
  } else if constexpr (P == 3) {
    return a * a * fabsf(a);
  } else {
    static_assert(P % 2 == 0, "P must be 2^k or 3 * 2^k");
    float half = whole_power<P / 2>(a);
    return half * half;
  }
}

// sum + |a|^P
template <int P>
__device__ __forceinline__ float add_power(float sum, float a) {
  if constexpr (P % 2 == 0) {
    float half = whole_power<P / 2>(a);
    return __fmaf_rn(half, half, sum);
  } else {
    return sum + whole_power<P>(a);
  }
}

// a^(P - 1)
template <int P>
__device__ __forceinline__ float one_less_power(float a) {
  if constexpr (P == 1) {
    return 1.0f;
  } else if constexpr (P == 2) {
    return a;
  } else if constexpr (P == 3) {
    return a * a;
  } else {
    float half = one_less_power<P / 2>(a);
    return half * half * a;
  }
}

// One output by one thread in float64: where float32 sums of powers could over- or underflow.
__device__ inline float norm_slow(const LayerArgs &a, const RowTile &rows, int b, int o, float p) {
  const float *x = a.x + static_cast<i64>(b) * a.x_stride,
              *w = a.w + static_cast<i64>(o) * a.w_stride;
  const int *index = a.in_index ? a.in_index + static_cast<i64>(rows.group) * a.inputs : nullptr;
  int depth = a.in_count ? a.in_count[rows.group] : a.inputs;
  float top = 0.0f;
  for (int k = 0; k < depth; ++k) {
    int i = index ? index[k] : k;
    top = max_nan(top, fabsf(x[i] - w[i]));
  }
  if (!(top > 0.0f) || isinf(top)) return top;
  double sum = 0.0;
  for (int k = 0; k < depth; ++k) {
    int i = index ? index[k] : k;
    double ratio = static_cast<double>(fabsf(x[i] - w[i])) / top;
    sum += pow(ratio, static_cast<double>(p));
  }
  return static_cast<float>(top * pow(sum, 1.0 / p));
}

// Partial sums over 64 inputs are added to the total: the error of a sum of n terms grows with
// 64 + n / 64 roundings, not with n.
template <class T>
__device__ __forceinline__ void power_forward(const LayerArgs &args,
                                              [[maybe_unused]] const PowerArgs &power) {
  __shared__ typename T::Shared shared;
  T tile(shared, args);
  if (tile.empty()) return;
  float part[T::TM][T::TN] = {}, total[T::TM][T::TN] = {};
  auto fold = [&] {
#pragma unroll
    for (int m = 0; m < T::TM; ++m)
#pragma unroll
      for (int j = 0; j < T::TN; ++j) {
        total[m][j] += part[m][j];
        part[m][j] = 0.0f;
      }
  };
#if SN_P > 0 && SN_P <= 8
  // Powers this small need no scaling, but where the sum says otherwise.
  float p = static_cast<float>(SN_P);
  auto body = [&](int, float4(&x)[1][T::TM], const float4 &w, int j) {
#pragma unroll
    for (int m = 0; m < T::TM; ++m) {
      const float4 &v = x[0][m];
      float s = part[m][j];
      s = add_power<SN_P>(s, v.x - w.x);
      s = add_power<SN_P>(s, v.y - w.y);
      s = add_power<SN_P>(s, v.z - w.z);
      part[m][j] = add_power<SN_P>(s, v.w - w.w);
    }
  };
  tile.run(body, fold);
  bool slow = false;
  tile.outputs([&](int b, int o, int m, int j) {
    float y = total[m][j];
    if (y > 1e-24f && y < 1e37f) {
      if (SN_P % 3 == 0) y = cbrtf(y);
#pragma unroll
      for (int q = SN_P; q > 1 && q != 3; q /= 2) y = __fsqrt_rn(y);
    } else {
      y = -1.0f;
      slow = true;
    }
    args.y[place(args, b, o)] = y;
  });
#else
  // y holds the maximum already. Ratios to it are at most 1; the ones that rounding would swallow
  // are skipped four at a time, which saves most of the work once p is large.
  float inverse[T::TM][T::TN];
#pragma unroll
  for (int m = 0; m < T::TM; ++m)
#pragma unroll
    for (int j = 0; j < T::TN; ++j) {
      int row = tile.ty + m * T::TY, o = shared.column[tile.tx + j * T::TX];
      float top =
          row < tile.rows.count && o >= 0 ? args.y[place(args, tile.rows.begin + row, o)] : 0.0f;
      inverse[m][j] = top > 1e-30f && top < 1e30f ? 1.0f / top : 0.0f;
    }
  float p = power.p;
#if SN_P == 0
  float cut = power.cut;
#endif
  auto body = [&](int, float4(&x)[1][T::TM], const float4 &w, int j) {
#pragma unroll
    for (int m = 0; m < T::TM; ++m) {
      const float4 &v = x[0][m];
      float s = inverse[m][j];
#if SN_P > 0
      float sum = part[m][j];
      sum = add_power<SN_P>(sum, (v.x - w.x) * s);
      sum = add_power<SN_P>(sum, (v.y - w.y) * s);
      sum = add_power<SN_P>(sum, (v.z - w.z) * s);
      part[m][j] = add_power<SN_P>(sum, (v.w - w.w) * s);
#else
      float r0 = fabsf((v.x - w.x) * s), r1 = fabsf((v.y - w.y) * s);
      float r2 = fabsf((v.z - w.z) * s), r3 = fabsf((v.w - w.w) * s);
      if (r0 > cut || r1 > cut || r2 > cut || r3 > cut)
        part[m][j] += (ex2(p * lg2(r0)) + ex2(p * lg2(r1))) + (ex2(p * lg2(r2)) + ex2(p * lg2(r3)));
#endif
    }
  };
  tile.run(body, fold);
  bool slow = false;
  tile.outputs([&](int b, int o, int m, int j) {
    i64 at = place(args, b, o);
    if (inverse[m][j] > 0.0f) {
      args.y[at] *= exp2f(log2f(fmaxf(total[m][j], 1.0f)) / p);
    } else {
      args.y[at] = -1.0f;
      slow = true;
    }
  });
#endif
  // No norm is negative: -1 marks the outputs that are still to be done.
  if (slow)
    tile.each_output([&](int b, int o) {
      i64 at = place(args, b, o);
      if (args.y[at] == -1.0f) args.y[at] = norm_slow(args, tile.rows, b, o, p);
    });
}

// What reaches the backward pass, transposed so that a step over outputs reads whole rows.
// A block: 32 samples (one tile) x 32 outputs.
extern "C" __global__ void __launch_bounds__(256) sn_power_prepare(PrepareArgs a) {
  __shared__ float y_[32][33], dy_[32][33];
  int tile = static_cast<int>(blockIdx.x) + a.rows.first, o0 = static_cast<int>(blockIdx.y) * 32;
  RowTile rows = row_tile(a.rows, tile, kRowsPerTile);
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int r = warp; r < 32; r += 8) {
    int o = o0 + lane;
    float y = 0.0f, dy = 0.0f;
    if (r < rows.count && o < a.outputs &&
        (!a.out_mask || a.out_mask[static_cast<i64>(rows.group) * a.outputs + o])) {
      y = a.y[static_cast<i64>(rows.begin + r) * a.y_stride + o];
      dy = a.dy[static_cast<i64>(rows.begin + r) * a.dy_stride + o];
    }
    y_[r][lane] = y;
    dy_[r][lane] = dy;
  }
  __syncthreads();
  for (int c = warp; c < 32; c += 8) {
    float y = y_[lane][c], dy = dy_[lane][c];
    // Outputs of subnormal size count as 0: their reciprocal is no float.
    bool flows = !(fabsf(y) < 1.2e-38f) && dy != 0.0f;
    int any = __any_sync(0xffffffffu, flows);
    if (o0 + c < a.outputs) {
      i64 at = static_cast<i64>(o0 + c) * a.tiles + static_cast<int>(blockIdx.x);
      a.inverse[at * 32 + lane] = flows ? 1.0f / y : 0.0f;
      a.factor[at * 32 + lane] = flows ? dy : 0.0f;
      if (lane == 0) a.live[at] = static_cast<unsigned char>(any != 0);
    }
  }
}

// Both gradients in one pass. A block owns 64 inputs and a chunk of outputs, for up to 256 samples:
// eight warps with a tile of 32 samples each. A thread keeps 8 samples x 8 inputs of x and dx in
// registers and steps through the outputs; dw is summed over the thread's samples, then over the
// four threads of a warp that share the inputs, then over the warps, in that order. dx of each
// chunk of outputs goes to its own partial sum. A warp skips outputs that no sample of its tile
// wants, and packs the kept inputs of its group together, so that the work shrinks with both masks.
constexpr int kWarps = 8, kInputs = 64, kStep = 4;

struct BackwardShared {
  alignas(16) float inverse[2][kStep][kWarps * 32];
  alignas(16) float factor[2][kStep][kWarps * 32];
  float w[2][kStep][kInputs];
  float dw[kWarps][kStep][kInputs];
  unsigned char live[2][kStep][kWarps];
  unsigned char kept[kWarps][kInputs];
};

__device__ __forceinline__ void backward_load(BackwardShared &s, const BackwardArgs &a, int o0,
                                              int end, int i0, int buffer, int tid) {
  // 256 threads: inverse and factor are 4 x 256 floats each, 16 bytes per thread.
  int q = tid / 64, col = tid % 64 * 4, o = o0 + q;
  bool any = o < end && col < a.tiles * 32;
  i64 at = any ? static_cast<i64>(o) * a.tiles * 32 + col : 0;
  copy16(&s.inverse[buffer][q][col], a.inverse + at, any ? 16 : 0);
  copy16(&s.factor[buffer][q][col], a.factor + at, any ? 16 : 0);
  int i = i0 + tid % 64;
  bool weight = o < end && i < a.inputs;
  copy4(&s.w[buffer][q][tid % 64], weight ? a.w + static_cast<i64>(o) * a.w_stride + i : a.w,
        weight ? 4 : 0);
  if (tid < kStep * kWarps) {
    int lq = tid / kWarps, t = tid % kWarps;
    bool valid = o0 + lq < end && t < a.tiles;
    s.live[buffer][lq][t] = valid ? a.live[static_cast<i64>(o0 + lq) * a.tiles + t] : 0;
  }
  copy_commit();
}

extern "C" __global__ void __launch_bounds__(256, 1)
    sn_power_backward(BackwardArgs a, [[maybe_unused]] PowerArgs power) {
  __shared__ BackwardShared s;
  int tid = static_cast<int>(threadIdx.x), warp = tid / 32, lane = tid % 32;
  int lb = lane % 4, li = lane / 4;  // which samples, which inputs
  int i0 = static_cast<int>(blockIdx.x) * kInputs;
  int o0 = static_cast<int>(blockIdx.y) * a.chunk;
  int end = min(a.outputs, o0 + a.chunk);
  RowTile rows = row_tile(a.rows, a.rows.first + warp, kRowsPerTile);
  if (warp >= a.tiles) rows.count = 0;

  // The kept inputs of this warp's group, ascending.
  int kept = 0;
  for (int half = 0; half < kInputs; half += 32) {
    int i = i0 + half + lane;
    bool keep = rows.count > 0 && i < a.inputs &&
                (!a.in_mask || a.in_mask[static_cast<i64>(rows.group) * a.inputs + i]);
    unsigned ballot = __ballot_sync(0xffffffffu, keep);
    if (keep)
      s.kept[warp][kept + __popc(ballot & ((1u << lane) - 1u))] =
          static_cast<unsigned char>(half + lane);
    kept += __popc(ballot);
  }
  __syncwarp();
  int slots = ceil_div(kept, 8);
  for (int z = tid; z < kWarps * kStep * kInputs; z += 256) (&s.dw[0][0][0])[z] = 0.0f;

  // Slots past the kept inputs compute with zeros and column 0; nothing of them is written.
  float x[8][8], dx[8][8] = {};  // [slot][sample]
  int column[8];
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    int at = j * 8 + li;
    column[j] = at < kept ? s.kept[warp][at] : 0;
#pragma unroll
    for (int m = 0; m < 8; ++m) {
      int r = m / 4 * 16 + lb * 4 + m % 4;
      x[j][m] = at < kept && r < rows.count
                    ? a.x[static_cast<i64>(rows.begin + r) * a.x_stride + i0 + column[j]]
                    : 0.0f;
    }
  }
  // Where this thread's two sums over the samples of the warp go.
  bool odd = lb & 1, high = lb & 2;
  int target[2];
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    int at = ((odd ? 4 : 0) + (high ? 2 : 0) + j) * 8 + li;
    target[j] = at < kept ? s.kept[warp][at] : -1;
  }

  int steps = end > o0 ? ceil_div(end - o0, kStep) : 0;
  if (steps) backward_load(s, a, o0, end, i0, 0, tid);
  for (int step = 0; step < steps; ++step) {
    int buffer = step & 1;
    if (step + 1 < steps) {
      backward_load(s, a, o0 + (step + 1) * kStep, end, i0, buffer ^ 1, tid);
      copy_wait<1>();
    } else {
      copy_wait<0>();
    }
    __syncthreads();
#pragma unroll 1
    for (int q = 0; q < kStep; ++q) {
      if (!s.live[buffer][q][warp]) {
#pragma unroll
        for (int j = 0; j < 2; ++j)
          if (target[j] >= 0) s.dw[warp][q][target[j]] = 0.0f;
        continue;
      }
      float inverse[8], factor[8];
#pragma unroll
      for (int m = 0; m < 8; ++m) {
        int r = warp * 32 + m / 4 * 16 + lb * 4 + m % 4;
        inverse[m] = s.inverse[buffer][q][r];
        factor[m] = s.factor[buffer][q][r];
      }
      float dw[8] = {};
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        if (j >= slots) break;
        float w = s.w[buffer][q][column[j]];
#if SN_P > 0
#pragma unroll
        for (int m = 0; m < 8; ++m) {
          float r = (x[j][m] - w) * inverse[m];
          float left, right;  // left * right = sign(r) |r|^(p - 1) dy
          if constexpr (SN_P % 2 == 0) {
            float half = one_less_power<SN_P / 2>(r);
            left = half * half;
            right = r * factor[m];
          } else {
            left = SN_P == 1 ? factor[m] : r * factor[m];
            right = SN_P == 1 ? (r > 0.0f ? 1.0f : r < 0.0f ? -1.0f : r) : fabsf(r);
          }
          dx[j][m] = __fmaf_rn(left, right, dx[j][m]);
          dw[j] = __fmaf_rn(left, right, dw[j]);
        }
#else
#pragma unroll
        for (int m0 = 0; m0 < 8; m0 += 4) {
          float r[4];
          bool adds[4];
#pragma unroll
          for (int m = 0; m < 4; ++m) {
            r[m] = (x[j][m0 + m] - w) * inverse[m0 + m];
            adds[m] = !(fabsf(r[m]) <= power.cut);
          }
          if (adds[0] | adds[1] | adds[2] | adds[3]) {
#pragma unroll
            for (int m = 0; m < 4; ++m) {
              float g = copysignf(ex2(fminf((power.p - 1.0f) * lg2(fabsf(r[m])), 0.0f)), r[m]);
              // 0 also where only a neighbour's term is large: no sample depends on its neighbours.
              g = adds[m] ? g : 0.0f;
              dx[j][m0 + m] = __fmaf_rn(g, factor[m0 + m], dx[j][m0 + m]);
              dw[j] = __fmaf_rn(g, factor[m0 + m], dw[j]);
            }
          }
        }
#endif
      }
      // Sum over the four threads with the same inputs; each ends up with two of the eight.
      float four[4], two[2];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float give = odd ? dw[j] : dw[j + 4], keep = odd ? dw[j + 4] : dw[j];
        four[j] = keep + __shfl_xor_sync(0xffffffffu, give, 1);
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float give = high ? four[j] : four[j + 2], keep = high ? four[j + 2] : four[j];
        two[j] = keep + __shfl_xor_sync(0xffffffffu, give, 2);
      }
#pragma unroll
      for (int j = 0; j < 2; ++j)
        if (target[j] >= 0) s.dw[warp][q][target[j]] = -two[j];
    }
    __syncthreads();
    if (a.dw) {
      int q = tid / 64, i = i0 + tid % 64, o = o0 + step * kStep + q;
      if (o < end && i < a.inputs) {
        float *to = a.dw + static_cast<i64>(o) * a.dw_stride + i;
        float sum = a.add ? *to : 0.0f;
        for (int t = 0; t < kWarps; ++t) sum += s.dw[t][q][tid % 64];
        *to = sum;
      }
    }
    __syncthreads();
  }
  if (!a.dx) return;
  float *part = a.dx + (static_cast<i64>(blockIdx.y) * kWarps + warp) * 32 * a.inputs + i0;
#pragma unroll
  for (int j = 0; j < 8; ++j)
#pragma unroll
    for (int m = 0; m < 8; ++m) {
      int r = m / 4 * 16 + lb * 4 + m % 4;
      if (j * 8 + li < kept && r < rows.count)
        part[static_cast<i64>(r) * a.inputs + column[j]] = dx[j][m];
    }
}

// dx = the sum over the chunks of outputs, in order; 0 at dropped inputs. A block: one row.
extern "C" __global__ void __launch_bounds__(256)
    sn_power_dx(BackwardArgs a, int chunks, float *dx, i64 dx_stride) {
  RowTile rows = row_tile(a.rows, a.rows.first + static_cast<int>(blockIdx.x) / 32, kRowsPerTile);
  int r = static_cast<int>(blockIdx.x) % 32;
  if (r >= rows.count) return;
  for (int i = static_cast<int>(threadIdx.x); i < a.inputs; i += 256) {
    float sum = 0.0f;
    if (!a.in_mask || a.in_mask[static_cast<i64>(rows.group) * a.inputs + i])
      for (int c = 0; c < chunks; ++c)
        sum += a.dx[(static_cast<i64>(c) * kWarps * 32 + blockIdx.x) * a.inputs + i];
    dx[static_cast<i64>(rows.begin + r) * dx_stride + i] = sum;
  }
}

extern "C" __global__ void __launch_bounds__(DenseTile::THREADS)
    sn_power_forward(LayerArgs a, PowerArgs power) {
  power_forward<DenseTile>(a, power);
}
extern "C" __global__ void __launch_bounds__(DenseGather::THREADS)
    sn_power_forward_gather(LayerArgs a, PowerArgs power) {
  power_forward<DenseGather>(a, power);
}

}  // namespace sn
