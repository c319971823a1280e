/* sortnet: the C ABI of the native kernels. The only face of this folder.
 *
 * Conventions
 *   - All matrices are float32, row-major, last dimension contiguous; `*_stride` is the distance in
 *     elements between two rows (>= the number of columns). Masks are bytes, 0 = dropped, else kept.
 *   - B = batch (>= 0), I = inputs (>= 0), O = outputs (>= 0). A neuron sees the absolute differences
 *     a_i = |x_i - w_i|, i = 0..I-1, computed in float32 (one rounding each).
 *   - a_(k) is the k-th largest of the a_i, k = 1..I. An order statistic of no inputs is 0.
 *   - Functions return SN_OK or an error code and never throw. Arguments are checked before anything
 *     else; nothing is written if they are invalid, and outputs are undefined after SN_OUT_OF_MEMORY.
 *     A matrix without elements may be null, and the stride of a single row has no meaning. NaN or infinite data is not an error: a NaN among
 *     the a_i makes that output NaN.
 *   - Results are bitwise the same for every executor, thread count and split of the batch into calls
 *     (exception: the weight gradients of a split batch are sums of the parts').
 *   - Thread-safe: the library holds no mutable state but per-thread scratch memory.
 */
#ifndef SORTNET_H
#define SORTNET_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define SN_API __declspec(dllexport)
#else
#define SN_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised by one at every incompatible change. */
#define SN_ABI_VERSION 1

typedef int32_t sn_status;
enum {
  SN_OK = 0,
  SN_INVALID_ARGUMENT = 1, /* a null pointer, negative size, stride < columns, p < 1 or NaN, K > I ... */
  SN_OUT_OF_MEMORY = 2,    /* scratch memory could not be had */
  SN_UNSUPPORTED = 3       /* not available in this build or on this device */
};

/* The message of a status code: a static string, never null. */
SN_API const char *sn_status_message(sn_status status);
/* SN_ABI_VERSION of the library that was loaded. */
SN_API int32_t sn_abi_version(void);
/* Instruction set in use: "avx512", "avx2" or "generic". The environment variable SORTNET_ISA, read
 * once, forces one of those that the processor has. */
SN_API const char *sn_isa(void);

/* The host brings the threads. parallel_for runs body(data, i) once for every i in [0, n), on any
 * threads in any order, and returns when all are done. A null executor runs on the calling thread. */
typedef struct sn_executor {
  void (*parallel_for)(void *host, int64_t n, void (*body)(void *data, int64_t index), void *data);
  void *host;
} sn_executor;

/* An executor over the GNU OpenMP pool that the process already has (torch's): `gomp_parallel` is the
 * address of GOMP_parallel, or null for threads of our own; `threads` >= 1 is the team size.
 * sn_pool_parallel_for takes the address of an sn_pool as host. */
typedef struct sn_pool {
  void *gomp_parallel;
  int32_t threads;
} sn_pool;
SN_API void sn_pool_parallel_for(void *host, int64_t n, void (*body)(void *data, int64_t index),
                                 void *data);

/* Weights rearranged once for the instruction set in use; opaque, position-independent, 64-byte
 * aligned. Every forward function takes either w alone (packed = null: rearranged on the fly, right
 * for a batch of training) or also packed (right for small batches and constant weights). Both
 * give bitwise the same result. */
SN_API size_t sn_packed_bytes(int64_t outputs, int64_t inputs);
SN_API sn_status sn_pack(const float *w, int64_t w_stride, int64_t outputs, int64_t inputs,
                         void *packed);

/* The operands that all layers share. */
typedef struct sn_layer {
  const float *w; /* [O, I] */
  int64_t w_stride;
  const void *packed; /* from sn_pack of the same w, or null */
  int64_t batch, inputs, outputs;
} sn_layer;

/* Random subsets of training. Samples g*group .. (g+1)*group-1 share row g of both masks;
 * there are ceil(B / group) rows. A dropped input takes no part in the aggregate; a dropped output is
 * not computed, its value is 0 and its gradient is ignored. Either pointer may be null: all kept. */
typedef struct sn_masks {
  const uint8_t *in;  /* [ceil(B/group), I], contiguous */
  const uint8_t *out; /* [ceil(B/group), O], contiguous */
  int64_t group;      /* >= 1 */
} sn_masks;

/* y[b, o] = || x[b, :] - w[o, :] ||_p over the kept inputs, p in [1, inf] (INFINITY: the maximum).
 * Scaled by the largest term, so that no power over- or underflows the result.
 * p = inf: exact order statistic (bit-equal to max of float32 |x - w|). Finite p: relative error
 * <= 2e-6 of the norm of the float32 differences. masks may be null. */
