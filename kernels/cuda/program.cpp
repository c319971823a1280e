#include "../strict_float.h"

#include "program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <tuple>
#include <vector>

#include "sources.h"  // generated: the files of device/ as strings

namespace sn {
namespace {

// NVRTC's C ABI, as far as it is used.
struct Nvrtc {
  int (*version)(int *, int *);
  int (*arch_count)(int *);
  int (*archs)(int *);
  int (*create)(void **, const char *, const char *, int, const char *const *, const char *const *);
  int (*compile)(void *, int, const char *const *);
  int (*log_size)(void *, size_t *);
  int (*log)(void *, char *);
  int (*cubin_size)(void *, size_t *);
  int (*cubin)(void *, char *);
  int (*ptx_size)(void *, size_t *);
  int (*ptx)(void *, char *);
  int (*destroy)(void **);
  const char *(*error)(int);
};

std::mutex mutex;
std::string nvrtc_library;

template <class F>
void bind(F *&target, void *library, const char *name) {
  void *symbol = find_symbol(library, name);
  if (symbol == nullptr)
    throw Failure{SN_CUDA_FAILED, std::string("NVRTC is too old: it has no ") + name};
  target = reinterpret_cast<F *>(symbol);
}

const Nvrtc &nvrtc() {
  static bool opened = false;
  static Nvrtc n{};
  if (opened) return n;
  const char *names[] = {"libnvrtc.so.13", "libnvrtc.so.12", nullptr};
  const char *own[] = {nvrtc_library.c_str(), nullptr};
  std::string error;
  void *library = open_library(nvrtc_library.empty() ? names : own, &error);
  if (library == nullptr)
    throw Failure{
        SN_CUDA_FAILED,
        "there is a GPU, but NVRTC, which compiles the kernels for it, cannot be opened (" + error +
            "); install nvidia-cuda-nvrtc, which the default torch brings"};
  bind(n.version, library, "nvrtcVersion");
  bind(n.arch_count, library, "nvrtcGetNumSupportedArchs");
  bind(n.archs, library, "nvrtcGetSupportedArchs");
  bind(n.create, library, "nvrtcCreateProgram");
  bind(n.compile, library, "nvrtcCompileProgram");
  bind(n.log_size, library, "nvrtcGetProgramLogSize");
  bind(n.log, library, "nvrtcGetProgramLog");
  bind(n.cubin_size, library, "nvrtcGetCUBINSize");
  bind(n.cubin, library, "nvrtcGetCUBIN");
  bind(n.ptx_size, library, "nvrtcGetPTXSize");
  bind(n.ptx, library, "nvrtcGetPTX");
  bind(n.destroy, library, "nvrtcDestroyProgram");
  bind(n.error, library, "nvrtcGetErrorString");
  opened = true;
  return n;
}

void check_nvrtc(int result, const char *what) {
  if (result != 0)
    throw Failure{SN_CUDA_FAILED, std::string(what) + " failed: " + nvrtc().error(result)};
}

// What to compile for: the device's own code if NVRTC knows the device, else the newest code of its
// generation, else intermediate code that the driver finishes.
struct Target {
  int arch;
  bool binary;
};

Target target_of(int capability) {
  int count = 0;
  check_nvrtc(nvrtc().arch_count(&count), "nvrtcGetNumSupportedArchs");
  std::vector<int> archs(static_cast<size_t>(count) + 1);
  check_nvrtc(nvrtc().archs(archs.data()), "nvrtcGetSupportedArchs");
  int best = 0;
  for (int i = 0; i < count; ++i)
    if (archs[size_t(i)] <= capability && archs[size_t(i)] > best) best = archs[size_t(i)];
  if (best < 80)
    throw Failure{SN_CUDA_FAILED,
                  "NVRTC knows no architecture up to " + std::to_string(capability)};
  return {best, best / 10 == capability / 10};
}

std::vector<std::string> options_of(Variant v, Target target) {
  std::vector<std::string> options = {
      "--std=c++17", "--fmad=false",
      (target.binary ? "--gpu-architecture=sm_" : "--gpu-architecture=compute_") +
          std::to_string(target.arch),
      "-DSN_PROGRAM=" + std::to_string(v.program)};
  if (v.program == 1) options.push_back("-DSN_P=" + std::to_string(v.parameter));
  if (v.program == 2) options.push_back("-DSN_TOPK=" + std::to_string(v.parameter));
  return options;
}

uint64_t fnv1a(const std::string &text, uint64_t hash) {
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211ull;
  return hash;
}

std::string cache_folder() {
  if (const char *own = std::getenv("SORTNET_CACHE_DIR"); own != nullptr && *own) return own;
  if (const char *xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg)
    return std::string(xdg) + "/sortnet";
  const char *home = std::getenv("HOME");
  return home != nullptr && *home ? std::string(home) + "/.cache/sortnet" : "";
}

void make_folder(const std::string &path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    mkdir(path.substr(0, at).c_str(), 0700);
    if (at == std::string::npos) return;
  }
}

std::string digest(const std::string &text) {
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx",
                static_cast<unsigned long long>(fnv1a(text, 14695981039346656037ull)));
  return hex;
}

