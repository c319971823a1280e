/* sortnet_cuda: the operations of sortnet.h on NVIDIA GPUs (compute capability 8.0 or later).
 *
 * Shapes, layouts, semantics and error codes are those of sortnet.h, with these differences:
 *   - Matrices, masks and coefficients are addresses on one device; sn_layer.packed must be null.
 *     Structures are read on the host. The work runs in the context that is current on the calling
 *     thread if it is of that device, else in the device's primary context (that of the CUDA runtime
 *     and of frameworks); the current context is afterwards what it was.
 *   - `stream` is a CUstream (cudaStream_t) of that context, null for the legacy default stream.
 *     Functions return when the work is queued. Scratch memory is taken and given back in stream order.
 *   - Bitwise equal to the CPU: l_inf, sorted sums and bounds of p = inf. l_p, 1 <= p < inf: relative
 *     error <= 4e-6. Gradients: each term dy (a / y)^(p-1) within p * 4e-7 of itself, plus 2^-40 |dy|
 *     (terms that small may be left out); y smaller than 1.2e-38 counts as 0. Bounds of finite p and
 *     of sorted sums enclose, but may differ from the CPU's in the last places.
 *   - Results do not depend on the device, the launch shape or the stream: no floating-point atomics.
 *   - SN_UNSUPPORTED: no driver, no device, or a device that is too old; sn_cuda_last_error says which.
 *   - SN_CUDA_FAILED: the driver or the run-time compiler reported an error, is too old or damaged.
 *
 * The library links to nothing of CUDA. It opens the driver (libcuda.so.1) when first used, and
 * compiles its kernels for the device with NVRTC, once: the result is kept under $SORTNET_CACHE_DIR,
 * else $XDG_CACHE_HOME/sortnet, else ~/.cache/sortnet.
 */
#ifndef SORTNET_CUDA_H
#define SORTNET_CUDA_H

#include "sortnet.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SN_CUDA_FAILED = 4 };

/* SN_ABI_VERSION of the library that was loaded. */
SN_API int32_t sn_cuda_abi_version(void);

/* What went wrong in the last call on this thread that did not return SN_OK: a sentence, never null. */
SN_API const char *sn_cuda_last_error(void);

/* Where NVRTC is (a path or a library name); null or never called: libnvrtc.so.13, then .12. Has an
 * effect until NVRTC is first needed. NVRTC in turn opens libnvrtc-builtins by name: load it before
 * where the system does not find it. */
SN_API sn_status sn_cuda_set_nvrtc(const char *library);

/* SN_OK if there is a driver and at least one device; SN_UNSUPPORTED if not. Needs no context. */
SN_API sn_status sn_cuda_available(void);

/* Compiles and loads the kernels for finite p (or those of p = inf, if p is infinite) and for K order
 * statistics in the current context now, rather than in the first call that needs them: before a CUDA
 * graph is captured, where loading is not allowed. */
SN_API sn_status sn_cuda_prepare(float p, int64_t K);

/* A copy of `bytes` bytes of host memory on the device of the current context (or of the primary one
 * of the device that holds `beside`, where none is current), for constants such as coefficients; waits
 * until it is there. sn_cuda_drop frees it (null: nothing to do) once the device is done with it. */
SN_API sn_status sn_cuda_store(const void *host, size_t bytes, const void *beside, void **device);
SN_API sn_status sn_cuda_drop(void *device);

SN_API sn_status sn_cuda_lp_forward(const sn_layer *layer, const sn_masks *masks, float p,
                                    const float *x, int64_t x_stride, float *y, int64_t y_stride,
                                    void *stream);
SN_API sn_status sn_cuda_lp_backward(const sn_layer *layer, const sn_masks *masks, float p,
                                     const float *x, int64_t x_stride, const float *y,
                                     int64_t y_stride, const float *dy, int64_t dy_stride, float *dx,
                                     int64_t dx_stride, float *dw, int64_t dw_stride, void *stream);
SN_API sn_status sn_cuda_sort_forward(const sn_layer *layer, const sn_coefficients *coef,
                                      const float *x, int64_t x_stride, float *y, int64_t y_stride,
                                      void *stream);
SN_API sn_status sn_cuda_sort_backward(const sn_layer *layer, const sn_coefficients *coef,
                                       const float *x, int64_t x_stride, const float *dy,
                                       int64_t dy_stride, float *dx, int64_t dx_stride, float *dw,
                                       int64_t dw_stride, float *dcoef, void *stream);
SN_API sn_status sn_cuda_lp_bounds(const sn_layer *layer, float p, const float *lower,
                                   const float *upper, int64_t x_stride, float *y_lower,
                                   float *y_upper, int64_t y_stride, void *stream);
SN_API sn_status sn_cuda_sort_bounds(const sn_layer *layer, const sn_coefficients *coef,
                                     const float *lower, const float *upper, int64_t x_stride,
                                     float *y_lower, float *y_upper, int64_t y_stride, void *stream);

#ifdef __cplusplus
}
#endif

#endif
