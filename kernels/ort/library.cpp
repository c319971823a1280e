// SortNeuron and SortNeuronBounds of the domain ai.sortnet as ONNX Runtime custom ops.
//   SortNeuron(X [B, I], W [O, I]; rho, k) -> Y [B, O]                   sn_sort_forward
//   SortNeuronBounds(L [B, I], U [B, I], W [O, I]; rho, k) -> lower, upper [B, O]  sn_sort_bounds
// The threads are ONNX Runtime's own; a constant W is packed once. No exception leaves a callback.
// On a machine with a GPU the same ops are registered for the CUDA execution provider as well, on the
// provider's stream.
#include "../strict_float.h"

#include <climits>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "gpu.h"
#include "ort_abi.h"
#include "sortnet.h"

namespace {

using ort::Table;

// Carries a status that ONNX Runtime made, to be handed back unchanged.
struct StatusError {
  ort::Status *status;
};

void check(ort::Status *status) {
  if (status) throw StatusError{status};
}

void check(sn_status status, const char *what) {
  if (status == SN_OUT_OF_MEMORY) throw std::bad_alloc();
  if (status != SN_OK) throw std::runtime_error(std::string(what) + ": " + sn_status_message(status));
}

// Runs body and turns whatever it throws into a status.
template <typename Body>
ort::Status *guarded(Table api, Body &&body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const StatusError &error) {
    return error.status;
  } catch (const std::invalid_argument &error) {
    return ort::CreateStatus::call(api, ort::kInvalidArgument, error.what());
  } catch (const std::bad_alloc &) {
    return ort::CreateStatus::call(api, ort::kFail, "ai.sortnet: out of memory");
  } catch (const std::exception &error) {
    return ort::CreateStatus::call(api, ort::kFail, error.what());
  } catch (...) {
    return ort::CreateStatus::call(api, ort::kFail, "ai.sortnet: unknown failure");
  }
}

struct Matrix {
  const float *data;
  int64_t rows, columns;
};

