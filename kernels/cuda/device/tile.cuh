// The loop that every dense forward kernel shares: a block computes BM x BN outputs, a thread
// TM x TN of them, over inputs that stream through two buffers of shared memory.
//
// Shared memory keeps the row-major order of global memory, so that a copy moves 16 bytes, and a
// thread reads four consecutive inputs of a row at once. Rows are padded from 16 to 20 floats:
// eight neighbouring rows then lie in eight different bank groups. Inputs past the end are 0 on
// both sides: a difference of 0 changes no maximum, no sum, and no order statistic up to I.
#pragma once
#include "args.h"
#include "intrinsics.cuh"

namespace sn {

constexpr int kDepth = 16;          // inputs per step
constexpr int kPitch = kDepth + 4;  // floats per row in shared memory

__host__ __device__ constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

// The samples of one tile: `count` rows from `begin`, all in one group.
struct RowTile {
  int group, begin, count;
};
__device__ __forceinline__ RowTile row_tile(const Rows &rows, int tile, int rows_per_tile) {
  int per_group = ceil_div(rows.group, rows_per_tile);
  RowTile t;
  t.group = tile / per_group;
  int inside = (tile - t.group * per_group) * rows_per_tile;
  i64 begin = static_cast<i64>(t.group) * rows.group + inside;
  i64 end = static_cast<i64>(t.group) * rows.group + min(rows.group, inside + rows_per_tile);
  if (end > rows.batch) end = rows.batch;
  t.begin = static_cast<int>(begin);
  t.count = max(0, static_cast<int>(end - begin));
  return t;
}
inline __device__ int row_tiles(const Rows &rows, int rows_per_tile) {
  return ceil_div(rows.batch, rows.group) * ceil_div(rows.group, rows_per_tile);
}

// PLANES = 2 streams lower and upper bounds side by side. VECTOR needs rows of 16-byte aligned
// start, I a multiple of 4 and no index lists; otherwise copies are 4 bytes wide and may gather.
template <int TM_, int TN_, int TX_, int TY_, bool VECTOR_, int PLANES_ = 1>
struct Tile {
  static constexpr int TM = TM_, TN = TN_, TX = TX_, TY = TY_, PLANES = PLANES_;
  static constexpr bool VECTOR = VECTOR_;
  static constexpr int BM = TM * TY, BN = TN * TX, THREADS = TX * TY;
  static constexpr int ROWS = PLANES * BM + BN;

  struct Shared {
    alignas(16) float data[2][ROWS][kPitch];
    int column[BN];  // the outputs of this block, -1 past the end
  };

  Shared &shared;
  const LayerArgs &a;
  RowTile rows;
  int depth;  // inputs to go through: I, or the kept ones
  const int *in_index;
  int tx, ty, tid, column0;

  __device__ __forceinline__ Tile(Shared &shared_, const LayerArgs &args)
      : shared(shared_), a(args) {
    int row_blocks = row_tiles(a.rows, BM);
    int block = static_cast<int>(blockIdx.x);
    // Neighbouring blocks share the rows of w, the larger operand.
    rows = row_tile(a.rows, block % row_blocks, BM);
    column0 = block / row_blocks * BN;
    tid = static_cast<int>(threadIdx.x);
    tx = tid % TX;
    ty = tid / TX;
    depth = a.in_count ? a.in_count[rows.group] : a.inputs;
    in_index = a.in_index ? a.in_index + static_cast<i64>(rows.group) * a.inputs : nullptr;
    int columns = a.out_count ? a.out_count[rows.group] : a.outputs;
    const int *out_index =
        a.out_index ? a.out_index + static_cast<i64>(rows.group) * a.outputs : nullptr;
    for (int n = tid; n < BN; n += THREADS) {
      int c = column0 + n;
      shared.column[n] = c >= columns ? -1 : out_index ? out_index[c] : c;
    }
    __syncthreads();
  }

  // Blocks past the kept outputs of their group have nothing to do.
  __device__ __forceinline__ bool empty() const { return rows.count == 0 || shared.column[0] < 0; }

  // The start of row r of the stacked operands (x, x2, w); null past the end.
  __device__ __forceinline__ const float *row(int r) const {
    if (r < PLANES * BM) {
      int m = r % BM;
      const float *base = r < BM ? a.x : a.x2;
      return m < rows.count ? base + static_cast<i64>(rows.begin + m) * a.x_stride : nullptr;
    }
    int c = shared.column[r - PLANES * BM];
    return c >= 0 ? a.w + static_cast<i64>(c) * a.w_stride : nullptr;
  }

