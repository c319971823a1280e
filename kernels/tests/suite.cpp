// Every function of sortnet.h on odd sizes, in buffers of exactly the size that the header asks for, from
// several threads at once: made to be run under sanitizers. Exit status 0: all results are right.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "sortnet.h"

namespace {

using Floats = std::vector<float>;
constexpr float kInf = std::numeric_limits<float>::infinity();

void require(bool condition, const char *what) {
  if (!condition) {
    std::fprintf(stderr, "failed: %s\n", what);
    std::exit(1);
  }
}

constexpr std::align_val_t kCacheLine{64};
struct Free {
  void operator()(void *p) const { ::operator delete(p, kCacheLine); }
};

struct Case {
  int64_t B, I, O, stride_gap, group;
  Floats x, w, dy;
  std::vector<uint8_t> in, out;
  std::unique_ptr<void, Free> packed;

  Case(int64_t b, int64_t i, int64_t o, unsigned seed) : B(b), I(i), O(o), stride_gap(seed % 3) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::bernoulli_distribution keep(0.7);
    group = 1 + seed % 5;
    // The last row ends where its columns do: nothing may be read beyond.
    const auto fill = [&](int64_t rows, int64_t columns) {
      Floats v(static_cast<size_t>(rows == 0 ? 0 : (rows - 1) * (columns + stride_gap) + columns));
      for (float &f : v) f = normal(random);
      return v;
    };
    x = fill(B, I);
    w = fill(O, I);
    dy = fill(B, O);
    const int64_t rows = (B + group - 1) / group;
    in.resize(static_cast<size_t>(rows * I));
    out.resize(static_cast<size_t>(rows * O));
    for (auto &m : in) m = keep(random);
    for (auto &m : out) m = keep(random);
    const size_t bytes = sn_packed_bytes(O, I);
    if (bytes > 0) packed.reset(::operator new(bytes, kCacheLine));
    require(sn_pack(w.data(), I + stride_gap, O, I, packed.get()) == SN_OK, "pack");
  }
  sn_layer layer(bool with_packed) const {
    return {w.data(), I + stride_gap, with_packed ? packed.get() : nullptr, B, I, O};
  }
  Floats output(int64_t rows, int64_t columns) const {
    return Floats(static_cast<size_t>(rows == 0 ? 0 : (rows - 1) * (columns + stride_gap) + columns));
  }
  float at(const Floats &v, int64_t columns, int64_t r, int64_t c) const {
    return v[static_cast<size_t>(r * (columns + stride_gap) + c)];
  }
  bool keeps(const std::vector<uint8_t> &mask, int64_t columns, int64_t b, int64_t c) const {
    return mask[static_cast<size_t>(b / group * columns + c)] != 0;
  }
};

bool close(double got, double want, double tolerance) {
  return std::fabs(got - want) <= tolerance * std::max(1.0, std::fabs(want));
}

double norm(const Case &c, int64_t b, int64_t o, float p, bool masked) {
  double top = 0, sum = 0;
  for (int pass = 0; pass < 2; ++pass) {
    for (int64_t i = 0; i < c.I; ++i) {
      if (masked && !c.keeps(c.in, c.I, b, i)) continue;
      const double a = std::fabs(c.at(c.x, c.I, b, i) - c.at(c.w, c.I, o, i));
      if (pass == 0) top = std::max(top, a);
      else if (top > 0) sum += std::pow(a / top, double(p));
    }
  }
  return p == kInf || top == 0 ? top : top * std::pow(sum, 1.0 / double(p));
}

void check_norms(const Case &c, float p, bool masked, bool packed, const sn_executor *ex) {
  const sn_layer layer = c.layer(packed);
  const sn_masks masks = {c.in.data(), c.out.data(), c.group};
  const int64_t xs = c.I + c.stride_gap, ys = c.O + c.stride_gap;
  Floats y = c.output(c.B, c.O), dx = c.output(c.B, c.I), dw = c.output(c.O, c.I);
  require(sn_lp_forward(&layer, masked ? &masks : nullptr, p, c.x.data(), xs, y.data(), ys, ex) == SN_OK,
          "lp_forward status");
  for (int64_t b = 0; b < c.B; ++b) {
    for (int64_t o = 0; o < c.O; ++o) {
      const bool dropped = masked && !c.keeps(c.out, c.O, b, o);
      require(close(c.at(y, c.O, b, o), dropped ? 0.0 : norm(c, b, o, p, masked), 3e-6), "lp_forward");
    }
  }
  require(sn_lp_backward(&layer, masked ? &masks : nullptr, p, c.x.data(), xs, y.data(), ys,
                         c.dy.data(), ys, dx.data(), xs, dw.data(), xs, ex) == SN_OK,
          "lp_backward status");
  // What one side gains the other loses, per input.
  for (int64_t i = 0; i < c.I; ++i) {
    double sum = 0;
    for (int64_t b = 0; b < c.B; ++b) sum += c.at(dx, c.I, b, i);
    for (int64_t o = 0; o < c.O; ++o) sum += c.at(dw, c.I, o, i);
    require(std::fabs(sum) < 1e-3, "lp_backward balance");
  }
}

