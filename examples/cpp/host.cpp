// A C++ host: labels and certified radii of a batch, from an exported file.
//
//   host ONNXRUNTIME MODEL.onnx LIBRARY|- C H W IMAGES.f32
//
// ONNXRUNTIME is the runtime's shared library (1.17 or later), LIBRARY the op library of a sortnet
// wheel (sortnet/lib/), or - to run the functions inside the file instead. IMAGES.f32 holds float32
// values in [0, 1], row-major [N, C, H, W], in the machine's byte order. Prints one line per image:
// label, radius; exits with 1 and a message where anything fails.
//
//   c++ -std=c++17 -O2 host.cpp -o host -ldl
//
// It declares the few entries of ONNX Runtime's C ABI that it uses, so that it compiles without the
// runtime's headers; with them, replace the part between the lines by #include <onnxruntime_c_api.h>.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

// ---- ONNX Runtime's C ABI: a table of functions, append-only ------------------------------------
namespace ort {

struct Status;
struct Env;
struct Options;
struct Session;
struct RunOptions;
struct MemoryInfo;
struct Value;

using Table = void *const *;
struct Base {
  Table (*get_api)(uint32_t version);
  const char *(*get_version_string)();
};

template <int Index, typename Result, typename... Arguments> struct Slot {
  static Result call(Table api, Arguments... arguments) {
    return reinterpret_cast<Result (*)(Arguments...)>(api[Index])(arguments...);
  }
};

using GetErrorMessage = Slot<2, const char *, const Status *>;
using CreateEnv = Slot<3, Status *, int, const char *, Env **>;
using CreateSession = Slot<8, Status *, const Env *, const void *, size_t, const Options *, Session **>;
using Run = Slot<9, Status *, Session *, const RunOptions *, const char *const *, const Value *const *,
                 size_t, const char *const *, size_t, Value **>;
using CreateOptions = Slot<10, Status *, Options **>;
using RegisterLibrary = Slot<29, Status *, Options *, const char *, void **>;
using CreateTensor = Slot<49, Status *, const MemoryInfo *, void *, size_t, const int64_t *, size_t,
                          int, Value **>;
using GetData = Slot<51, Status *, Value *, void **>;
using CreateCpuMemory = Slot<69, Status *, int, int, MemoryInfo **>;
using ReleaseEnv = Slot<92, void, Env *>;
using ReleaseStatus = Slot<93, void, Status *>;
using ReleaseMemory = Slot<94, void, MemoryInfo *>;
using ReleaseSession = Slot<95, void, Session *>;
using ReleaseValue = Slot<96, void, Value *>;
using ReleaseOptions = Slot<100, void, Options *>;

constexpr int kWarning = 2, kFloat = 1, kArena = 1, kDefaultMemory = 0;
constexpr uint32_t kVersion = 17;

} // namespace ort
// -------------------------------------------------------------------------------------------------