std::string describe(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

Matrix matrix(Table api, const ort::Value *value, const char *name) {
  ort::TensorInfo *info = nullptr;
  check(ort::GetTensorInfo::call(api, value, &info));
  size_t rank = 0;
  std::vector<int64_t> shape;
  ort::Status *status = ort::GetDimensionsCount::call(api, info, &rank);
  if (!status) {
    try {
      shape.resize(rank);
    } catch (...) {
      ort::ReleaseTensorInfo::call(api, info);
      throw;
    }
    status = ort::GetDimensions::call(api, info, shape.data(), rank);
  }
  ort::ReleaseTensorInfo::call(api, info);
  check(status);
  if (rank != 2)
    throw std::invalid_argument(std::string(name) + " must have 2 dimensions, got shape " +
                                describe(shape));
  void *data = nullptr;
  check(ort::GetTensorData::call(api, const_cast<ort::Value *>(value), &data));
  return {static_cast<const float *>(data), shape[0], shape[1]};
}

void same_shape(const Matrix &a, const char *a_name, const Matrix &b, const char *b_name) {
  if (a.rows != b.rows || a.columns != b.columns)
    throw std::invalid_argument(std::string(a_name) + " " + describe({a.rows, a.columns}) + " and " +
                                b_name + " " + describe({b.rows, b.columns}) +
                                " must have the same shape");
}

// The weights of one node: its coefficients and, where W is constant, W in packed form.
class Neurons {
 public:
  Neurons(Table api, uint32_t version, const ort::KernelInfo *info, size_t w_index, const char *op,
          bool pack)
      : api_(api), version_(version), op_(op), w_index_(w_index) {
    float rho = 0;
    int64_t k = 0;
    check(ort::GetAttributeFloat::call(api, info, "rho", &rho));
    check(ort::GetAttributeInt::call(api, info, "k", &k));
    if (!(rho >= 0 && rho < 1))
      throw std::invalid_argument(op_ + ": rho must be in [0, 1), got " + std::to_string(rho));
    if (k < 1 || k > INT32_MAX)
      throw std::invalid_argument(op_ + ": k must be at least 1, got " + std::to_string(k));
    coefficients_.resize(static_cast<size_t>(k));
    check(sn_geometric_coefficients(rho, k, coefficients_.data()), "coefficients");

    if (!pack) return;
    int constant = 0;
    const ort::Value *value = nullptr;
    check(ort::GetConstantInput::call(api, info, w_index, &constant, &value));
    if (constant && value) {
      const Matrix w = matrix(api, value, "W");
      check_k(w);
      const size_t bytes = sn_packed_bytes(w.rows, w.columns);
      if (bytes == 0) return;
      packed_.reset(::operator new(bytes, kCacheLine));
      check(sn_pack(w.data, w.columns, w.rows, w.columns, packed_.get()), "packing W");
    }
  }

  Matrix input(const ort::KernelContext *context, size_t index, const char *name) const {
    const ort::Value *value = nullptr;
    check(ort::GetInput::call(api_, context, index, &value));
    return matrix(api_, value, name);
  }

  float *output(ort::KernelContext *context, size_t index, int64_t rows, int64_t columns) const {
    const int64_t shape[2] = {rows, columns};
    ort::Value *value = nullptr;
    check(ort::GetOutput::call(api_, context, index, shape, 2, &value));
    void *data = nullptr;
    check(ort::GetTensorData::call(api_, value, &data));
    return static_cast<float *>(data);
  }

  sn_layer layer(const ort::KernelContext *context, const Matrix &x, const char *x_name) const {
    const Matrix w = input(context, w_index_, "W");
    if (x.columns != w.columns)
      throw std::invalid_argument(op_ + ": " + x_name + " has " + std::to_string(x.columns) +
                                  " features, W expects " + std::to_string(w.columns));
    check_k(w);
    return {w.data, w.columns, packed_.get(), x.rows, w.columns, w.rows};
  }

  sn_coefficients coefficients() const {
    return {coefficients_.data(), 0, static_cast<int64_t>(coefficients_.size())};
  }

  Table api() const { return api_; }
  bool parallel() const { return version_ >= ort::kParallelFor; }

 private:
  void check_k(const Matrix &w) const {
    if (static_cast<int64_t>(coefficients_.size()) > w.columns)
      throw std::invalid_argument(op_ + ": k = " + std::to_string(coefficients_.size()) +
                                  " is more than the " + std::to_string(w.columns) + " inputs");
  }

  static constexpr std::align_val_t kCacheLine{64};
  struct Free {
    void operator()(void *pointer) const { ::operator delete(pointer, kCacheLine); }
  };
  Table api_;
  uint32_t version_;
  std::string op_;
  size_t w_index_;
  std::vector<float> coefficients_;
  std::unique_ptr<void, Free> packed_;
};

// ONNX Runtime's thread pool as an executor.
struct Host {
  Table api;
  const ort::KernelContext *context;
};

struct Job {
  void (*body)(void *, int64_t);
  void *data;
};

void run_job(void *user, size_t index) {
  const Job *job = static_cast<const Job *>(user);
  job->body(job->data, static_cast<int64_t>(index));
}

void parallel_for(void *host, int64_t n, void (*body)(void *, int64_t), void *data) {
  if (n <= 0) return;
  const Host *h = static_cast<const Host *>(host);
  Job job{body, data};
  // It validates its arguments before it starts any work, so a status means that nothing ran.
  ort::Status *status =
      ort::ParallelFor::call(h->api, h->context, run_job, static_cast<size_t>(n), 0, &job);
  if (status) {
    ort::ReleaseStatus::call(h->api, status);
    for (int64_t i = 0; i < n; ++i) body(data, i);
  }
}

struct Forward {
  static constexpr const char *name = "SortNeuron";
  static constexpr size_t inputs = 2, outputs = 1;

  static void compute(const Neurons &neurons, ort::KernelContext *context, const sn_executor *ex) {
    const Matrix x = neurons.input(context, 0, "X");
    const sn_layer layer = neurons.layer(context, x, "X");
    const sn_coefficients coefficients = neurons.coefficients();
    float *y = neurons.output(context, 0, x.rows, layer.outputs);
    check(sn_sort_forward(&layer, &coefficients, x.data, x.columns, y, layer.outputs, ex), name);
  }
};

struct Bounds {
  static constexpr const char *name = "SortNeuronBounds";
  static constexpr size_t inputs = 3, outputs = 2;

  static void compute(const Neurons &neurons, ort::KernelContext *context, const sn_executor *ex) {
    const Matrix lower = neurons.input(context, 0, "L");
    const Matrix upper = neurons.input(context, 1, "U");
    same_shape(lower, "L", upper, "U");
    const sn_layer layer = neurons.layer(context, lower, "L");
    const sn_coefficients coefficients = neurons.coefficients();
    float *y_lower = neurons.output(context, 0, lower.rows, layer.outputs);
    float *y_upper = neurons.output(context, 1, lower.rows, layer.outputs);
    check(sn_sort_bounds(&layer, &coefficients, lower.data, upper.data, lower.columns, y_lower,
                         y_upper, layer.outputs, ex),
          name);
  }
};

uint32_t g_version = 0; // the API version agreed on, set before any kernel is made

template <typename Op>
ort::Status *create(const ort::CustomOp *, Table api, const ort::KernelInfo *info, void **kernel) {
  return guarded(api, [&] { *kernel = new Neurons(api, g_version, info, Op::inputs - 1, Op::name, true); });
}

template <typename Op>
ort::Status *compute(void *kernel, ort::KernelContext *context) {
  const Neurons &neurons = *static_cast<const Neurons *>(kernel);
  return guarded(neurons.api(), [&] {
    Host host{neurons.api(), context};
    const sn_executor executor{parallel_for, &host};
    Op::compute(neurons, context, neurons.parallel() ? &executor : nullptr);
  });
}

template <typename Op>
ort::CustomOp describe_op(uint32_t version) {
  ort::CustomOp op{};
  op.version = version;
  op.get_name = [](const ort::CustomOp *) { return Op::name; };
  op.get_execution_provider = [](const ort::CustomOp *) -> const char * { return nullptr; };
  op.get_input_type = [](const ort::CustomOp *, size_t) { return ort::kFloat; };
  op.get_input_count = [](const ort::CustomOp *) { return Op::inputs; };
  op.get_output_type = [](const ort::CustomOp *, size_t) { return ort::kFloat; };
  op.get_output_count = [](const ort::CustomOp *) { return Op::outputs; };
  op.destroy_kernel = [](void *kernel) { delete static_cast<Neurons *>(kernel); };
  op.get_input_characteristic = [](const ort::CustomOp *, size_t) { return 0; };  // required
  op.get_output_characteristic = [](const ort::CustomOp *, size_t) { return 0; }; // required
  op.get_input_memory_type = [](const ort::CustomOp *, size_t) { return 0; };     // default
  op.variadic_input_min_arity = [](const ort::CustomOp *) { return 1; };
  op.variadic_input_homogeneity = [](const ort::CustomOp *) { return 1; };
  op.variadic_output_min_arity = [](const ort::CustomOp *) { return 1; };
  op.variadic_output_homogeneity = [](const ort::CustomOp *) { return 1; };
  op.create_kernel_v2 = create<Op>;
  op.compute_v2 = compute<Op>;
  op.get_start_version = [](const ort::CustomOp *) { return 1; };
  op.get_end_version = [](const ort::CustomOp *) { return INT_MAX; };
  return op;
}

// A node on a GPU: matrices are the device's, and so is the copy of the coefficients.
class GpuNeurons : public Neurons {
 public:
  GpuNeurons(Table api, const ort::KernelInfo *info, size_t w_index, const char *op)
      : Neurons(api, g_version, info, w_index, op, false) {}
  GpuNeurons(const GpuNeurons &) = delete;
  GpuNeurons &operator=(const GpuNeurons &) = delete;
  ~GpuNeurons() { gpu_kernels()->drop(const_cast<float *>(stored_)); }

  // Made in the first run: only then is the device known.
  sn_coefficients stored_coefficients(const void *beside) {
    sn_coefficients c = coefficients();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stored_) {
      void *device = nullptr;
      check_gpu(gpu_kernels()->store(c.data, static_cast<size_t>(c.count) * sizeof(float), beside,
                                     &device));
      stored_ = static_cast<const float *>(device);
    }
    c.data = stored_;
    return c;
  }

  static void check_gpu(sn_status status) {
    if (status == SN_OUT_OF_MEMORY) throw std::bad_alloc();
    if (status != SN_OK)
      throw std::runtime_error(std::string("ai.sortnet: ") + gpu_kernels()->last_error());
  }

 private:
  std::mutex mutex_;
  const float *stored_ = nullptr;
};

