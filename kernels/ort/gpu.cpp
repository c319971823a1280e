#include "../strict_float.h"

#include "gpu.h"

#if defined(__linux__)
#include <dlfcn.h>

#include <string>

namespace {

bool open_kernels(GpuKernels *k) {
  Dl_info self{};
  static const int anchor = 0;
  if (!dladdr(&anchor, &self) || !self.dli_fname) return false;
  std::string path = self.dli_fname;
  path = path.substr(0, path.find_last_of('/') + 1) + "libsortnet_cuda.so";
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return false;
  const auto bind = [library](auto &target, const char *name) {
    target = reinterpret_cast<std::decay_t<decltype(target)>>(dlsym(library, name));
    return target != nullptr;
  };
  return bind(k->available, "sn_cuda_available") && bind(k->last_error, "sn_cuda_last_error") &&
         bind(k->store, "sn_cuda_store") && bind(k->drop, "sn_cuda_drop") &&
         bind(k->sort_forward, "sn_cuda_sort_forward") &&
         bind(k->sort_bounds, "sn_cuda_sort_bounds") && k->available() == SN_OK;
}

} // namespace

const GpuKernels *gpu_kernels() {
  static GpuKernels kernels{};
  static const bool found = open_kernels(&kernels);
  return found ? &kernels : nullptr;
}

#else

const GpuKernels *gpu_kernels() { return nullptr; }

#endif