  __device__ __forceinline__ void load(int step, int buffer) {
    if constexpr (VECTOR) {
      static_assert(PLANES == 1, "intervals are gathered");
      constexpr int VECTORS = kDepth / 4, STRIDE = THREADS / VECTORS;
      static_assert(BM % STRIDE == 0 && BN % STRIDE == 0, "every thread copies as much");
      int k = tid % VECTORS * 4, i = step * kDepth + k, r0 = tid / VECTORS;
      bool inside = i < depth;  // I is a multiple of 4 here
#pragma unroll
      for (int r = r0; r < r0 + BM; r += STRIDE) {
        bool any = inside && r < rows.count;
        copy16(&shared.data[buffer][r][k],
               any ? a.x + static_cast<i64>(rows.begin + r) * a.x_stride + i : a.w, any ? 16 : 0);
      }
#pragma unroll
      for (int r = r0; r < r0 + BN; r += STRIDE) {
        int c = column0 + r;
        bool any = inside && c < a.outputs;
        copy16(&shared.data[buffer][BM + r][k],
               any ? a.w + static_cast<i64>(c) * a.w_stride + i : a.w, any ? 16 : 0);
      }
    } else {
      static_assert(THREADS % kDepth == 0, "a thread stays in one column");
      int k = tid % kDepth, i = step * kDepth + k;
      bool inside = i < depth;
      if (inside && in_index) i = in_index[i];
      for (int r = tid / kDepth; r < ROWS; r += THREADS / kDepth) {
        const float *from = row(r);
        bool any = inside && from;
        copy4(&shared.data[buffer][r][k], any ? from + i : a.w, any ? 4 : 0);
      }
    }
    copy_commit();
  }

  // body(k, x, w, j): x[plane][m] and w hold inputs k .. k+3 of the thread's rows and of its column
  // j; fold() runs after every 64 inputs.
  template <class Body, class Fold>
  __device__ __forceinline__ void run(Body body, Fold fold) {
    int steps = ceil_div(depth, kDepth);
    if (steps == 0) return;
    load(0, 0);
    for (int step = 0; step < steps; ++step) {
      if (step + 1 < steps) {
        load(step + 1, (step + 1) & 1);
        copy_wait<1>();
      } else {
        copy_wait<0>();
      }
      __syncthreads();
      const float (*data)[kPitch] = shared.data[step & 1];
#pragma unroll 1  // short enough for the instruction cache, long enough to hide its own overhead
      for (int k = 0; k < kDepth; k += 4) {
        float4 x[PLANES][TM];
#pragma unroll
        for (int plane = 0; plane < PLANES; ++plane)
#pragma unroll
          for (int m = 0; m < TM; ++m)
            x[plane][m] = *reinterpret_cast<const float4 *>(&data[plane * BM + ty + m * TY][k]);
#pragma unroll
        for (int j = 0; j < TN; ++j) {
          float4 w = *reinterpret_cast<const float4 *>(&data[PLANES * BM + tx + j * TX][k]);
          body(step * kDepth + k, x, w, j);
        }
      }
      if ((step & 3) == 3) fold();
      __syncthreads();
    }
    fold();
  }

  // each(b, o, m, j) for every output of this thread.
  template <class Each>
  __device__ __forceinline__ void outputs(Each each) {
#pragma unroll
    for (int m = 0; m < TM; ++m)
#pragma unroll
      for (int j = 0; j < TN; ++j) {
        int row = ty + m * TY, o = shared.column[tx + j * TX];
        if (row < rows.count && o >= 0) each(rows.begin + row, o, m, j);
      }
  }

  // The same as a loop, for rare and long bodies that use no register array.
  template <class Each>
  __device__ __forceinline__ void each_output(Each each) {
#pragma unroll 1
    for (int q = 0; q < TM * TN; ++q) {
      int row = ty + q / TN * TY, o = shared.column[tx + q % TN * TX];
      if (row < rows.count && o >= 0) each(rows.begin + row, o);
    }
  }
};

// The tiles of the l_p kernels: 32 outputs per thread, 64 x 64 or (gathering, the rows being the 32
// samples of a mask group) 32 x 128 per block. Four warps, one for each scheduler of a
// multiprocessor, so that blocks are the only grain of the load balance.
using DenseTile = Tile<4, 8, 8, 16, true>;
using DenseGather = Tile<4, 8, 16, 8, false>;

// An output's place in [B, O].
__device__ __forceinline__ i64 place(const LayerArgs &a, int b, int o) {
  return static_cast<i64>(b) * a.y_stride + o;
}

}  // namespace sn
