// Sixteen float32 lanes: AVX-512 F and DQ.
#ifndef SORTNET_CPU_SIMD_AVX512_H
#define SORTNET_CPU_SIMD_AVX512_H

#if defined(SORTNET_EMULATED_AVX512) // tests on other processors
#include "../tests/simde_avx512.h"
#else
#include <immintrin.h>
#endif

#include <cstdint>

namespace sortnet {
namespace {

struct Simd {
  static constexpr const char *name = "avx512";
  using F = __m512;
  using M = __mmask16;
  static constexpr bool fused = true; // fma rounds once
  static constexpr int N = 16;

  static F load(const float *p) { return _mm512_loadu_ps(p); }
  // The first n floats, 0 <= n < N; zeros after them.
  static F load(const float *p, int n) { return _mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p); }
  static void store(float *p, F v) { _mm512_storeu_ps(p, v); }
  template <int Count> static void store_first(float *p, F v) {
    if (Count == N) store(p, v);
    else _mm512_mask_storeu_ps(p, __mmask16((1u << Count) - 1), v);
  }
  static F set1(float v) { return _mm512_set1_ps(v); }
  // The compiler must take v for changed.
#if defined(SORTNET_EMULATED_AVX512)
  static void renew(F &v) { asm volatile("" : "+m"(v)); }
#else
  static void renew(F &v) { asm volatile("" : "+v"(v)); }
#endif
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F abs(F a) { return _mm512_abs_ps(a); }
  static F negate(F a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
  // max(|a|, |b|) in one instruction.
  static F absmax(F a, F b) { return _mm512_range_ps(a, b, 0xb); }
  // a with the sign of s; a >= 0.
  static F copysign(F a, F s) {
    return _mm512_or_ps(a, _mm512_and_ps(s, _mm512_set1_ps(-0.0f)));
  }
  static F round(F a) { return _mm512_roundscale_ps(a, 8); }
  static M ge(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
  static M eq(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static M le(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
  static M both(M a, M b) { return M(a & b); }
  static M either(M a, M b) { return M(a | b); }
  static M differ(M a, M b) { return M(a ^ b); }
  // b where not a.
  static M unless(M a, M b) { return M(~a & b); }
  static bool any(M m) { return m != 0; }
  static bool any(M a, M b) { return (a | b) != 0; }
  // Through a general register: GCC 12 spills a mask as two bytes and reads four.
  static uint32_t bits(M m) {
    uint32_t b = m;
    asm("" : "+r"(b));
    return b;
  }
  static F select(M m, F yes, F no) { return _mm512_mask_blend_ps(m, no, yes); }
  static F zero_unless(M m, F v) { return _mm512_maskz_mov_ps(m, v); }
  static F add_if(M m, F a, F b) { return _mm512_mask_add_ps(a, m, a, b); } // a where not m
  // The larger and the smaller of a and b, at least one of them >= +0, by their bits: other units of the processor
  // compare integers. NaN of a sign counts as beyond infinity.
  static F max_bits(F a, F b) {
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
  }
  static F min_bits(F a, F b) {
    return _mm512_castsi512_ps(_mm512_min_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
  }
  // The neighbours of finite or infinite a >= 0; 0 has no lower one.
  static F next_up(F a) {
    const __m512i i = _mm512_castps_si512(a);
    return _mm512_min_ps(_mm512_castsi512_ps(_mm512_add_epi32(i, _mm512_set1_epi32(1))),
                         _mm512_set1_ps(__builtin_inff()));
  }
  static F next_down(F a) {
    const __m512i i = _mm512_castps_si512(a);
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_sub_epi32(i, _mm512_set1_epi32(1)),
                                                _mm512_setzero_si512()));
  }
  // |v| = 2^e m with 1 <= m < 2.
  static void split(F v, F *e, F *m) {
    *e = _mm512_getexp_ps(v);
    *m = _mm512_getmant_ps(v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero);
  }
  // For 2^z, z <= 127: z = whole + fraction, 0 <= fraction < 1; a 2^whole, 0 where that underflows
  // by far.
  static F parts(F z, F *fraction) {
    *fraction = _mm512_reduce_ps(z, 0x09);
    return z;
  }
  static F scale_normal(F a, F whole) { return _mm512_scalef_ps(a, whole); }
  // a 2^floor(z), rounded once.
  static F scale(F a, F z) { return _mm512_scalef_ps(a, z); }
  // Writes the lanes of m to p, densely, and perhaps zeros after them up to p + N. Their number.
  static int compress(float *p, F v, M m) {
    _mm512_storeu_ps(p, _mm512_maskz_compress_ps(m, v));
    return __builtin_popcount(bits(m));
  }
  // The lanes whose byte is not 0, N bytes.
  static M nonzero(const uint8_t *p) {
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
    return __mmask16(~_mm_movemask_epi8(_mm_cmpeq_epi8(b, _mm_setzero_si128())));
  }
  // Adds the next floats from p on to the lanes of m; how many.
  static int expand_add(float *to, const float *p, M m) {
    const F v = _mm512_maskz_expandloadu_ps(m, p);
    _mm512_mask_storeu_ps(to, m, _mm512_add_ps(_mm512_maskz_loadu_ps(m, to), v));
    return __builtin_popcount(bits(m));
  }
  static float least(F v) { return _mm512_reduce_min_ps(v); }
  // N bytes: the lanes without their fractions; 0 <= v < 256.
  static void store_bytes(uint8_t *p, F v) {
    _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm512_cvtusepi32_epi8(_mm512_cvttps_epi32(v)));
  }
  // Of 64 inputs those, a bit each, where high - w or w - low is at least `least`; a negative
  // difference counts as 0.
  static uint64_t reaching(const uint8_t *w, const uint8_t *low, const uint8_t *high, uint8_t least) {
    const __m512i v = _mm512_loadu_si512(w);
    const __m512i reach = _mm512_max_epu8(_mm512_subs_epu8(_mm512_loadu_si512(high), v),
                                          _mm512_subs_epu8(v, _mm512_loadu_si512(low)));
    return _mm512_cmpge_epu8_mask(reach, _mm512_set1_epi8(char(least)));
  }
  // Writes first + i, ascending, for each bit i of a word, and perhaps more than that, up to 64: how many.
  static int64_t places(uint32_t *to, uint32_t first, uint64_t bits) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    uint32_t *next = to;
#pragma GCC unroll 4
    for (uint32_t k = 0; k < 64; k += 16) {
      const uint32_t part = uint32_t(bits >> k) & 0xffff;
      const __m512i i = _mm512_add_epi32(lane, _mm512_set1_epi32(int(first + k)));
      _mm512_storeu_si512(next, _mm512_maskz_compress_epi32(__mmask16(part), i));
      next += __builtin_popcount(part);
    }
    return next - to;
  }
  static void transpose(F *r) {
    F t[16];
    for (int i = 0; i < 16; i += 4) {
      const F a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
      const F c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]);
      const F d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
      t[i] = _mm512_shuffle_ps(a, c, 0x44);
      t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
      t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
      t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; ++i) {
      const F a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
      const F b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
      const F c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
      const F d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
      r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
      r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
      r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
      r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
  }
};

} // namespace
} // namespace sortnet

#endif
