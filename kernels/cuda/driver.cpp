#include "../strict_float.h"

#include "driver.h"

#include <dlfcn.h>
#include <unistd.h>

#include <mutex>

namespace sn {
namespace {

constexpr int kOutOfMemory = 2, kStub = 34, kNoDevice = 100;

template <class F>
void bind(F *&target, void *library, const char *name) {
  void *symbol = find_symbol(library, name);
  if (symbol == nullptr)
    throw Failure{SN_CUDA_FAILED, std::string("the NVIDIA driver is too old: it has no ") + name};
  target = reinterpret_cast<F *>(symbol);
}

Driver open_driver() {
  static const char *const names[] = {"libcuda.so.1", nullptr};
  std::string error;
  void *library = open_library(names, &error);
  if (library == nullptr) {
    // Not there: a machine without a GPU. There, but not to be loaded: a broken driver.
    // (The first text is glibc's, the second musl's.)
    bool absent = error.rfind("libcuda.so.1: cannot open shared object file", 0) == 0 ||
                  error == "Error loading shared library libcuda.so.1: No such file or directory";
    throw Failure{absent ? SN_UNSUPPORTED : SN_CUDA_FAILED,
                  (absent ? "no NVIDIA driver: " : "the NVIDIA driver cannot be loaded: ") + error};
  }
  Driver d{};
  bind(d.error_string, library, "cuGetErrorString");
  bind(d.init, library, "cuInit");
  bind(d.device_count, library, "cuDeviceGetCount");
  bind(d.device_attribute, library, "cuDeviceGetAttribute");
  bind(d.current_context, library, "cuCtxGetCurrent");
  bind(d.set_context, library, "cuCtxSetCurrent");
  bind(d.retain_context, library, "cuDevicePrimaryCtxRetain");
  bind(d.pointer_attribute, library, "cuPointerGetAttribute");
  bind(d.context_device, library, "cuCtxGetDevice");
  bind(d.module_load, library, "cuModuleLoadData");
  bind(d.module_function, library, "cuModuleGetFunction");
  bind(d.launch, library, "cuLaunchKernel");
  bind(d.pool_create, library, "cuMemPoolCreate");
  bind(d.pool_set, library, "cuMemPoolSetAttribute");
  bind(d.alloc, library, "cuMemAllocFromPoolAsync");
  bind(d.free, library, "cuMemFreeAsync");
  bind(d.alloc_now, library, "cuMemAlloc_v2");
  bind(d.free_now, library, "cuMemFree_v2");
  bind(d.copy_to, library, "cuMemcpyHtoD_v2");
  bind(d.synchronize, library, "cuStreamSynchronize");
  bind(d.fill8, library, "cuMemsetD8Async");
  bind(d.fill32_2d, library, "cuMemsetD2D32Async");
  int result = d.init(0), count = 0;
  if (result == 0) result = d.device_count(&count);
  if (result == kStub)
    throw Failure{SN_UNSUPPORTED, "no NVIDIA driver: libcuda.so.1 is the CUDA toolkit's stub"};
  if (result == kNoDevice || (result == 0 && count == 0))
    throw Failure{SN_UNSUPPORTED, "the NVIDIA driver sees no device"};
  if (result != 0) {
    const char *text = nullptr;
    d.error_string(result, &text);
    throw Failure{SN_CUDA_FAILED, std::string("the NVIDIA driver does not start: ") +
                                      (text != nullptr ? text : "unknown error") + " (" +
                                      std::to_string(result) + ")"};
  }
  return d;
}

}  // namespace

void *open_library(const char *const *names, std::string *error) {
  for (; *names != nullptr; ++names) {
    if (void *library = dlopen(*names, RTLD_NOW | RTLD_LOCAL)) return library;
    const char *text = dlerror();
    if (!error->empty()) *error += "; ";
    *error += text != nullptr ? text : *names;
  }
  return nullptr;
}

void *find_symbol(void *library, const char *name) { return dlsym(library, name); }

const Driver &driver() {
  static std::mutex mutex;
  static bool opened = false;
  static Driver d;
  static pid_t process = 0;
  std::lock_guard<std::mutex> lock(mutex);
  if (!opened) {
    d = open_driver();  // tried again next time if it throws
    process = getpid();
    opened = true;
  }
  if (getpid() != process)
    throw Failure{SN_CUDA_FAILED,
                  "the GPU cannot be used in a process forked from one that used it already: start "
                  "processes with the method \"spawn\""};
  return d;
}

void check(int result, const char *what) {
  if (result == 0) return;
  const char *text = nullptr;
  driver().error_string(result, &text);
  throw Failure{result == kOutOfMemory ? SN_OUT_OF_MEMORY : sn_status{SN_CUDA_FAILED},
                std::string(what) + ": " + (text != nullptr ? text : "unknown error") +
                    " (CUDA error " + std::to_string(result) + ")"};
}

}  // namespace sn