// Code that was kept, or nothing if the file is missing or not as it was written: the driver would
// read past the end of a binary that is cut off. The first 16 characters are the digest of the rest.
std::string read_file(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  std::string content = text.str();
  if (content.size() < 16) return "";
  std::string code = content.substr(16);
  return digest(code) == content.substr(0, 16) ? code : "";
}

// The cache only saves time: where it cannot be written, the next process compiles again.
void write_file(const std::string &folder, const std::string &path, const std::string &content) {
  make_folder(folder);
  std::string temporary = path + ".XXXXXX";
  int handle = mkstemp(temporary.data());
  if (handle < 0) return;
  bool whole = true;
  for (size_t done = 0; whole && done < content.size();) {
    ssize_t n = write(handle, content.data() + done, content.size() - done);
    whole = n > 0;
    done += whole ? size_t(n) : 0;
  }
  whole = close(handle) == 0 && whole;
  if (!whole || rename(temporary.c_str(), path.c_str()) != 0) unlink(temporary.c_str());
}

std::string compile(const std::vector<std::string> &options, bool binary) {
  const Nvrtc &n = nvrtc();
  void *program = nullptr;
  check_nvrtc(n.create(&program, kProgram, "program.cu", kHeaderCount, kHeaders, kHeaderNames),
              "nvrtcCreateProgram");
  std::vector<const char *> words;
  for (const std::string &o : options) words.push_back(o.c_str());
  int result = n.compile(program, static_cast<int>(words.size()), words.data());
  std::string code;
  std::string problem;
  if (result != 0) {
    size_t size = 0;
    n.log_size(program, &size);
    std::string log(size, '\0');
    if (size) n.log(program, log.data());
    problem =
        std::string("NVRTC cannot compile the kernels (") + n.error(result) + "):\n" + log.c_str();
  } else {
    size_t size = 0;
    result = binary ? n.cubin_size(program, &size) : n.ptx_size(program, &size);
    code.resize(size);
    if (result == 0) result = binary ? n.cubin(program, code.data()) : n.ptx(program, code.data());
    if (result != 0) problem = std::string("NVRTC gives no code: ") + n.error(result);
  }
  n.destroy(&program);
  if (!problem.empty()) throw Failure{SN_CUDA_FAILED, problem};
  return code;
}

constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*