void run_on_gpu(Forward, GpuNeurons &neurons, ort::KernelContext *context, void *stream) {
  const Matrix x = neurons.input(context, 0, "X");
  const sn_layer layer = neurons.layer(context, x, "X");
  float *y = neurons.output(context, 0, x.rows, layer.outputs);
  if (x.rows == 0 || layer.outputs == 0) return;
  const sn_coefficients coefficients = neurons.stored_coefficients(x.data);
  GpuNeurons::check_gpu(gpu_kernels()->sort_forward(&layer, &coefficients, x.data, x.columns, y,
                                                    layer.outputs, stream));
}

void run_on_gpu(Bounds, GpuNeurons &neurons, ort::KernelContext *context, void *stream) {
  const Matrix lower = neurons.input(context, 0, "L");
  const Matrix upper = neurons.input(context, 1, "U");
  same_shape(lower, "L", upper, "U");
  const sn_layer layer = neurons.layer(context, lower, "L");
  float *y_lower = neurons.output(context, 0, lower.rows, layer.outputs);
  float *y_upper = neurons.output(context, 1, lower.rows, layer.outputs);
  if (lower.rows == 0 || layer.outputs == 0) return;
  const sn_coefficients coefficients = neurons.stored_coefficients(lower.data);
  GpuNeurons::check_gpu(gpu_kernels()->sort_bounds(&layer, &coefficients, lower.data, upper.data,
                                                   lower.columns, y_lower, y_upper, layer.outputs,
                                                   stream));
}

