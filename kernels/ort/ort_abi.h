// What this library uses of ONNX Runtime's C ABI. The wheels ship no headers; the ABI is append-only,
// so slots and layouts below stay as they are in every later version.
#ifndef SORTNET_ORT_ABI_H
#define SORTNET_ORT_ABI_H

#include <cstddef>
#include <cstdint>

namespace ort {

struct Status;
struct SessionOptions;
struct KernelInfo;
struct KernelContext;
struct Value;
struct TensorInfo;
struct Domain;

enum ErrorCode : int { kFail = 1, kInvalidArgument = 2 };
enum ElementType : int { kFloat = 1 };

// The function table of one API version, as an array of function pointers.
using Table = void *const *;

struct ApiBase {
  Table (*get_api)(uint32_t version);
  const char *(*get_version_string)();
};

// One slot of the table: its index and its type.
template <int Index, typename Result, typename... Arguments>
struct Slot {
  static Result call(Table api, Arguments... arguments) {
    return reinterpret_cast<Result (*)(Arguments...)>(api[Index])(arguments...);
  }
};

using CreateStatus = Slot<0, Status *, ErrorCode, const char *>;
using CreateCustomOpDomain = Slot<26, Status *, const char *, Domain **>;
using CustomOpDomainAdd = Slot<27, Status *, Domain *, const struct CustomOp *>;
using AddCustomOpDomain = Slot<28, Status *, SessionOptions *, Domain *>;
using GetTensorData = Slot<51, Status *, Value *, void **>;
using GetDimensionsCount = Slot<61, Status *, const TensorInfo *, size_t *>;
using GetDimensions = Slot<62, Status *, const TensorInfo *, int64_t *, size_t>;
using GetTensorInfo = Slot<65, Status *, const Value *, TensorInfo **>;
using GetAttributeFloat = Slot<85, Status *, const KernelInfo *, const char *, float *>;
using GetAttributeInt = Slot<86, Status *, const KernelInfo *, const char *, int64_t *>;
using GetInput = Slot<90, Status *, const KernelContext *, size_t, const Value **>;
using GetOutput = Slot<91, Status *, KernelContext *, size_t, const int64_t *, size_t, Value **>;
using ReleaseStatus = Slot<93, void, Status *>;
using ReleaseTensorInfo = Slot<99, void, TensorInfo *>;
using GetGpuStream = Slot<193, Status *, const KernelContext *, void **>;
using GetConstantInput = Slot<249, Status *, const KernelInfo *, size_t, int *, const Value **>;
using ParallelFor = Slot<274, Status *, const KernelContext *, void (*)(void *, size_t), size_t,
                         size_t, void *>;

constexpr uint32_t kOldest = 16;      // the first with callbacks that return a status
constexpr uint32_t kParallelFor = 17; // the first with ParallelFor, and the newest asked for

struct CustomOp {
  uint32_t version; // which of the members below ONNX Runtime may read
  void *(*create_kernel)(const CustomOp *, Table, const KernelInfo *);
  const char *(*get_name)(const CustomOp *);
  const char *(*get_execution_provider)(const CustomOp *);
  ElementType (*get_input_type)(const CustomOp *, size_t);
  size_t (*get_input_count)(const CustomOp *);
  ElementType (*get_output_type)(const CustomOp *, size_t);
  size_t (*get_output_count)(const CustomOp *);
  void (*compute)(void *, KernelContext *);
  void (*destroy_kernel)(void *);
  int (*get_input_characteristic)(const CustomOp *, size_t);
  int (*get_output_characteristic)(const CustomOp *, size_t);
  int (*get_input_memory_type)(const CustomOp *, size_t);
  int (*variadic_input_min_arity)(const CustomOp *);
  int (*variadic_input_homogeneity)(const CustomOp *);
  int (*variadic_output_min_arity)(const CustomOp *);
  int (*variadic_output_homogeneity)(const CustomOp *);
  // Since 16.
  Status *(*create_kernel_v2)(const CustomOp *, Table, const KernelInfo *, void **);
  Status *(*compute_v2)(void *, KernelContext *);
  // Since 17.
  Status *(*infer_output_shape)(const CustomOp *, void *);
  int (*get_start_version)(const CustomOp *);
  int (*get_end_version)(const CustomOp *);
};

} // namespace ort

#endif
