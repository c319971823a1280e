// Four float32 lanes in the vector extension of GCC and Clang: whatever the processor has.
#ifndef SORTNET_CPU_SIMD_GENERIC_H
#define SORTNET_CPU_SIMD_GENERIC_H

#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace sortnet {
namespace {

struct Simd {
  static constexpr const char *name = "generic";
  typedef float F __attribute__((vector_size(16)));
  typedef int32_t M __attribute__((vector_size(16)));
  static constexpr bool fused = false; // fma rounds once
  static constexpr int N = 4;

  static F load(const float *p) {
    F v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static F load(const float *p, int n) {
    F v = set1(0.0f);
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
  }
  static void store(float *p, F v) { std::memcpy(p, &v, sizeof v); }
  template <int Count> static void store_first(float *p, F v) {
    std::memcpy(p, &v, Count * sizeof(float));
  }
  static F set1(float v) { return F{v, v, v, v}; }
  // The compiler must take v for changed.
  static void renew(F &v) { asm volatile("" : "+m"(v)); }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return a * b + c; }
  static F fnma(F a, F b, F c) { return c - a * b; }
  static F max(F a, F b) { return a > b ? a : b; }
  static F min(F a, F b) { return a < b ? a : b; }
  static F abs(F a) { return F(M(a) & int32(0x7fffffff)); }
  static F negate(F a) { return -a; }
#if defined(__aarch64__) // one instruction, where a comparison and a selection are two
  static F absmax(F a, F b) { return vmaxq_f32(a, abs(b)); }
#else
  static F absmax(F a, F b) { return max(a, abs(b)); } // a >= 0
#endif
  static F copysign(F a, F s) { return F(M(a) | (M(s) & ~int32(0x7fffffff))); }
  static F round(F a) {
    for (int i = 0; i < N; ++i) a[i] = std::nearbyintf(a[i]);
    return a;
  }
  static M ge(F a, F b) { return a >= b; }
  static M eq(F a, F b) { return a == b; }
  static M le(F a, F b) { return a <= b; }
  static M both(M a, M b) { return a & b; }
  static M either(M a, M b) { return a | b; }
  static M differ(M a, M b) { return a ^ b; }
  // b where not a.
  static M unless(M a, M b) { return ~a & b; }
  static bool any(M m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
  static bool any(M a, M b) { return any(a | b); }
  static uint32_t bits(M m) { return (m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8); }
  static F select(M m, F yes, F no) { return m ? yes : no; }
  static F zero_unless(M m, F v) { return F(m & M(v)); }
  static F add_if(M m, F a, F b) { return add(a, zero_unless(m, b)); } // a where not m
  static F max_bits(F a, F b) { return M(a) > M(b) ? a : b; }
  static F min_bits(F a, F b) { return M(a) < M(b) ? a : b; }
  // a >= 0, or NaN, above which is infinity. On integers: the pattern after infinity's is a
  // signalling NaN, which minima of floats may let through.
  static F next_up(F a) {
    const M i = (M(a) & int32(0x7fffffff)) + 1, infinity = int32(0x7f800000);
    return F(i < infinity ? i : infinity);
  }
  static F next_down(F a) {
    const M i = M(a) - 1;
    return F(i > 0 ? i : int32(0));
  }
  // A denormal v counts as 2^-127 m.
  static void split(F v, F *e, F *m) {
    const M i = M(abs(v));
    *e = __builtin_convertvector((i >> 23) - 127, F);
    *m = F((i & 0x7fffff) | 0x3f800000);
  }
  // z below -126 counts as -126: the terms that this keeps are far below every sum of use.
  static F parts(F z, F *fraction) {
    z = max(z, set1(-126.0f));
    const F whole = floor(z);
    *fraction = z - whole;
    return whole;
  }
  static F scale_normal(F a, F whole) {
    return F(M(a) + (__builtin_convertvector(whole, M) << 23));
  }
  static F scale(F a, F z) {
    const M n = __builtin_convertvector(floor(min(max(z, set1(-280.0f)), set1(280.0f))), M);
    // Two exact steps and a last rounded one reach every exponent.
    const M h = n >> 2, rest = n - 2 * h;
    return a * power(h) * power(h) * power(rest >> 1) * power(rest - (rest >> 1));
  }
  static int compress(float *p, F v, M m) {
    int n = 0;
    for (int i = 0; i < N; ++i) {
      if (m[i] != 0) p[n++] = v[i];
    }
    return n;
  }
  static M nonzero(const uint8_t *p) {
    return M{-(p[0] != 0), -(p[1] != 0), -(p[2] != 0), -(p[3] != 0)};
  }
  static int expand_add(float *to, const float *p, M m) {
    int n = 0;
    for (int i = 0; i < N; ++i) {
      if (m[i] != 0) to[i] += p[n++];
    }
    return n;
  }
  static float least(F v) {
    float least = v[0];
    for (int i = 1; i < N; ++i) least = v[i] < least ? v[i] : least;
    return least;
  }
  static void store_bytes(uint8_t *p, F v) {
    for (int i = 0; i < N; ++i) p[i] = uint8_t(v[i]);
  }
  static uint64_t reaching(const uint8_t *w, const uint8_t *low, const uint8_t *high, uint8_t least) {
    typedef uint8_t Bytes __attribute__((vector_size(16)));
    uint64_t bits = 0;
    for (int at = 0; at < 64; at += 16) {
      Bytes v, l, h;
      std::memcpy(&v, w + at, 16);
      std::memcpy(&l, low + at, 16);
      std::memcpy(&h, high + at, 16);
      const Bytes above = h > v ? h - v : Bytes{}, below = v > l ? v - l : Bytes{};
      const Bytes reach = above > below ? above : below;
      const auto hit = (reach >= least) & 1;
      for (int i = 0; i < 16; ++i) bits |= uint64_t(uint8_t(hit[i])) << (at + i);
    }
    return bits;
  }
  static int64_t places(uint32_t *to, uint32_t first, uint64_t bits) {
    uint32_t *next = to;
    for (; bits != 0; bits &= bits - 1) *next++ = first + uint32_t(__builtin_ctzll(bits));
    return next - to;
  }
  static void transpose(F *r) {
    F t[4];
    for (int i = 0; i < 4; ++i) t[i] = F{r[0][i], r[1][i], r[2][i], r[3][i]};
    for (int i = 0; i < 4; ++i) r[i] = t[i];
  }

private:
  static M int32(int32_t v) { return M{v, v, v, v}; }
  static F power(M n) { return F((n + 127) << 23); }
  // For |z| < 2^31.
  static F floor(F z) {
    const F t = __builtin_convertvector(__builtin_convertvector(z, M), F);
    return t > z ? t - 1.0f : t;
  }
};

} // namespace
} // namespace sortnet

#endif
