// sortnet_cuda.h: checks arguments, chooses kernels and launches them.
#include "../strict_float.h"

#include "sortnet_cuda.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

#include "device/args.h"
#include "program.h"

namespace {

using namespace sn;

thread_local std::string last_error = "no error";

template <class Body>
sn_status guarded(Body body) {
  try {
    body();
    return SN_OK;
  } catch (const Failure &f) {
    last_error = f.message;
    return f.status;
  } catch (const std::exception &e) {
    last_error = e.what();
    return SN_OUT_OF_MEMORY;
  }
}

void require(bool condition, const char *message) {
  if (!condition) throw Failure{SN_INVALID_ARGUMENT, message};
}

// Device memory of one call, in the order of its stream.
class Scratch {
 public:
  explicit Scratch(void *stream) : stream_(stream) {}
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  ~Scratch() {
    for (uint64_t p : held_) driver().free(p, stream_);
  }
  template <class T>
  T *get(i64 count) {
    uint64_t p = 0;
    held_.reserve(held_.size() + 1);
    check(driver().alloc(&p, static_cast<size_t>(std::max<i64>(count, 1)) * sizeof(T),
                         memory_pool(), stream_),
          "scratch memory on the device");
    held_.push_back(p);
    return reinterpret_cast<T *>(p);
  }

