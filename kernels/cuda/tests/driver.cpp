// A CUDA driver and an NVRTC for tests: memory is the host's, kernels run in the emulator, "code"
// is the list of compiler options. Compiled to one library that the test puts in the place of both.
//
// Environment: SN_FAKE_PROGRAMS  folder of the emulated programs, program-<number>-<parameter>.so
//              SN_FAKE_FAIL      the entry point that fails, SN_FAKE_ERROR its error code (default
//                                2), SN_FAKE_TIMES how often it does (default: always)
//              SN_FAKE_CAPABILITY  e.g. 75 (default 90)
//              SN_FAKE_LOG       file to which each NVRTC compilation appends a line
//              SN_FAKE_DEVICE    the device that all memory is on (default 0)
// A launch, an allocation or a copy fails (201) where the current context is not that device's.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#define FAKE extern "C" __attribute__((visibility("default")))

namespace {

int fails(const char *name) {
  const char *which = std::getenv("SN_FAKE_FAIL"), *code = std::getenv("SN_FAKE_ERROR");
  if (which == nullptr || std::strcmp(which, name) != 0) return 0;
  static int failed = 0;
  const char *times = std::getenv("SN_FAKE_TIMES");
  if (times != nullptr && failed++ >= std::atoi(times)) return 0;
  return code != nullptr ? std::atoi(code) : 2;
}

int capability() {
  const char *text = std::getenv("SN_FAKE_CAPABILITY");
  return text != nullptr ? std::atoi(text) : 90;
}

using Emulate = int (*)(const char *, const unsigned *, unsigned, void **);
struct Function {
  Emulate emulate;
  std::string name;
};

std::map<void *, size_t> held;

}  // namespace

#define FAIL_IF_ASKED() \
  if (int error = fails(__func__)) return error
#define FAIL_IN_WRONG_CONTEXT() \
  if (int error = wrong_context()) return error

FAKE int cuInit(unsigned) {
  FAIL_IF_ASKED();
  return 0;
}
FAKE int cuDeviceGetCount(int *n) {
  FAIL_IF_ASKED();
  return *n = std::getenv("SN_FAKE_NO_DEVICE") ? 0 : 1, 0;
}
FAKE int cuDeviceGetAttribute(int *v, int which, int) {
  return *v = which == 75 ? capability() / 10 : capability() % 10, 0;
}
thread_local void *current = nullptr;
FAKE int cuCtxGetCurrent(void **c) { return *c = current, 0; }
FAKE int cuCtxSetCurrent(void *c) { return current = c, 0; }
int contexts[8];  // a device's primary context: the address of its entry
FAKE int cuDevicePrimaryCtxRetain(void **c, int device) {
  FAIL_IF_ASKED();
  return *c = &contexts[device], 0;
}
int device_of_memory() {
  const char *text = std::getenv("SN_FAKE_DEVICE");
  return text != nullptr ? std::atoi(text) : 0;
}
FAKE int cuPointerGetAttribute(void *v, int, uint64_t) {
  FAIL_IF_ASKED();
  return *static_cast<int *>(v) = device_of_memory(), 0;
}
FAKE int cuCtxGetDevice(int *d) {
  if (current == nullptr) return 201;
  return *d = static_cast<int>(static_cast<int *>(current) - contexts), 0;
}
int wrong_context() { return current == &contexts[device_of_memory()] ? 0 : 201; }
FAKE int cuGetErrorString(int error, const char **text) {
  *text = error == 2 ? "out of memory" : "fake failure";
  return 0;
}
FAKE int cuModuleLoadData(void **module, const void *code) {
  FAIL_IF_ASKED();
  std::string text(static_cast<const char *>(code));
  if (text.rfind("options ", 0) != 0) return 200;  // not code
  auto value = [&](const char *name) {
    size_t at = text.find(name);
    return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + std::strlen(name));
  };
  int program = value("-DSN_PROGRAM="),
      parameter = program == 1 ? value("-DSN_P=") : value("-DSN_TOPK=");
  const char *folder = std::getenv("SN_FAKE_PROGRAMS");
  std::string path = std::string(folder ? folder : ".") + "/program-" + std::to_string(program) +
                     "-" + std::to_string(parameter) + ".so";
  *module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (*module == nullptr) std::fprintf(stderr, "%s\n", dlerror());
  return *module ? 0 : 301;
}
FAKE int cuModuleGetFunction(void **function, void *module, const char *name) {
  FAIL_IF_ASKED();
  auto emulate = reinterpret_cast<Emulate>(dlsym(module, "sn_emulate"));
  if (emulate(name, nullptr, 0, nullptr) != 0) return 500;
  *function = new Function{emulate, name};
  return 0;
}
FAKE int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned, unsigned, unsigned, void *, void **parameters, void **) {
  FAIL_IF_ASKED();
  FAIL_IN_WRONG_CONTEXT();
  const auto *f = static_cast<const Function *>(function);
  const unsigned grid[3] = {gx, gy, gz};
  return f->emulate(f->name.c_str(), grid, bx, parameters);
}
FAKE int cuMemPoolCreate(void **pool, const void *) {
  FAIL_IF_ASKED();
  return *pool = &held, 0;
}
FAKE int cuMemPoolSetAttribute(void *, int, void *) { return 0; }
// Scratch memory comes filled with NaN, and with a fence behind it.
constexpr size_t kFence = 256;
FAKE int cuMemAllocFromPoolAsync(uint64_t *p, size_t size, void *, void *) {
  FAIL_IF_ASKED();
  FAIL_IN_WRONG_CONTEXT();
  void *memory = std::aligned_alloc(256, (size + kFence + 255) / 256 * 256);
  std::memset(memory, 0xff, size + kFence);
  held[memory] = size;
  *p = reinterpret_cast<uint64_t>(memory);
  return 0;
}
FAKE int cuMemFreeAsync(uint64_t p, void *) {
  void *memory = reinterpret_cast<void *>(p);
  const auto *fence = static_cast<const unsigned char *>(memory) + held.at(memory);
  for (size_t i = 0; i < kFence; ++i)
    if (fence[i] != 0xff) {
      std::fprintf(stderr, "a kernel wrote past its scratch memory\n");
      std::abort();
    }
  held.erase(memory);
  std::free(memory);
  return 0;
}
FAKE int sn_fake_held() { return static_cast<int>(held.size()); }
FAKE int cuMemAlloc_v2(uint64_t *p, size_t size) {
  FAIL_IF_ASKED();
  FAIL_IN_WRONG_CONTEXT();
  return *p = reinterpret_cast<uint64_t>(std::malloc(size)), 0;
}
FAKE int cuMemFree_v2(uint64_t p) { return std::free(reinterpret_cast<void *>(p)), 0; }
// Arrives when the default stream is waited for, as a copy of pageable memory may.
std::function<void()> pending;
FAKE int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size) {
  FAIL_IN_WRONG_CONTEXT();
  std::string data(static_cast<const char *>(from), size);
  std::memset(reinterpret_cast<void *>(to), 0xff, size);
  pending = [to, data] { std::memcpy(reinterpret_cast<void *>(to), data.data(), data.size()); };
  return 0;
}
FAKE int cuStreamSynchronize(void *) {
  if (pending) pending();
  pending = nullptr;
  return 0;
}
FAKE int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, void *) {
  std::memset(reinterpret_cast<void *>(to), value, count);
  return 0;
}
FAKE int cuMemsetD2D32Async(uint64_t to, size_t pitch, unsigned value, size_t width, size_t height,
                            void *) {
  for (size_t r = 0; r < height; ++r)
    for (size_t c = 0; c < width; ++c) reinterpret_cast<unsigned *>(to + r * pitch)[c] = value;
  return 0;
}