SN_API sn_status sn_lp_forward(const sn_layer *layer, const sn_masks *masks, float p, const float *x,
                               int64_t x_stride, float *y, int64_t y_stride, const sn_executor *ex);

/* Gradients of sn_lp_forward. y is its output, dy the gradient arriving there [B, O].
 * dx [B, I] and dw [O, I] are overwritten; either may be null (not wanted).
 * d y / d x_i = sign(x_i - w_i) (a_i / y)^(p-1), 0 where y = 0 or a_i / y is below 2^-126; for
 * p = inf: sign(x_i - w_i) at the first kept i with a_i = y, 0 elsewhere. */
SN_API sn_status sn_lp_backward(const sn_layer *layer, const sn_masks *masks, float p, const float *x,
                                int64_t x_stride, const float *y, int64_t y_stride, const float *dy,
                                int64_t dy_stride, float *dx, int64_t dx_stride, float *dw,
                                int64_t dw_stride, const sn_executor *ex);

/* The weights of the order statistics: coef[o * stride + k - 1] multiplies a_(k), k = 1..K,
 * 0 <= K <= I. stride 0: one row shared by all neurons; else stride >= K. Any sign. */
typedef struct sn_coefficients {
  const float *data;
  int64_t stride, count; /* count = K */
} sn_coefficients;

/* The truncated geometric series coef_k = (1 - rho) rho^(k-1) / (1 - rho^K), k = 1..K, rho in [0, 1),
 * K >= 1: r_1 = 1, r_k = r_(k-1) * rho and their sum s (k ascending) in float64; coef_k is the largest
 * float32 <= (r_k / s) * (1 - 2^-40) in float64, except K = 1 or rho = 0: (1, 0, ..., 0) exactly.
 * Hence the exact sum of the K floats is <= 1. */
SN_API sn_status sn_geometric_coefficients(float rho, int64_t K, float *coef);

/* y[b, o] = sum_{k=1..K} coef_k a_(k), summed from k = K down to k = 1 with one rounding per product
 * and one per sum (no fused multiply-add), so that it can be reproduced bit by bit. */
SN_API sn_status sn_sort_forward(const sn_layer *layer, const sn_coefficients *coef, const float *x,
                                 int64_t x_stride, float *y, int64_t y_stride, const sn_executor *ex);

/* Gradients of sn_sort_forward for dy [B, O]: dx [B, I], dw [O, I], dcoef [O, K] (contiguous, always
 * per neuron, also for a shared row), overwritten; any may be null. Ties are ranked by lower i first.
 * dx_i adds sign(x_i - w_i) dy coef_k over o and k, dw_i subtracts it over b, dcoef_k adds dy a_(k)
 * over b: ascending, with one rounding per product and one per sum. A difference of 0 or NaN has no
 * slope; NaN ranks as infinity. SN_UNSUPPORTED for 2^30 inputs or more. */
SN_API sn_status sn_sort_backward(const sn_layer *layer, const sn_coefficients *coef, const float *x,
                                  int64_t x_stride, const float *dy, int64_t dy_stride, float *dx,
                                  int64_t dx_stride, float *dw, int64_t dw_stride, float *dcoef,
                                  const sn_executor *ex);

/* Interval bounds: for real inputs x_i in [lower_i, upper_i] (lower <= upper, both [B, I]) every
 * value of the exact (real-number) neuron lies in [y_lower, y_upper]. Rounded outward: the bounds
 * enclose what exact arithmetic gives, and exceed it by a few units in the last place only.
 * Where lower_i > upper_i or anything is NaN: y_lower = -inf, y_upper = +inf. */
SN_API sn_status sn_lp_bounds(const sn_layer *layer, float p, const float *lower, const float *upper,
                              int64_t x_stride, float *y_lower, float *y_upper, int64_t y_stride,
                              const sn_executor *ex);
SN_API sn_status sn_sort_bounds(const sn_layer *layer, const sn_coefficients *coef,
                                const float *lower, const float *upper, int64_t x_stride,
                                float *y_lower, float *y_upper, int64_t y_stride,
                                const sn_executor *ex);

/* For benchmarks: (sample, input, output) triples a second that the inner instructions reach in
 * registers, without memory, on `threads` threads; of the maximum (power 0) or of p = 8 (power 8).
 * Takes some milliseconds. */
SN_API double sn_ceiling(int32_t power, const sn_executor *ex, int64_t threads);

#ifdef __cplusplus
}
#endif

#endif