 private:
  void *stream_;
  std::vector<uint64_t> held_;
};

struct Grid {
  i64 x, y;
};

template <class... A>
void launch(Variant variant, const char *name, Grid grid, unsigned threads, void *stream,
            A... arguments) {
  if (grid.x == 0 || grid.y == 0) return;
  require(grid.x <= 0x7fffffff && grid.y <= 0xffff,
          "a layer of this size is not supported on GPUs");
  void *parameters[] = {&arguments...};
  check(driver().launch(kernel(variant, name), unsigned(grid.x), unsigned(grid.y), 1, threads, 1, 1,
                        0, stream, parameters, nullptr),
        name);
}

i64 ceil_div(i64 a, i64 b) { return (a + b - 1) / b; }
uint64_t address(const void *p) { return reinterpret_cast<uint64_t>(p); }

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr Variant kBase{0, 0};
constexpr i64 kScratch =
    i64(1) << 25;            // elements of scratch memory that one part of a batch may use
constexpr int kSmallK = 16;  // more order statistics than that do not fit registers

// The tiles of the kernels, as their files declare them: rows, columns, threads.
struct Shape {
  int rows, columns;
  unsigned threads;
};
constexpr Shape kDense{64, 64, 128}, kDenseGather{32, 128, 128};  // tile.cuh
constexpr Shape kSort{32, 32, 128}, kSortSelect{32, 32, 256}, kSortBounds{16, 32, 256};  // sort.cuh
constexpr Shape kMaxBounds{32, 64, 128}, kPowerBounds{16, 32, 128};                      // base.cuh

bool matrix(const void *data, i64 rows, i64 columns, i64 stride) {
  if (rows == 0 || columns == 0) return true;
  return data != nullptr && (rows == 1 || stride >= columns);
}

void validate(const sn_layer *l) {
  constexpr i64 most = 0x3fffffff;  // indices are 31 bits with a sign beside
  require(l != nullptr && l->batch >= 0 && l->inputs >= 0 && l->outputs >= 0,
          "the layer's sizes must not be negative");
  require(l->batch <= most && l->inputs <= most && l->outputs <= most, "the layer is too large");
  require(matrix(l->w, l->outputs, l->inputs, l->w_stride), "w must be [O, I] with w_stride >= I");
  require(l->packed == nullptr, "packed weights are for CPUs");
}
void validate_matrix(const char *what, const void *data, i64 rows, i64 columns, i64 stride) {
  require(matrix(data, rows, columns, stride), what);
}
void validate_p(float p) { require(p >= 1.0f, "p must be in [1, inf]"); }
void validate(const sn_layer &l, const sn_coefficients *c) {
  require(c != nullptr && c->count >= 0 && c->count <= l.inputs &&
              (c->stride == 0 || c->stride >= c->count) &&
              (c->count == 0 || l.outputs == 0 || c->data != nullptr),
          "coefficients must be [K] or [O, K] with K <= I");
}

// An address that tells the device: matrices without elements may be null.
const void *any_of(std::initializer_list<const void *> addresses) {
  for (const void *address : addresses)
    if (address != nullptr) return address;
  return nullptr;
}

LayerArgs layer_args(const sn_layer &l, const float *x, i64 x_stride, float *y, i64 y_stride) {
  LayerArgs a{};
  a.x = x;
  a.x_stride = x_stride;
  a.w = l.w;
  a.w_stride = l.w_stride;
  a.inputs = int(l.inputs);
  a.outputs = int(l.outputs);
  a.rows = {int(l.batch), int(std::max<i64>(l.batch, 1)), 0};
  a.y = y;
  a.y_stride = y_stride;
  return a;
}

// A part [b0, b0 + n) of the batch, starting at a group of the masks.
sn_masks mask_part(const sn_masks &m, const sn_layer &l, i64 b0) {
  sn_masks part = m;
  if (part.in != nullptr) part.in += b0 / m.group * l.inputs;
  if (part.out != nullptr) part.out += b0 / m.group * l.outputs;
  return part;
}

void index_masks(LayerArgs *a, const sn_masks &m, Scratch *scratch, void *stream) {
  if (m.in == nullptr && m.out == nullptr) return;
  a->rows.group = int(std::min<i64>(m.group, a->rows.batch));
  i64 groups = ceil_div(a->rows.batch, a->rows.group);
  auto list = [&](const uint8_t *mask, int columns, const int **index, const int **count) {
    if (mask == nullptr) return;
    int *i = scratch->get<int>(groups * columns), *n = scratch->get<int>(groups);
    launch(kBase, "sn_mask_index", {groups, 1}, 256, stream, mask, columns, i, n);
    *index = i;
    *count = n;
  };
  list(m.in, a->inputs, &a->in_index, &a->in_count);
  list(m.out, a->outputs, &a->out_index, &a->out_count);
}

// Whether the kernels that copy 16 bytes at a time apply.
bool vector_copies(const LayerArgs &a) {
  return a.in_index == nullptr && a.out_index == nullptr && a.inputs % 4 == 0 &&
         a.x_stride % 4 == 0 && a.w_stride % 4 == 0 && address(a.x) % 16 == 0 &&
         address(a.w) % 16 == 0;
}

i64 row_tiles(const LayerArgs &a, int rows_per_tile) {
  return ceil_div(a.rows.batch, a.rows.group) * ceil_div(a.rows.group, rows_per_tile);
}
Grid tiles(const LayerArgs &a, Shape s) {
  return {row_tiles(a, s.rows) * ceil_div(a.outputs, s.columns), 1};
}

template <class... A>
void launch_tiles(Variant v, const std::string &name, const LayerArgs &a, Shape vector,
                  Shape gather, void *stream, A... more) {
  if (vector_copies(a))
    launch(v, name.c_str(), tiles(a, vector), vector.threads, stream, a, more...);
  else
    launch(v, (name + "_gather").c_str(), tiles(a, gather), gather.threads, stream, a, more...);
}

// The program that computes powers of p: by multiplication where p is 2^k or 3 * 2^k. Beyond 64
// that is no faster than the exponential, which is skipped where it adds nothing.
Variant power_program(float p) {
  if (p <= 64.0f && p == std::floor(p)) {
    int odd = int(p);
    while (odd % 2 == 0) odd /= 2;
    if (odd == 1 || odd == 3) return {1, int(p)};
  }
  return {1, 0};
}
// The ratio whose power is 2^-bits, but below 1 by more than rounding.
float ratio_cut(float exponent, float bits) {
  if (!(exponent > 0.0f)) return 0.0f;
  return std::min(float(std::exp2(-double(bits) / exponent)), 1.0f - 0x1p-20f);
}

void lp_forward(const sn_layer &l, const sn_masks *masks, float p, const float *x, i64 x_stride,
                float *y, i64 y_stride, void *stream) {
  Scratch scratch(stream);
  LayerArgs a = layer_args(l, x, x_stride, y, y_stride);
  if (masks != nullptr) index_masks(&a, *masks, &scratch, stream);
  if (a.out_index != nullptr)
    check(driver().fill32_2d(address(y), size_t(std::max<i64>(y_stride, l.outputs)) * 4, 0,
                             size_t(l.outputs), size_t(l.batch), stream),
          "cuMemsetD2D32Async");
  Variant program = power_program(p);
  bool unscaled = program.parameter != 0 && p <= 8.0f;  // of lp.cuh
  if (!unscaled) launch_tiles(kBase, "sn_max_forward", a, kDense, kDenseGather, stream);
  if (p == kInf) return;
  float bits = 28.0f + std::ceil(std::log2(float(l.inputs) + 1.0f));
  PowerArgs power{p, ratio_cut(p, bits)};
  launch_tiles(program, "sn_power_forward", a, kDense, kDenseGather, stream, power);
}

// Gradients of outputs that select inputs: scatters what `code` lists.
void scatter(SparseArgs a, float *dx, i64 dx_stride, float *dw, i64 dw_stride, float *dcoef,
             void *stream) {
  constexpr int range = 2560;  // of base.cuh
  i64 ranges = ceil_div(a.inputs, range);
  bool add = a.add;
  if (dx != nullptr) {
    a.out = dx;
    a.out_stride = dx_stride;
    a.add = 0;
    launch(kBase, "sn_scatter_dx", {a.rows, ranges}, 128, stream, a);
  }
  a.add = add;
  if (dw != nullptr) {
    a.out = dw;
    a.out_stride = dw_stride;
    launch(kBase, "sn_scatter_dw", {a.outputs, ranges}, 128, stream, a);
  }
  if (dcoef != nullptr) {
    a.out = dcoef;
    launch(kBase, "sn_scatter_dcoef", {ceil_div(i64(a.outputs) * a.count, 128), 1}, 128, stream, a);
  }
}

void fill_zero(float *to, i64 rows, i64 columns, i64 stride, void *stream) {
  if (to == nullptr || rows == 0 || columns == 0) return;
  check(driver().fill32_2d(address(to), size_t(std::max(stride, columns)) * 4, 0, size_t(columns),
                           size_t(rows), stream),
        "cuMemsetD2D32Async");
}

void max_backward(const sn_layer &l, const sn_masks *masks, const float *x, i64 x_stride,
                  const float *y, i64 y_stride, const float *dy, i64 dy_stride, float *dx,
                  i64 dx_stride, float *dw, i64 dw_stride, void *stream) {
  i64 group = masks != nullptr ? masks->group : 1;
  i64 part = std::max<i64>(1, kScratch / l.outputs);
  part = std::max<i64>(group, part / group * group);
  for (i64 b0 = 0; b0 < l.batch; b0 += part) {
    Scratch scratch(stream);
    sn_layer some = l;
    some.batch = std::min<i64>(part, l.batch - b0);
    LayerArgs a = layer_args(some, x + b0 * x_stride, x_stride,
                             const_cast<float *>(y) + b0 * y_stride, y_stride);
    if (masks != nullptr) index_masks(&a, mask_part(*masks, l, b0), &scratch, stream);
    int *code = scratch.get<int>(some.batch * l.outputs);
    check(driver().fill8(address(code), 0xff, size_t(some.batch * l.outputs) * 4, stream),
          "cuMemsetD8Async");
    launch_tiles(kBase, "sn_max_select", a, kDense, kDenseGather, stream, code);
    SparseArgs s{
        a.x,  a.w,     a.x_stride, a.w_stride,          a.inputs,  a.outputs, 1, int(some.batch),
        code, nullptr, 0,          dy + b0 * dy_stride, dy_stride, nullptr,   0, b0 > 0};
    scatter(s, dx != nullptr ? dx + b0 * dx_stride : nullptr, dx_stride, dw, dw_stride, nullptr,
            stream);
  }
}

void power_backward(const sn_layer &l, const sn_masks *masks, float p, const float *x, i64 x_stride,
                    const float *y, i64 y_stride, const float *dy, i64 dy_stride, float *dx,
                    i64 dx_stride, float *dw, i64 dw_stride, void *stream) {
  constexpr i64 warps = 8, inputs = 64, step = 4, samples = 32;  // of lp.cuh
  LayerArgs a = layer_args(l, x, x_stride, nullptr, 0);
  if (masks != nullptr && (masks->in != nullptr || masks->out != nullptr))
    a.rows.group = int(std::min<i64>(masks->group, l.batch));
  Variant program = power_program(p);
  PowerArgs power{p, ratio_cut(p - 1.0f, 40.0f)};
  i64 all = row_tiles(a, samples), input_tiles = ceil_div(l.inputs, inputs);
  // Chunks of outputs depend on the layer's shape only: they decide the order of the sums.
  i64 chunks = std::clamp<i64>(640 / std::max<i64>(input_tiles, 1), 1, 16);
  i64 chunk = ceil_div(ceil_div(std::max<i64>(l.outputs, 1), chunks), step) * step;
  chunks = ceil_div(l.outputs, chunk);
  Scratch scratch(stream);
  i64 most = std::min(all, warps) * samples;
  PrepareArgs prepare{};
  prepare.y = y;
  prepare.dy = dy;
  prepare.y_stride = y_stride;
  prepare.dy_stride = dy_stride;
  prepare.outputs = a.outputs;
  prepare.out_mask = masks != nullptr ? masks->out : nullptr;
  prepare.inverse = scratch.get<float>(l.outputs * most);
  prepare.factor = scratch.get<float>(l.outputs * most);
  prepare.live = scratch.get<unsigned char>(l.outputs * warps);
  BackwardArgs back{};
  back.x = x;
  back.w = l.w;
  back.x_stride = x_stride;
  back.w_stride = l.w_stride;
  back.inputs = a.inputs;
  back.outputs = a.outputs;
  back.in_mask = masks != nullptr ? masks->in : nullptr;
  back.inverse = prepare.inverse;
  back.factor = prepare.factor;
  back.live = prepare.live;
  back.chunk = int(chunk);
  back.dx = dx != nullptr
                ? scratch.get<float>(std::max<i64>(chunks, 1) * warps * samples * l.inputs)
                : nullptr;
  back.dw = dw;
  back.dw_stride = dw_stride;
  for (i64 first = 0; first < all; first += warps) {
    prepare.rows = back.rows = a.rows;
    prepare.rows.first = back.rows.first = int(first);
    prepare.tiles = back.tiles = int(std::min(warps, all - first));
    back.add = first > 0;
    launch(program, "sn_power_prepare", {prepare.tiles, ceil_div(l.outputs, 32)}, 256, stream,
           prepare);
    launch(program, "sn_power_backward", {input_tiles, chunks}, 256, stream, back, power);
    if (dx != nullptr)
      launch(program, "sn_power_dx", {prepare.tiles * samples, 1}, 256, stream, back, int(chunks),
             dx, dx_stride);
  }
}

// Parts of a batch for the kernels that need `per_row` elements of scratch memory per sample.
template <class Part>
void in_parts(i64 batch, i64 per_row, Part part) {
  i64 rows = std::max<i64>(1, kScratch / std::max<i64>(per_row, 1));
  for (i64 b0 = 0; b0 < batch; b0 += rows) part(b0, std::min(rows, batch - b0));
}

CoefArgs coef_args(const sn_coefficients &c) {
  CoefArgs a{};
  a.coef = c.data;
  a.coef_stride = c.stride;
  a.count = int(c.count);
  return a;
}

// Queues the kernel for any K over parts of the batch. `sides`: lists per output.
void sort_any(const char *name, LayerArgs a, CoefArgs c, i64 batch, i64 sides, void *stream) {
  i64 per_row = a.outputs * std::max<i64>(1, c.count) * sides;
  in_parts(batch, per_row, [&](i64 b0, i64 n) {
    Scratch scratch(stream);
    LayerArgs p = a;
    CoefArgs q = c;
    p.x += b0 * a.x_stride;
    if (p.x2 != nullptr) p.x2 += b0 * a.x_stride;
    if (p.y != nullptr) p.y += b0 * a.y_stride;
    if (p.y2 != nullptr) p.y2 += b0 * a.y_stride;
    if (p.invalid != nullptr) p.invalid += b0;
    if (c.code == nullptr) q.values = scratch.get<float>(n * per_row);
    launch(kBase, name, {n * a.outputs, 1}, 128, stream, p, q);
  });
}

void sort_forward(const sn_layer &l, const sn_coefficients &coef, const float *x, i64 x_stride,
                  float *y, i64 y_stride, void *stream) {
  LayerArgs a = layer_args(l, x, x_stride, y, y_stride);
  CoefArgs c = coef_args(coef);
  if (coef.count >= 1 && coef.count <= kSmallK)
    launch_tiles({2, int(coef.count)}, "sn_sort_forward", a, kSort, kSort, stream, c);
  else
    sort_any("sn_sort_any", a, c, l.batch, 1, stream);
}

void sort_backward(const sn_layer &l, const sn_coefficients &coef, const float *x, i64 x_stride,
                   const float *dy, i64 dy_stride, float *dx, i64 dx_stride, float *dw,
                   i64 dw_stride, float *dcoef, void *stream) {
  in_parts(l.batch, l.outputs * coef.count, [&](i64 b0, i64 n) {
    Scratch scratch(stream);
    sn_layer some = l;
    some.batch = n;
    LayerArgs a = layer_args(some, x + b0 * x_stride, x_stride, nullptr, 0);
    CoefArgs c = coef_args(coef);
    c.code = scratch.get<int>(n * l.outputs * coef.count);
    if (coef.count <= kSmallK)
      launch({2, int(coef.count)}, "sn_sort_select", tiles(a, kSortSelect), kSortSelect.threads,
             stream, a, c);
    else
      sort_any("sn_sort_any", a, c, n, 1, stream);
    SparseArgs s{a.x,       a.w,     a.x_stride, a.w_stride, a.inputs,      a.outputs,
                 c.count,   int(n),  c.code,     c.coef,     c.coef_stride, dy + b0 * dy_stride,
                 dy_stride, nullptr, 0,          b0 > 0};
    scatter(s, dx != nullptr ? dx + b0 * dx_stride : nullptr, dx_stride, dw, dw_stride, dcoef,
            stream);
  });
}

LayerArgs bounds_args(const sn_layer &l, const float *lower, const float *upper, i64 x_stride,
                      float *y_lower, float *y_upper, i64 y_stride, Scratch *scratch,
                      void *stream) {
  LayerArgs a = layer_args(l, lower, x_stride, y_lower, y_stride);
  a.x2 = upper;
  a.y2 = y_upper;
  unsigned char *invalid = scratch->get<unsigned char>(l.batch);
  launch(kBase, "sn_check_rows", {l.batch, 1}, 128, stream, lower, upper, x_stride, int(l.inputs),
         invalid);
  a.invalid = invalid;
  return a;
}

void validate_bounds(const sn_layer &l, const float *lower, const float *upper, i64 x_stride,
                     const float *y_lower, const float *y_upper, i64 y_stride) {
  validate_matrix("lower must be [B, I] with x_stride >= I", lower, l.batch, l.inputs, x_stride);
  validate_matrix("upper must be [B, I] with x_stride >= I", upper, l.batch, l.inputs, x_stride);
  validate_matrix("y_lower must be [B, O] with y_stride >= O", y_lower, l.batch, l.outputs,
                  y_stride);
  validate_matrix("y_upper must be [B, O] with y_stride >= O", y_upper, l.batch, l.outputs,
                  y_stride);
}

}  // namespace

