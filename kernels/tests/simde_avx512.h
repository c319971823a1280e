// AVX-512 on processors without it, for tests: SIMDe's version of each intrinsic, and, in plain loops
// after Intel's published semantics, those that SIMDe 0.7 lacks or that it computes otherwise (signs of
// zero and NaN, powers of two beyond the range of float, memory outside a mask).
#ifndef SORTNET_TESTS_SIMDE_AVX512_H
#define SORTNET_TESTS_SIMDE_AVX512_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace sortnet {
namespace {
namespace emulated {

template <class T> struct Lanes {
  T v[64 / sizeof(T)];
  Lanes() : v() {}
  template <class Vector> explicit Lanes(const Vector &from) {
    static_assert(sizeof from == sizeof v, "a vector of 64 bytes");
    std::memcpy(v, &from, sizeof v);
  }
  template <class Vector> Vector to() const {
    Vector result;
    static_assert(sizeof result == sizeof v, "a vector of 64 bytes");
    std::memcpy(&result, v, sizeof v);
    return result;
  }
};
using Floats = Lanes<float>;

template <class Function> __m512 map(__m512 a, const Function &function) {
  Floats r(a);
  for (float &v : r.v) v = function(v);
  return r.to<__m512>();
}
template <class Function> __m512 map(__m512 a, __m512 b, const Function &function) {
  Floats r(a);
  const Floats other(b);
  for (int i = 0; i < 16; ++i) r.v[i] = function(r.v[i], other.v[i]);
  return r.to<__m512>();
}

inline __m512 abs(__m512 a) {
  return map(a, [](float v) { return std::fabs(v); });
}

// The larger magnitude, without its sign (immediate 0xb); of a NaN and a number the number.
inline __m512 range(__m512 a, __m512 b) {
  return map(a, b, [](float x, float y) {
    if (std::isnan(x)) return std::fabs(y);
    if (std::isnan(y)) return std::fabs(x);
    return std::fabs(x) > std::fabs(y) ? std::fabs(x) : std::fabs(y);
  });
}

inline uint32_t bits_of(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
}
inline bool normal(float v) { return (bits_of(v) >> 23 & 255) - 1 < 254; }

inline __m512 getexp(__m512 a) {
  return map(a, [](float v) {
    return normal(v) ? float(int(bits_of(v) >> 23 & 255) - 127) : std::logb(v);
  });
}

// |a| scaled to [1, 2); of zero and infinity 1.
inline __m512 getmant(__m512 a) {
  return map(a, [](float v) {
    if (std::isnan(v)) return v;
    if (v == 0.0f || std::isinf(v)) return 1.0f;
    const uint32_t bits = (bits_of(normal(v) ? v : v * 0x1p60f) & 0x7fffff) | 0x3f800000;
    float m;
    std::memcpy(&m, &bits, 4);
    return m;
  });
}

// a minus the largest whole number that is not above it (immediate 9).
inline __m512 reduce(__m512 a) {
  return map(a, [](float v) {
    if (std::isinf(v)) return 0.0f;
    const float r = v - std::floor(v);
    return r == 0.0f ? -0.0f : r;
  });
}

// a 2^floor(b), rounded once.
inline __m512 scalef(__m512 a, __m512 b) {
  return map(a, b, [](float x, float z) {
    if (std::isnan(x) || std::isnan(z)) return std::nanf("");
    if (std::isinf(z)) {
      const bool lost = z > 0.0f ? x == 0.0f : std::isinf(x);
      if (lost) return std::nanf("");
      return std::copysign(z > 0.0f ? INFINITY : 0.0f, x);
    }
    // float64 holds the product of any float and 2^n for |n| <= 700 exactly; beyond, it is 0 or infinite.
    const float whole = std::floor(z);
    const int64_t n = whole < -700.0f ? -700 : whole > 700.0f ? 700 : int64_t(whole);
    const uint64_t bits = uint64_t(n + 1023) << 52;
    double power;
    std::memcpy(&power, &bits, 8);
    return float(double(x) * power);
  });
}

inline float reduce_min(__m512 a) {
  const Floats v(a);
  float least = v.v[0];
  for (const float x : v.v) least = x < least ? x : least;
  return least;
}

// Only what the mask names is touched.
inline __m512 maskz_load(__mmask16 k, const void *p) {
  Floats r;
  for (int i = 0; i < 16; ++i) {
    if (k >> i & 1) std::memcpy(r.v + i, static_cast<const char *>(p) + 4 * i, 4);
  }
  return r.to<__m512>();
}
inline void mask_store(void *p, __mmask16 k, __m512 a) {
  const Floats v(a);
  for (int i = 0; i < 16; ++i) {
    if (k >> i & 1) std::memcpy(static_cast<char *>(p) + 4 * i, v.v + i, 4);
  }
}
inline __m512 maskz_expandload(__mmask16 k, const void *p) {
  Floats r;
  int n = 0;
  for (int i = 0; i < 16; ++i) {
    if (k >> i & 1) std::memcpy(r.v + i, static_cast<const char *>(p) + 4 * n++, 4);
  }
  return r.to<__m512>();
}
inline __m512 maskz_compress(__mmask16 k, __m512 a) {
  const Floats v(a);
  Floats r;
  int n = 0;
  for (int i = 0; i < 16; ++i) {
    if (k >> i & 1) r.v[n++] = v.v[i];
  }
  return r.to<__m512>();
}

// Truncated; what int32 cannot hold becomes its least value.
inline __m512i cvttps_epi32(__m512 a) {
  const Floats v(a);
  Lanes<int32_t> r;
  for (int i = 0; i < 16; ++i) {
    r.v[i] = v.v[i] >= -0x1p31f && v.v[i] < 0x1p31f ? int32_t(v.v[i]) : INT32_MIN;
  }
  return r.to<__m512i>();
}

inline __m128i cvtusepi32_epi8(__m512i a) {
  const Lanes<uint32_t> v(a);
  uint8_t bytes[16];
  for (int i = 0; i < 16; ++i) bytes[i] = uint8_t(v.v[i] > 255 ? 255 : v.v[i]);
  __m128i r;
  std::memcpy(&r, bytes, 16);
  return r;
}

// 128-bit lanes: the first two of a, the last two of b, two bits of the immediate each.
inline __m512 shuffle_f32x4(__m512 a, __m512 b, int immediate) {
  const Floats va(a), vb(b);
  Floats r;
  for (int lane = 0; lane < 4; ++lane) {
    const float *from = (lane < 2 ? va : vb).v + 4 * (immediate >> 2 * lane & 3);
    for (int i = 0; i < 4; ++i) r.v[4 * lane + i] = from[i];
  }
  return r.to<__m512>();
}

template <int Immediate, int Wanted> constexpr bool is() {
  static_assert(Immediate == Wanted, "not emulated for this immediate");
  return true;
}

} // namespace emulated
} // namespace
} // namespace sortnet

