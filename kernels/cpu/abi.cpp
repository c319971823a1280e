// sortnet.h: argument checks and the choice of an instruction set. The kernels see valid arguments.
#include "../strict_float.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

#include "kernels.h"
#include "parallel.h"
#include "processor.h"

namespace {

using namespace sortnet;

// The best instruction set that the processor has, or the one that SORTNET_ISA asks for.
const Kernels &choose() {
  const Kernels *available[3];
  int n = 0;
#if defined(__x86_64__)
  const Processor has = processor();
#if defined(SORTNET_EMULATED_AVX512)
  if (has.avx2) available[n++] = &avx512_kernels;
#else
  if (has.avx512) available[n++] = &avx512_kernels;
#endif
  if (has.avx2) available[n++] = &avx2_kernels;
#endif
  available[n++] = &generic_kernels;
  const char *forced = std::getenv("SORTNET_ISA");
  for (int i = 0; i < n && forced != nullptr; ++i) {
    if (std::strcmp(available[i]->name, forced) == 0) return *available[i];
  }
  return *available[0];
}

const Kernels &kernels() {
  static const Kernels &chosen = choose();
  return chosen;
}

// Whether a [rows, columns] matrix may be touched. An empty one may be null, and the stride of a
// single row has no meaning.
bool matrix(const void *data, int64_t rows, int64_t columns, int64_t stride) {
  if (rows == 0 || columns == 0) return true;
  return data != nullptr && (rows == 1 || stride >= columns);
}

bool valid(const sn_layer *l) {
  return l != nullptr && l->batch >= 0 && l->inputs >= 0 && l->outputs >= 0 &&
         matrix(l->w, l->outputs, l->inputs, l->w_stride);
}

bool valid(const sn_layer &l, const sn_coefficients *c) {
  return c != nullptr && c->count >= 0 && c->count <= l.inputs &&
         (c->stride == 0 || c->stride >= c->count) &&
         (c->count == 0 || l.outputs == 0 || c->data != nullptr);
}

bool valid_p(float p) { return p >= 1.0f; }

bool valid(const sn_masks *m) { return m == nullptr || m->group >= 1; }

sn_masks or_all_kept(const sn_masks *m) { return m != nullptr ? *m : sn_masks{nullptr, nullptr, 1}; }

bool valid_bounds(const sn_layer &l, const float *lower, const float *upper, int64_t x_stride,
                  const float *y_lower, const float *y_upper, int64_t y_stride) {
  return matrix(lower, l.batch, l.inputs, x_stride) && matrix(upper, l.batch, l.inputs, x_stride) &&
         matrix(y_lower, l.batch, l.outputs, y_stride) &&
         matrix(y_upper, l.batch, l.outputs, y_stride);
}

} // namespace