void check_sorted(const Case &c, int64_t K, bool packed, const sn_executor *ex) {
  const sn_layer layer = c.layer(packed);
  Floats coef(static_cast<size_t>(K));
  for (int64_t k = 0; k < K; ++k) coef[static_cast<size_t>(k)] = 1.0f / float(k + 1);
  const sn_coefficients coefficients = {coef.data(), 0, K};
  const int64_t xs = c.I + c.stride_gap, ys = c.O + c.stride_gap;
  Floats y = c.output(c.B, c.O), low = y, high = y;
  require(sn_sort_forward(&layer, &coefficients, c.x.data(), xs, y.data(), ys, ex) == SN_OK,
          "sort_forward status");
  Floats a(static_cast<size_t>(c.I));
  for (int64_t b = 0; b < c.B; ++b) {
    for (int64_t o = 0; o < c.O; ++o) {
      for (int64_t i = 0; i < c.I; ++i) {
        a[static_cast<size_t>(i)] = std::fabs(c.at(c.x, c.I, b, i) - c.at(c.w, c.I, o, i));
      }
      std::sort(a.begin(), a.end(), std::greater<float>());
      float want = 0;
      for (size_t k = coef.size(); k-- > 0;) want += coef[k] * a[k];
      require(c.at(y, c.O, b, o) == want, "sort_forward");
    }
  }
  require(sn_sort_bounds(&layer, &coefficients, c.x.data(), c.x.data(), xs, low.data(), high.data(),
                         ys, ex) == SN_OK,
          "sort_bounds status");
  Floats dx = c.output(c.B, c.I), dw = c.output(c.O, c.I), dcoef(static_cast<size_t>(c.O * K));
  require(sn_sort_backward(&layer, &coefficients, c.x.data(), xs, c.dy.data(), ys, dx.data(), xs,
                           dw.data(), xs, dcoef.data(), ex) == SN_OK,
          "sort_backward status");
  for (int64_t i = 0; i < c.I; ++i) {
    double sum = 0;
    for (int64_t b = 0; b < c.B; ++b) sum += c.at(dx, c.I, b, i);
    for (int64_t o = 0; o < c.O; ++o) sum += c.at(dw, c.I, o, i);
    require(std::fabs(sum) < 1e-3, "sort_backward balance");
  }
  for (int64_t b = 0; b < c.B; ++b) {
    for (int64_t o = 0; o < c.O; ++o) {
      require(c.at(low, c.O, b, o) <= c.at(y, c.O, b, o) && c.at(y, c.O, b, o) <= c.at(high, c.O, b, o),
              "sort_bounds");
    }
  }
}

void check_bounds(const Case &c, float p, bool packed, const sn_executor *ex) {
  const sn_layer layer = c.layer(packed);
  const int64_t xs = c.I + c.stride_gap, ys = c.O + c.stride_gap;
  Floats lower = c.x, upper = c.x, low = c.output(c.B, c.O), high = low;
  for (float &f : lower) f -= 0.05f;
  for (float &f : upper) f += 0.05f;
  require(sn_lp_bounds(&layer, p, lower.data(), upper.data(), xs, low.data(), high.data(), ys, ex) == SN_OK,
          "lp_bounds status");
  for (int64_t b = 0; b < c.B; ++b) {
    for (int64_t o = 0; o < c.O; ++o) {
      const double y = norm(c, b, o, p, false);
      require(c.at(low, c.O, b, o) <= y && y <= c.at(high, c.O, b, o), "lp_bounds");
    }
  }
}

void check_all(const sn_executor *ex) {
  const int64_t sizes[][3] = {{0, 5, 3},  {1, 1, 1},    {3, 17, 33}, {9, 64, 40},
                              {7, 0, 5},  {5, 347, 19}, {33, 70, 7}, {2, 700, 34}};
  unsigned seed = 1;
  for (const auto &s : sizes) {
    const Case c(s[0], s[1], s[2], seed++);
    for (const float p : {1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 8.0f, 12.0f, 17.3f, 192.0f, 300.0f, kInf}) {
      for (const bool masked : {false, true}) check_norms(c, p, masked, seed % 2 == 0, ex);
      check_bounds(c, p, seed % 2 == 1, ex);
    }
    for (const int64_t K : {0, 1, 4, 10, 16, 20}) {
      if (K <= c.I) check_sorted(c, K, K % 2 == 0, ex);
    }
  }
}

} // namespace

int main() {
  std::printf("instruction set: %s\n", sn_isa());
  check_all(nullptr);
  std::vector<std::thread> hosts;
  for (int t = 0; t < 2; ++t) {
    hosts.emplace_back([] {
      sn_pool pool = {nullptr, 3};
      const sn_executor ex = {sn_pool_parallel_for, &pool};
      check_all(&ex);
    });
  }
  for (auto &h : hosts) h.join();
  std::puts("all right");
  return 0;
}