namespace {
std::string code;
}
FAKE int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 0; }
FAKE int nvrtcGetNumSupportedArchs(int *n) { return *n = 3, 0; }
FAKE int nvrtcGetSupportedArchs(int *a) { return a[0] = 75, a[1] = 80, a[2] = 90, 0; }
FAKE int nvrtcCreateProgram(void **program, const char *, const char *, int, const char *const *,
                            const char *const *) {
  return *program = &code, 0;
}
FAKE int nvrtcCompileProgram(void *, int count, const char *const *options) {
  if (const char *log = std::getenv("SN_FAKE_LOG")) {
    std::FILE *file = std::fopen(log, "a");
    for (int i = 0; i < count; ++i) std::fprintf(file, "%s ", options[i]);
    std::fprintf(file, "\n");
    std::fclose(file);
  }
  FAIL_IF_ASKED();
  code = "options ";
  for (int i = 0; i < count; ++i) code += std::string(options[i]) + " ";
  return 0;
}
FAKE int nvrtcGetProgramLogSize(void *, size_t *size) { return *size = 24, 0; }
FAKE int nvrtcGetProgramLog(void *, char *log) {
  return std::strcpy(log, "tile.cuh(1): fake error"), 0;
}
FAKE int nvrtcGetCUBINSize(void *, size_t *size) { return *size = code.size() + 1, 0; }
FAKE int nvrtcGetCUBIN(void *, char *to) {
  return std::memcpy(to, code.c_str(), code.size() + 1), 0;
}
FAKE int nvrtcGetPTXSize(void *, size_t *size) { return nvrtcGetCUBINSize(nullptr, size); }
FAKE int nvrtcGetPTX(void *, char *to) { return nvrtcGetCUBIN(nullptr, to); }
FAKE int nvrtcDestroyProgram(void **) { return 0; }
FAKE const char *nvrtcGetErrorString(int) { return "NVRTC_ERROR_COMPILATION"; }
