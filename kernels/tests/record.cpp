// The functions of sortnet.h on inputs that are the same everywhere, as text: what machines that
// cannot be compared side by side are compared by. Made to be linked with the shared library itself.
//   bits NAME HASH        results that are the same bits on every machine and instruction set
//   real NAME v v v ...   norms of finite p, their gradients and interval bounds: equal up to the
//                         documented error
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "sortnet.h"

namespace {

using Floats = std::vector<float>;
constexpr float kInf = std::numeric_limits<float>::infinity();

// Drawn by integer arithmetic, since the distributions of <random> differ between libraries.
class Draw {
public:
  explicit Draw(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  // A sum of four, so that most are near 0; multiples of 2^-21 in (-2, 2): exact.
  float value() {
    int32_t sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<int32_t>(next() & 0xfffff) - 0x80000;
    return static_cast<float>(sum) / static_cast<float>(1 << 21);
  }
  Floats values(int64_t n) {
    Floats v(static_cast<size_t>(n));
    for (float &f : v) f = value();
    return v;
  }

private:
  uint64_t state_;
};

void require(sn_status status, const std::string &what) {
  if (status == SN_OK) return;
  std::fprintf(stderr, "%s: %s\n", what.c_str(), sn_status_message(status));
  std::exit(1);
}

// FNV-1a over the bytes of each float, lowest first. All NaNs are one.
uint64_t hash(std::initializer_list<const Floats *> arrays) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const Floats *a : arrays) {
    for (float f : *a) {
      const float value = std::isnan(f) ? std::numeric_limits<float>::quiet_NaN() : f;
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      for (int i = 0; i < 4; ++i) h = (h ^ ((bits >> (8 * i)) & 0xff)) * 0x100000001b3u;
    }
  }
  return h;
}

void bits(const std::string &name, std::initializer_list<const Floats *> arrays) {
  std::printf("bits %s %016" PRIx64 "\n", name.c_str(), hash(arrays));
}

// At most 32 of them: the record is kept in the repository.
void reals(const std::string &name, const Floats &v) {
  std::printf("real %s", name.c_str());
  for (size_t i = 0; i < v.size() && i < 32; ++i) std::printf(" %.9g", static_cast<double>(v[i]));
  std::printf("\n");
}

// The kinds of data that take ways of their own through the kernels.
enum class Data { plain, ties, odd };

struct Problem {
  int64_t B, I, O;
  Floats x, w, dy;
  std::string name;

  Problem(int64_t b, int64_t i, int64_t o, Data data) : B(b), I(i), O(o) {
    static const char *const names[] = {"plain", "ties", "odd"};
    name = std::to_string(b) + "x" + std::to_string(i) + "x" + std::to_string(o) + "-" +
           names[static_cast<int>(data)];
    Draw draw(static_cast<uint64_t>(b * 1000003 + i * 1009 + o) + static_cast<uint64_t>(data));
    x = draw.values(B * I);
    w = draw.values(O * I);
    dy = draw.values(B * O);
    for (Floats *v : {&x, &w}) {
      for (float &f : *v) {
        if (data == Data::ties) f = std::floor(4 * f) / 4;
        if (data != Data::odd) continue;
        switch (draw.next() % 400) {
        case 0: f = std::numeric_limits<float>::quiet_NaN(); break;
        case 1: f = kInf; break;
        case 2: f = -kInf; break;
        case 3: f = 1e-41f; break;
        case 4: f = 3e38f; break;
        default: break;
        }
      }
    }
  }
  sn_layer layer(const void *packed = nullptr) const { return {w.data(), I, packed, B, I, O}; }
  Floats outputs() const { return Floats(static_cast<size_t>(B * O)); }
};

struct Packed {
  explicit Packed(const Problem &p) {
    const size_t bytes = sn_packed_bytes(p.O, p.I);
    data = ::operator new(bytes, std::align_val_t{64});
    require(sn_pack(p.w.data(), p.I, p.O, p.I, data), "sn_pack");
  }
  Packed(const Packed &) = delete;
  Packed &operator=(const Packed &) = delete;
  ~Packed() { ::operator delete(data, std::align_val_t{64}); }
  void *data;
};