extern "C" {

int32_t sn_cuda_abi_version(void) { return SN_ABI_VERSION; }

const char *sn_cuda_last_error(void) { return last_error.c_str(); }

sn_status sn_cuda_set_nvrtc(const char *library) {
  return guarded([&] { set_nvrtc(library); });
}

sn_status sn_cuda_available(void) {
  return guarded([] { driver(); });
}

sn_status sn_cuda_prepare(float p, int64_t K) {
  return guarded([&] {
    validate_p(p);
    require(K >= 0, "K must not be negative");
    // All that a layer may need, so that nothing is loaded while a CUDA graph is captured.
    for (const char *name :
         {"sn_mask_index", "sn_max_forward", "sn_max_forward_gather", "sn_max_select",
          "sn_max_select_gather", "sn_scatter_dx", "sn_scatter_dw", "sn_scatter_dcoef",
          "sn_check_rows", "sn_max_bounds", "sn_power_bounds", "sn_sort_any", "sn_sort_bounds_any"})
      kernel(kBase, name);
    if (p != kInf)
      for (const char *name : {"sn_power_forward", "sn_power_forward_gather", "sn_power_prepare",
                               "sn_power_backward", "sn_power_dx"})
        kernel(power_program(p), name);
    if (K >= 1 && K <= kSmallK)
      for (const char *name :
           {"sn_sort_forward", "sn_sort_forward_gather", "sn_sort_select", "sn_sort_bounds"})
        kernel({2, int(K)}, name);
    memory_pool();
  });
}

sn_status sn_cuda_store(const void *host, size_t bytes, const void *beside, void **device) {
  return guarded([&] {
    require(device != nullptr && (bytes == 0 || host != nullptr), "store needs data and a place");
    DeviceGuard guard(beside);
    uint64_t p = 0;
    check(driver().alloc_now(&p, std::max<size_t>(bytes, 1)), "memory for constants");
    int result = bytes == 0 ? 0 : driver().copy_to(p, host, bytes);
    // The copy returns when the host's memory has been read, and streams that do not wait for the
    // default one could come before it.
    if (result == 0) result = driver().synchronize(nullptr);
    if (result != 0) driver().free_now(p);
    check(result, "copying constants to the device");
    *device = reinterpret_cast<void *>(p);
  });
}

sn_status sn_cuda_drop(void *device) {
  return guarded([&] {
    if (device == nullptr) return;
    DeviceGuard guard(device);
    check(driver().free_now(address(device)), "freeing constants");
  });
}

sn_status sn_cuda_lp_forward(const sn_layer *layer, const sn_masks *masks, float p, const float *x,
                             int64_t x_stride, float *y, int64_t y_stride, void *stream) {
  return guarded([&] {
    validate(layer);
    validate_p(p);
    require(masks == nullptr || masks->group >= 1, "the group of the masks must be at least 1");
    validate_matrix("x must be [B, I] with x_stride >= I", x, layer->batch, layer->inputs,
                    x_stride);
    validate_matrix("y must be [B, O] with y_stride >= O", y, layer->batch, layer->outputs,
                    y_stride);
    if (layer->batch == 0 || layer->outputs == 0) return;
    DeviceGuard guard(y);
    lp_forward(*layer, masks, p, x, x_stride, y, y_stride, stream);
  });
}

sn_status sn_cuda_lp_backward(const sn_layer *layer, const sn_masks *masks, float p, const float *x,
                              int64_t x_stride, const float *y, int64_t y_stride, const float *dy,
                              int64_t dy_stride, float *dx, int64_t dx_stride, float *dw,
                              int64_t dw_stride, void *stream) {
  return guarded([&] {
    validate(layer);
    validate_p(p);
    const sn_layer &l = *layer;
    require(masks == nullptr || masks->group >= 1, "the group of the masks must be at least 1");
    validate_matrix("x must be [B, I] with x_stride >= I", x, l.batch, l.inputs, x_stride);
    validate_matrix("y must be [B, O] with y_stride >= O", y, l.batch, l.outputs, y_stride);
    validate_matrix("dy must be [B, O] with dy_stride >= O", dy, l.batch, l.outputs, dy_stride);
    if (dx != nullptr)
      validate_matrix("dx must be [B, I] with dx_stride >= I", dx, l.batch, l.inputs, dx_stride);
    if (dw != nullptr)
      validate_matrix("dw must be [O, I] with dw_stride >= I", dw, l.outputs, l.inputs, dw_stride);
    if (l.inputs == 0) return;
    DeviceGuard guard(any_of({x, l.w, dx, dw}));
    if (l.batch == 0 || l.outputs == 0) {
      fill_zero(dx, l.batch, l.inputs, dx_stride, stream);
      fill_zero(dw, l.outputs, l.inputs, dw_stride, stream);
    } else if (p == kInf) {
      max_backward(l, masks, x, x_stride, y, y_stride, dy, dy_stride, dx, dx_stride, dw, dw_stride,
                   stream);
    } else {
      power_backward(l, masks, p, x, x_stride, y, y_stride, dy, dy_stride, dx, dx_stride, dw,
                     dw_stride, stream);
    }
  });
}

sn_status sn_cuda_sort_forward(const sn_layer *layer, const sn_coefficients *coef, const float *x,
                               int64_t x_stride, float *y, int64_t y_stride, void *stream) {
  return guarded([&] {
    validate(layer);
    validate(*layer, coef);
    validate_matrix("x must be [B, I] with x_stride >= I", x, layer->batch, layer->inputs,
                    x_stride);
    validate_matrix("y must be [B, O] with y_stride >= O", y, layer->batch, layer->outputs,
                    y_stride);
    if (layer->batch == 0 || layer->outputs == 0) return;
    DeviceGuard guard(y);
    sort_forward(*layer, *coef, x, x_stride, y, y_stride, stream);
  });
}

sn_status sn_cuda_sort_backward(const sn_layer *layer, const sn_coefficients *coef, const float *x,
                                int64_t x_stride, const float *dy, int64_t dy_stride, float *dx,
                                int64_t dx_stride, float *dw, int64_t dw_stride, float *dcoef,
                                void *stream) {
  return guarded([&] {
    validate(layer);
    validate(*layer, coef);
    const sn_layer &l = *layer;
    validate_matrix("x must be [B, I] with x_stride >= I", x, l.batch, l.inputs, x_stride);
    validate_matrix("dy must be [B, O] with dy_stride >= O", dy, l.batch, l.outputs, dy_stride);
    if (dx != nullptr)
      validate_matrix("dx must be [B, I] with dx_stride >= I", dx, l.batch, l.inputs, dx_stride);
    if (dw != nullptr)
      validate_matrix("dw must be [O, I] with dw_stride >= I", dw, l.outputs, l.inputs, dw_stride);
    DeviceGuard guard(any_of({x, l.w, dx, dw, dcoef}));
    if (l.batch == 0 || l.outputs == 0 || coef->count == 0) {
      fill_zero(dx, l.batch, l.inputs, dx_stride, stream);
      fill_zero(dw, l.outputs, l.inputs, dw_stride, stream);
      fill_zero(dcoef, l.outputs, coef->count, coef->count, stream);
    } else {
      sort_backward(l, *coef, x, x_stride, dy, dy_stride, dx, dx_stride, dw, dw_stride, dcoef,
                    stream);
    }
  });
}

sn_status sn_cuda_lp_bounds(const sn_layer *layer, float p, const float *lower, const float *upper,
                            int64_t x_stride, float *y_lower, float *y_upper, int64_t y_stride,
                            void *stream) {
  return guarded([&] {
    validate(layer);
    validate_p(p);
    const sn_layer &l = *layer;
    validate_bounds(l, lower, upper, x_stride, y_lower, y_upper, y_stride);
    if (l.batch == 0 || l.outputs == 0) return;
    DeviceGuard guard(y_lower);
    Scratch scratch(stream);
    LayerArgs a =
        bounds_args(l, lower, upper, x_stride, y_lower, y_upper, y_stride, &scratch, stream);
    launch(kBase, "sn_max_bounds", tiles(a, kMaxBounds), kMaxBounds.threads, stream, a);
    if (p == kInf) return;
    // Roundings of float64: the ratio, its power, the sum, the root and the products.
    double slack = ((double(p) + 4.0 + double(l.inputs)) / double(p) + 8.0) * 0x1p-52;
    launch(kBase, "sn_power_bounds", tiles(a, kPowerBounds), kPowerBounds.threads, stream, a,
           double(p), slack);
  });
}

sn_status sn_cuda_sort_bounds(const sn_layer *layer, const sn_coefficients *coef,
                              const float *lower, const float *upper, int64_t x_stride,
                              float *y_lower, float *y_upper, int64_t y_stride, void *stream) {
  return guarded([&] {
    validate(layer);
    validate(*layer, coef);
    const sn_layer &l = *layer;
    validate_bounds(l, lower, upper, x_stride, y_lower, y_upper, y_stride);
    if (l.batch == 0 || l.outputs == 0) return;
    DeviceGuard guard(y_lower);
    Scratch scratch(stream);
    LayerArgs a =
        bounds_args(l, lower, upper, x_stride, y_lower, y_upper, y_stride, &scratch, stream);
    CoefArgs c = coef_args(*coef);
    if (coef->count >= 1 && coef->count <= kSmallK)
      launch({2, int(coef->count)}, "sn_sort_bounds", tiles(a, kSortBounds), kSortBounds.threads,
             stream, a, c);
    else
      sort_any("sn_sort_bounds_any", a, c, l.batch, 2, stream);
  });
}

}  // extern "C"