template <typename Op>
ort::Status *create_on_gpu(const ort::CustomOp *, Table api, const ort::KernelInfo *info,
                           void **kernel) {
  return guarded(api, [&] { *kernel = new GpuNeurons(api, info, Op::inputs - 1, Op::name); });
}

template <typename Op>
ort::Status *compute_on_gpu(void *kernel, ort::KernelContext *context) {
  GpuNeurons &neurons = *static_cast<GpuNeurons *>(kernel);
  return guarded(neurons.api(), [&] {
    void *stream = nullptr;
    check(ort::GetGpuStream::call(neurons.api(), context, &stream));
    run_on_gpu(Op{}, neurons, context, stream);
  });
}

template <typename Op>
ort::CustomOp describe_gpu_op(uint32_t version) {
  ort::CustomOp op = describe_op<Op>(version);
  op.get_execution_provider = [](const ort::CustomOp *) { return "CUDAExecutionProvider"; };
  op.destroy_kernel = [](void *kernel) { delete static_cast<GpuNeurons *>(kernel); };
  op.create_kernel_v2 = create_on_gpu<Op>;
  op.compute_v2 = compute_on_gpu<Op>;
  return op;
}

// "1.23.0" -> 23; 0 where it cannot be read or the major version is not 1.
uint32_t minor_version(const char *text) {
  if (!text || text[0] != '1' || text[1] != '.') return 0;
  return static_cast<uint32_t>(std::strtoul(text + 2, nullptr, 10));
}

// Ops and domain live as long as the process: sessions keep pointers to them.
ort::Domain *domain(Table api) {
  static std::mutex mutex;
  static ort::Domain *made = nullptr;
  static ort::CustomOp forward, bounds, gpu_forward, gpu_bounds;
  const std::lock_guard<std::mutex> lock(mutex);
  if (!made) {
    forward = describe_op<Forward>(g_version);
    bounds = describe_op<Bounds>(g_version);
    ort::Domain *fresh = nullptr;
    check(ort::CreateCustomOpDomain::call(api, "ai.sortnet", &fresh));
    check(ort::CustomOpDomainAdd::call(api, fresh, &forward));
    check(ort::CustomOpDomainAdd::call(api, fresh, &bounds));
    if (gpu_kernels()) {
      gpu_forward = describe_gpu_op<Forward>(g_version);
      gpu_bounds = describe_gpu_op<Bounds>(g_version);
      check(ort::CustomOpDomainAdd::call(api, fresh, &gpu_forward));
      check(ort::CustomOpDomainAdd::call(api, fresh, &gpu_bounds));
    }
    made = fresh;
  }
  return made;
}

} // namespace

extern "C" SN_API ort::Status *RegisterCustomOps(ort::SessionOptions *options,
                                                 const ort::ApiBase *base) {
  const uint32_t minor = minor_version(base->get_version_string());
  if (minor < ort::kOldest) {
    // Slot 0, which makes a status, is the same in every version.
    Table oldest = base->get_api(1);
    return oldest ? ort::CreateStatus::call(oldest, ort::kFail,
                                            "sortnet needs ONNX Runtime 1.16 or later")
                  : nullptr;
  }
  g_version = minor < ort::kParallelFor ? minor : ort::kParallelFor;
  Table api = base->get_api(g_version);
  return guarded(api, [&] { check(ort::AddCustomOpDomain::call(api, options, domain(api))); });
}