void *load(Variant variant) {
  const Driver &d = driver();
  int device = 0, major = 0, minor = 0;
  check(d.context_device(&device), "cuCtxGetDevice");
  check(d.device_attribute(&major, kMajor, device), "cuDeviceGetAttribute");
  check(d.device_attribute(&minor, kMinor, device), "cuDeviceGetAttribute");
  if (major < 8)
    throw Failure{SN_UNSUPPORTED, "the GPU has compute capability " + std::to_string(major) + "." +
                                      std::to_string(minor) + "; 8.0 or later is needed"};
  Target target = target_of(major * 10 + minor);
  std::vector<std::string> options = options_of(variant, target);
  int version[2] = {};
  check_nvrtc(nvrtc().version(&version[0], &version[1]), "nvrtcVersion");
  std::string key = std::to_string(version[0]) + "." + std::to_string(version[1]);
  for (const std::string &o : options) key += " " + o;
  for (int h = 0; h < kHeaderCount; ++h) key += kHeaders[h];
  std::string folder = cache_folder();
  std::string path = folder + "/kernels-" + digest(key + kProgram);
  path += target.binary ? ".cubin" : ".ptx";
  void *module = nullptr;
  if (!folder.empty()) {
    std::string cached = read_file(path);
    // A damaged file is no reason to fail: compile and write it again.
    if (!cached.empty() && d.module_load(&module, cached.c_str()) == 0) return module;
  }
  std::string code = compile(options, target.binary);
  check(d.module_load(&module, code.c_str()), "cuModuleLoadData");
  if (!folder.empty()) write_file(folder, path, digest(code) + code);
  return module;
}

void *current_context() {
  void *context = nullptr;
  check(driver().current_context(&context), "cuCtxGetCurrent");
  if (context == nullptr)
    throw Failure{SN_INVALID_ARGUMENT, "no CUDA context is current on this thread"};
  return context;
}

}  // namespace

DeviceGuard::DeviceGuard(const void *memory) {
  constexpr int kOrdinal = 9;  // CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
  const Driver &d = driver();
  check(d.current_context(&before_), "cuCtxGetCurrent");
  if (memory == nullptr) return;
  int device = 0, current = 0;
  if (d.pointer_attribute(&device, kOrdinal, reinterpret_cast<uint64_t>(memory)) != 0)
    throw Failure{SN_INVALID_ARGUMENT, "expected addresses on a GPU"};
  if (before_ != nullptr) {
    check(d.context_device(&current), "cuCtxGetDevice");
    if (current == device) return;
  }
  static std::map<int, void *> retained;
  std::lock_guard<std::mutex> lock(mutex);
  void *&primary = retained[device];
  if (primary == nullptr) check(d.retain_context(&primary, device), "cuDevicePrimaryCtxRetain");
  check(d.set_context(primary), "cuCtxSetCurrent");
  changed_ = true;
}

DeviceGuard::~DeviceGuard() {
  if (changed_) driver().set_context(before_);
}

void *kernel(Variant variant, const char *name) {
  static std::map<std::tuple<void *, int, int>, void *> modules;
  static std::map<std::pair<void *, std::string>, void *> functions;
  void *context = current_context();
  std::lock_guard<std::mutex> lock(mutex);
  void *&module = modules[{context, variant.program, variant.parameter}];
  if (module == nullptr) module = load(variant);
  void *&function = functions[{module, name}];
  if (function == nullptr) check(driver().module_function(&function, module, name), name);
  return function;
}

void *memory_pool() {
  // CUmemPoolProps of the driver's C ABI: pinned memory on one device, the rest 0.
  struct Properties {
    int type = 1, handles = 0, location = 1, device = 0;
    void *security = nullptr;
    size_t size = 0;
    unsigned short usage = 0;
    unsigned char reserved[54] = {};
  };
  static std::map<int, void *> pools;
  int device = 0;
  current_context();
  check(driver().context_device(&device), "cuCtxGetDevice");
  std::lock_guard<std::mutex> lock(mutex);
  void *&pool = pools[device];
  if (pool == nullptr) {
    Properties properties;
    properties.device = device;
    void *made = nullptr;
    check(driver().pool_create(&made, &properties), "cuMemPoolCreate");
    uint64_t keep = uint64_t(256) << 20;  // do not hand that much back between calls
    check(driver().pool_set(made, 4, &keep), "cuMemPoolSetAttribute");
    pool = made;
  }
  return pool;
}

void set_nvrtc(const char *library) {
  std::lock_guard<std::mutex> lock(mutex);
  nvrtc_library = library != nullptr ? library : "";
}

}  // namespace sn
