// The arguments of the kernels, laid out alike for the host compiler and the device compiler.
// Device code is compiled at run time without a standard library: only built-in types.
#pragma once

namespace sn {

using i64 = long long;

// Rows of the batch are handled in tiles of at most `rows_per_tile` consecutive samples that lie in
// one mask group. Without masks the whole batch is one group.
struct Rows {
  int batch, group;
  int first;  // the first tile of this launch (in tiles)
};

// One layer's operands. The index lists are those of `mask_index`; null: all kept, in order.
struct LayerArgs {
  const float *x;   // [B, I]; the lower bounds in the kernels of intervals
  const float *x2;  // [B, I] the upper bounds
  i64 x_stride;
  const float *w;  // [O, I]
  i64 w_stride;
  int inputs, outputs;
  Rows rows;
  const int *in_index, *in_count;    // [G, I], [G]: kept inputs of each group, ascending
  const int *out_index, *out_count;  // [G, O], [G]
  const unsigned char *invalid;      // [B]: rows of intervals that are empty or NaN
  float *y, *y2;                     // [B, O]; y2: the upper bounds
  i64 y_stride;
};

struct PowerArgs {
  float p;
  float cut;  // ratios up to this one add less than rounding: their power is not computed
};

struct PrepareArgs {
  const float *y, *dy;
  i64 y_stride, dy_stride;
  int outputs;
  Rows rows;
  const unsigned char *out_mask;  // [G, O] or null
  float *inverse, *factor;        // [O, tiles * 32]: 1 / y and dy, 0 where nothing flows
  unsigned char *live;            // [O, tiles]: does anything flow to this tile of samples?
  int tiles;
};

struct BackwardArgs {
  const float *x, *w;
  i64 x_stride, w_stride;
  int inputs, outputs;
  Rows rows;
  const unsigned char *in_mask;  // [G, I] or null
  const float *inverse, *factor;
  const unsigned char *live;
  int tiles;
  int chunk;  // outputs per block
  float *dx;  // [chunks, 256, I] partial sums, or null
  float *dw;  // [O, I] or null
  i64 dw_stride;
  int add;  // dw is added to, not overwritten
};

// One selected input of one output: (index << 1 | x < w), or -1 for none; [rows, O, K].
struct SparseArgs {
  const float *x, *w;
  i64 x_stride, w_stride;
  int inputs, outputs, count;  // count = K
  int rows;                    // samples of this part of the batch
  const int *code;
  const float *coef;  // null: 1
  i64 coef_stride;
  const float *dy;
  i64 dy_stride;
  float *out;
  i64 out_stride;
  int add;
};

struct CoefArgs {
  const float *coef;
  i64 coef_stride;
  int count;
  int *code;  // [rows, O, K] or null
  float
      *values;  // [rows, O, max(1, K)], or twice that for bounds: scratch of the kernels for any K
};

}  // namespace sn