namespace {

void *open_library(const std::string &path) {
#if defined(_WIN32)
  void *library = reinterpret_cast<void *>(LoadLibraryA(path.c_str()));
  const std::string reason = library ? "" : "error " + std::to_string(GetLastError());
#else
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const std::string reason = library ? "" : dlerror();
#endif
  // The reason may be a library that this one needs.
  if (library == nullptr) throw std::runtime_error("cannot load " + path + ": " + reason);
  return library;
}

ort::Table open_runtime(const std::string &path) {
  void *library = open_library(path);
#if defined(_WIN32)
  void *symbol = reinterpret_cast<void *>(
      GetProcAddress(reinterpret_cast<HMODULE>(library), "OrtGetApiBase"));
#else
  void *symbol = dlsym(library, "OrtGetApiBase");
#endif
  if (symbol == nullptr) throw std::runtime_error(path + " is not ONNX Runtime");
  const ort::Base *base = reinterpret_cast<const ort::Base *(*)()>(symbol)();
  ort::Table api = base->get_api(ort::kVersion);
  if (api == nullptr) {
    throw std::runtime_error(std::string("ONNX Runtime ") + base->get_version_string() +
                             " is too old: 1.17 or later is needed");
  }
  return api;
}

std::vector<char> read_file(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// What ONNX Runtime hands out, given back in reverse order.
class Host {
public:
  // `library` empty: the functions inside the file run.
  Host(const std::string &runtime, const std::string &model, const std::string &library)
      : api_(open_runtime(runtime)) {
    const std::vector<char> bytes = read_file(model);
    check(ort::CreateEnv::call(api_, ort::kWarning, "sortnet", &env_));
    check(ort::CreateOptions::call(api_, &options_));
    if (!library.empty()) {
      void *handle = nullptr; // stays open: sessions run its code
      check(ort::RegisterLibrary::call(api_, options_, library.c_str(), &handle));
    }
    check(ort::CreateSession::call(api_, env_, bytes.data(), bytes.size(), options_, &session_));
    check(ort::CreateCpuMemory::call(api_, ort::kArena, ort::kDefaultMemory, &memory_));
  }
  Host(const Host &) = delete;
  Host &operator=(const Host &) = delete;
  ~Host() {
    if (memory_) ort::ReleaseMemory::call(api_, memory_);
    if (session_) ort::ReleaseSession::call(api_, session_);
    if (options_) ort::ReleaseOptions::call(api_, options_);
    if (env_) ort::ReleaseEnv::call(api_, env_);
  }

  // images: [N, C, H, W] in [0, 1]. The file answers radius 0 for an image outside, or with NaN.
  void predict(std::vector<float> &images, const int64_t (&shape)[4], std::vector<int64_t> &labels,
               std::vector<float> &radii) {
    static const char *const inputs[] = {"input"};
    static const char *const outputs[] = {"label", "radius"};
    ort::Value *input = nullptr, *output[2] = {nullptr, nullptr};
    check(ort::CreateTensor::call(api_, memory_, images.data(), images.size() * sizeof(float), shape,
                                  4, ort::kFloat, &input));
    ort::Status *status =
        ort::Run::call(api_, session_, nullptr, inputs, &input, 1, outputs, 2, output);
    ort::ReleaseValue::call(api_, input);
    check(status);
    void *label = nullptr, *radius = nullptr;
    check(ort::GetData::call(api_, output[0], &label));
    check(ort::GetData::call(api_, output[1], &radius));
    labels.assign(static_cast<int64_t *>(label), static_cast<int64_t *>(label) + shape[0]);
    radii.assign(static_cast<float *>(radius), static_cast<float *>(radius) + shape[0]);
    for (ort::Value *value : output) ort::ReleaseValue::call(api_, value);
  }

private:
  void check(ort::Status *status) {
    if (status == nullptr) return;
    const std::string message = ort::GetErrorMessage::call(api_, status);
    ort::ReleaseStatus::call(api_, status);
    throw std::runtime_error(message);
  }

  ort::Table api_;
  ort::Env *env_ = nullptr;
  ort::Options *options_ = nullptr;
  ort::Session *session_ = nullptr;
  ort::MemoryInfo *memory_ = nullptr;
};

int run(char **arguments) {
  const std::string library = arguments[3];
  const std::vector<char> bytes = read_file(arguments[7]);
  int64_t shape[4] = {0, 0, 0, 0}, pixels = 1;
  for (int d = 1; d < 4; ++d) {
    shape[d] = std::strtoll(arguments[3 + d], nullptr, 10);
    if (shape[d] < 1) throw std::runtime_error("C, H and W must be positive");
    pixels *= shape[d];
  }
  const size_t image = static_cast<size_t>(pixels) * sizeof(float);
  if (bytes.size() % image != 0) {
    throw std::runtime_error(std::to_string(bytes.size()) + " bytes are no whole number of images of " +
                             std::to_string(image));
  }
  Host host(arguments[1], arguments[2], library == "-" ? "" : library);
  // The fallback's memory grows with the batch; 64 images at a time are fast enough for both.
  const int64_t total = static_cast<int64_t>(bytes.size() / image);
  for (int64_t start = 0; start < total; start += 64) {
    shape[0] = total - start < 64 ? total - start : 64;
    const float *first = reinterpret_cast<const float *>(bytes.data()) + start * pixels;
    std::vector<float> batch(first, first + shape[0] * pixels), radii;
    std::vector<int64_t> labels;
    host.predict(batch, shape, labels, radii);
    for (size_t i = 0; i < labels.size(); ++i) {
      std::printf("%lld %.9g\n", static_cast<long long>(labels[i]), static_cast<double>(radii[i]));
    }
  }
  return 0;
}

} // namespace

int main(int count, char **arguments) {
  if (count != 8) {
    std::fprintf(stderr, "usage: host ONNXRUNTIME MODEL.onnx LIBRARY|- C H W IMAGES.f32\n");
    return 1;
  }
  try {
    return run(arguments);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "host: %s\n", error.what());
    return 1;
  }
}