#undef _mm512_abs_ps
#undef _mm512_range_ps
#undef _mm512_getexp_ps
#undef _mm512_getmant_ps
#undef _mm512_reduce_ps
#undef _mm512_scalef_ps
#undef _mm512_reduce_min_ps
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_maskz_expandloadu_ps
#undef _mm512_maskz_compress_ps
#undef _mm512_cvttps_epi32
#undef _mm512_cvtusepi32_epi8
#undef _mm512_shuffle_f32x4
#define _mm512_abs_ps(a) emulated::abs(a)
#define _mm512_range_ps(a, b, i) (emulated::is<i, 0xb>(), emulated::range(a, b))
#define _mm512_getexp_ps(a) emulated::getexp(a)
#define _mm512_getmant_ps(a, interval, sign) \
  (emulated::is<interval, _MM_MANT_NORM_1_2>(), emulated::is<sign, _MM_MANT_SIGN_zero>(), \
   emulated::getmant(a))
#define _mm512_reduce_ps(a, i) (emulated::is<i, 9>(), emulated::reduce(a))
#define _mm512_scalef_ps(a, b) emulated::scalef(a, b)
#define _mm512_reduce_min_ps(a) emulated::reduce_min(a)
#define _mm512_maskz_loadu_ps(k, p) emulated::maskz_load(k, p)
#define _mm512_mask_storeu_ps(p, k, a) emulated::mask_store(p, k, a)
#define _mm512_maskz_expandloadu_ps(k, p) emulated::maskz_expandload(k, p)
#define _mm512_maskz_compress_ps(k, a) emulated::maskz_compress(k, a)
#define _mm512_cvttps_epi32(a) emulated::cvttps_epi32(a)
#define _mm512_cvtusepi32_epi8(a) emulated::cvtusepi32_epi8(a)
#define _mm512_shuffle_f32x4(a, b, i) emulated::shuffle_f32x4(a, b, i)

#endif
