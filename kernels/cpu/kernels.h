// The face between the argument checks (abi.cpp) and the kernels of one instruction set.
// Arguments that arrive here are valid.
#ifndef SORTNET_CPU_KERNELS_H
#define SORTNET_CPU_KERNELS_H

#include "sortnet.h"

namespace sortnet {

struct LpForward {
  sn_layer layer;
  sn_masks masks; // null pointers: all kept; group >= 1
  float p;
  const float *x;
  int64_t x_stride;
  float *y;
  int64_t y_stride;
  const sn_executor *ex;
};

struct LpBackward {
  sn_layer layer;
  sn_masks masks;
  float p;
  const float *x;
  int64_t x_stride;
  const float *y;
  int64_t y_stride;
  const float *dy;
  int64_t dy_stride;
  float *dx; // or null
  int64_t dx_stride;
  float *dw; // or null
  int64_t dw_stride;
  const sn_executor *ex;
};

struct SortForward {
  sn_layer layer;
  sn_coefficients coef;
  const float *x;
  int64_t x_stride;
  float *y;
  int64_t y_stride;
  const sn_executor *ex;
};

struct SortBackward {
  sn_layer layer;
  sn_coefficients coef;
  const float *x;
  int64_t x_stride;
  const float *dy;
  int64_t dy_stride;
  float *dx; // or null
  int64_t dx_stride;
  float *dw; // or null
  int64_t dw_stride;
  float *dcoef; // or null
  const sn_executor *ex;
};

// Bounds of the l_p norm (coef.data null) or of the sorted sum.
struct Bounds {
  sn_layer layer;
  float p;
  sn_coefficients coef;
  const float *lower, *upper;
  int64_t x_stride;
  float *y_lower, *y_upper;
  int64_t y_stride;
  const sn_executor *ex;
};

struct Kernels {
  const char *name;
  size_t (*packed_bytes)(int64_t outputs, int64_t inputs);
  void (*pack)(const float *w, int64_t w_stride, int64_t outputs, int64_t inputs, float *packed);
  sn_status (*lp_forward)(const LpForward &);
  sn_status (*lp_backward)(const LpBackward &);
  sn_status (*sort_forward)(const SortForward &);
  sn_status (*sort_backward)(const SortBackward &);
  sn_status (*lp_bounds)(const Bounds &);
  sn_status (*sort_bounds)(const Bounds &);
  double (*ceiling)(int32_t power, const sn_executor *ex, int64_t threads);
};

// Those that this build has; a processor may have fewer.
#if defined(__x86_64__)
extern const Kernels avx512_kernels;
extern const Kernels avx2_kernels;
#endif
extern const Kernels generic_kernels;

} // namespace sortnet

#endif