extern "C" {

const char *sn_status_message(sn_status status) {
  switch (status) {
    case SN_OK: return "ok";
    case SN_INVALID_ARGUMENT: return "invalid argument";
    case SN_OUT_OF_MEMORY: return "out of memory";
    case SN_UNSUPPORTED: return "not supported by this build or device";
    default: return "unknown status";
  }
}

int32_t sn_abi_version(void) { return SN_ABI_VERSION; }

const char *sn_isa(void) { return kernels().name; }

size_t sn_packed_bytes(int64_t outputs, int64_t inputs) {
  if (outputs <= 0 || inputs <= 0) return 0;
  return kernels().packed_bytes(outputs, inputs);
}

sn_status sn_pack(const float *w, int64_t w_stride, int64_t outputs, int64_t inputs,
                  void *packed) {
  if (outputs < 0 || inputs < 0 || !matrix(w, outputs, inputs, w_stride)) {
    return SN_INVALID_ARGUMENT;
  }
  if (outputs == 0 || inputs == 0) return SN_OK;
  if (packed == nullptr) return SN_INVALID_ARGUMENT;
  const DefinedMode mode;
  kernels().pack(w, w_stride, outputs, inputs, static_cast<float *>(packed));
  return SN_OK;
}

sn_status sn_lp_forward(const sn_layer *layer, const sn_masks *masks, float p, const float *x,
                        int64_t x_stride, float *y, int64_t y_stride, const sn_executor *ex) {
  if (!valid(layer) || !valid(masks) || !valid_p(p) ||
      !matrix(x, layer->batch, layer->inputs, x_stride) ||
      !matrix(y, layer->batch, layer->outputs, y_stride)) {
    return SN_INVALID_ARGUMENT;
  }
  if (layer->batch == 0 || layer->outputs == 0) return SN_OK;
  const DefinedMode mode;
  return kernels().lp_forward({*layer, or_all_kept(masks), p, x, x_stride, y, y_stride, ex});
}

sn_status sn_lp_backward(const sn_layer *layer, const sn_masks *masks, float p, const float *x,
                         int64_t x_stride, const float *y, int64_t y_stride, const float *dy,
                         int64_t dy_stride, float *dx, int64_t dx_stride, float *dw,
                         int64_t dw_stride, const sn_executor *ex) {
  if (!valid(layer) || !valid(masks) || !valid_p(p) ||
      !matrix(x, layer->batch, layer->inputs, x_stride) ||
      !matrix(y, layer->batch, layer->outputs, y_stride) ||
      !matrix(dy, layer->batch, layer->outputs, dy_stride) ||
      (dx != nullptr && !matrix(dx, layer->batch, layer->inputs, dx_stride)) ||
      (dw != nullptr && !matrix(dw, layer->outputs, layer->inputs, dw_stride))) {
    return SN_INVALID_ARGUMENT;
  }
  if (layer->inputs == 0) return SN_OK;
  const DefinedMode mode;
  return kernels().lp_backward({*layer, or_all_kept(masks), p, x, x_stride, y, y_stride, dy,
                                dy_stride, dx, dx_stride, dw, dw_stride, ex});
}

sn_status sn_geometric_coefficients(float rho, int64_t K, float *coef) {
  if (!(rho >= 0.0f && rho < 1.0f) || K < 1 || coef == nullptr) return SN_INVALID_ARGUMENT;
  const DefinedMode mode;
  if (K == 1 || rho == 0.0f) {
    coef[0] = 1.0f;
    for (int64_t k = 1; k < K; ++k) coef[k] = 0.0f;
    return SN_OK;
  }
  double sum = 0.0, r = 1.0;
  for (int64_t k = 0; k < K; ++k, r *= double(rho)) sum += r;
  r = 1.0;
  for (int64_t k = 0; k < K; ++k, r *= double(rho)) {
    const double exact = (r / sum) * (1.0 - 0x1p-40);
    float c = static_cast<float>(exact);
    if (double(c) > exact) c = std::nextafterf(c, 0.0f);
    coef[k] = c;
  }
  return SN_OK;
}

sn_status sn_sort_forward(const sn_layer *layer, const sn_coefficients *coef, const float *x,
                          int64_t x_stride, float *y, int64_t y_stride, const sn_executor *ex) {
  if (!valid(layer) || !valid(*layer, coef) || !matrix(x, layer->batch, layer->inputs, x_stride) ||
      !matrix(y, layer->batch, layer->outputs, y_stride)) {
    return SN_INVALID_ARGUMENT;
  }
  if (layer->batch == 0 || layer->outputs == 0) return SN_OK;
  const DefinedMode mode;
  return kernels().sort_forward({*layer, *coef, x, x_stride, y, y_stride, ex});
}

sn_status sn_sort_backward(const sn_layer *layer, const sn_coefficients *coef, const float *x,
                           int64_t x_stride, const float *dy, int64_t dy_stride, float *dx,
                           int64_t dx_stride, float *dw, int64_t dw_stride, float *dcoef,
                           const sn_executor *ex) {
  if (!valid(layer) || !valid(*layer, coef) || !matrix(x, layer->batch, layer->inputs, x_stride) ||
      !matrix(dy, layer->batch, layer->outputs, dy_stride) ||
      (dx != nullptr && !matrix(dx, layer->batch, layer->inputs, dx_stride)) ||
      (dw != nullptr && !matrix(dw, layer->outputs, layer->inputs, dw_stride))) {
    return SN_INVALID_ARGUMENT;
  }
  const DefinedMode mode;
  return kernels().sort_backward({*layer, *coef, x, x_stride, dy, dy_stride, dx, dx_stride, dw,
                                  dw_stride, dcoef, ex});
}

sn_status sn_lp_bounds(const sn_layer *layer, float p, const float *lower, const float *upper,
                       int64_t x_stride, float *y_lower, float *y_upper, int64_t y_stride,
                       const sn_executor *ex) {
  if (!valid(layer) || !valid_p(p) ||
      !valid_bounds(*layer, lower, upper, x_stride, y_lower, y_upper, y_stride)) {
    return SN_INVALID_ARGUMENT;
  }
  if (layer->batch == 0 || layer->outputs == 0) return SN_OK;
  const DefinedMode mode;
  return kernels().lp_bounds({*layer, p, {nullptr, 0, 0}, lower, upper, x_stride, y_lower, y_upper,
                              y_stride, ex});
}

sn_status sn_sort_bounds(const sn_layer *layer, const sn_coefficients *coef, const float *lower,
                         const float *upper, int64_t x_stride, float *y_lower, float *y_upper,
                         int64_t y_stride, const sn_executor *ex) {
  if (!valid(layer) || !valid(*layer, coef) ||
      !valid_bounds(*layer, lower, upper, x_stride, y_lower, y_upper, y_stride)) {
    return SN_INVALID_ARGUMENT;
  }
  if (layer->batch == 0 || layer->outputs == 0) return SN_OK;
  const DefinedMode mode;
  return kernels().sort_bounds({*layer, 0.0f, *coef, lower, upper, x_stride, y_lower, y_upper,
                                y_stride, ex});
}

double sn_ceiling(int32_t power, const sn_executor *ex, int64_t threads) {
  return threads >= 1 ? kernels().ceiling(power, ex, threads) : 0.0;
}

} // extern "C"