void norms(const Problem &p, float power, bool exact, const sn_executor *ex) {
  const sn_layer layer = p.layer();
  Floats y = p.outputs(), dx(p.x.size()), dw(p.w.size()), low = y, high = y, upper = p.x;
  for (float &f : upper) f += 0.0625f;
  char text[16];
  std::snprintf(text, sizeof text, "l%g", static_cast<double>(power)); // "linf"
  const std::string name = std::string(text) + "-" + p.name;
  require(sn_lp_forward(&layer, nullptr, power, p.x.data(), p.I, y.data(), p.O, ex), name);
  require(sn_lp_backward(&layer, nullptr, power, p.x.data(), p.I, y.data(), p.O, p.dy.data(), p.O,
                         dx.data(), p.I, dw.data(), p.I, ex),
          name);
  require(sn_lp_bounds(&layer, power, p.x.data(), upper.data(), p.I, low.data(), high.data(), p.O, ex),
          name);
  if (exact) {
    const Packed packed(p);
    const sn_layer with = p.layer(packed.data);
    Floats again = p.outputs();
    require(sn_lp_forward(&with, nullptr, power, p.x.data(), p.I, again.data(), p.O, ex), name);
    bits(name, {&y, &dx, &dw});
    bits(name + "-packed", {&again});
  } else {
    reals(name, y);
    reals(name + "-slopes", dx);
  }
  reals(name + "-low", low);
  reals(name + "-high", high);
}

void sorted(const Problem &p, float rho, int64_t K, const sn_executor *ex) {
  Floats coef(static_cast<size_t>(K));
  require(sn_geometric_coefficients(rho, K, coef.data()), "sn_geometric_coefficients");
  const Packed packed(p);
  const sn_layer layer = p.layer(K % 2 == 0 ? packed.data : nullptr);
  const sn_coefficients c = {coef.data(), 0, K};
  Floats y = p.outputs(), low = y, high = y, dx(p.x.size()), dw(p.w.size()),
         dcoef(static_cast<size_t>(p.O * K)), upper = p.x;
  for (float &f : upper) f += 0.0625f;
  const std::string name = "sort" + std::to_string(K) + "-" + p.name;
  require(sn_sort_forward(&layer, &c, p.x.data(), p.I, y.data(), p.O, ex), name);
  require(sn_sort_backward(&layer, &c, p.x.data(), p.I, p.dy.data(), p.O, dx.data(), p.I, dw.data(),
                           p.I, dcoef.data(), ex),
          name);
  require(sn_sort_bounds(&layer, &c, p.x.data(), upper.data(), p.I, low.data(), high.data(), p.O, ex),
          name);
  bits(name, {&coef, &y});
  bits(name + "-backward", {&dx, &dw, &dcoef});
  reals(name + "-low", low);
  reals(name + "-high", high);
}

} // namespace

int main() {
  std::printf("abi %d\n", sn_abi_version());
  std::fprintf(stderr, "instruction set: %s\n", sn_isa());
  sn_pool pool = {nullptr, 3};
  const sn_executor threads = {sn_pool_parallel_for, &pool};
  const int64_t sizes[][3] = {{1, 1, 1}, {5, 17, 33}, {9, 347, 19}, {40, 784, 70}, {3, 2500, 7}};
  for (const auto &s : sizes) {
    for (const Data data : {Data::plain, Data::ties, Data::odd}) {
      const Problem p(s[0], s[1], s[2], data);
      norms(p, kInf, true, &threads);
      for (const int64_t K : {1, 4, 10, 16, 20}) {
        if (K <= p.I) sorted(p, 0.7f, K, &threads);
      }
    }
  }
  for (const auto &s : {sizes[1], sizes[2]}) {
    const Problem p(s[0], s[1], s[2], Data::plain);
    for (const float power : {1.0f, 1.5f, 2.0f, 3.0f, 8.0f, 12.0f, 17.25f, 192.0f, 300.0f}) {
      norms(p, power, false, nullptr);
    }
  }
  std::puts("end");
  return 0;
}
