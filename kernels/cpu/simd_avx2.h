// Eight float32 lanes: AVX2 and FMA.
#ifndef SORTNET_CPU_SIMD_AVX2_H
#define SORTNET_CPU_SIMD_AVX2_H

#include <immintrin.h>

#include <cstdint>

namespace sortnet {
namespace {

// For each mask of eight lanes, a byte a lane: the lane that compress puts there, and the place from
// which expand takes it.
struct LaneTable {
  uint64_t row[256];
  uint64_t operator[](uint32_t mask) const { return row[mask]; }
};
constexpr LaneTable lane_table(bool expand) {
  LaneTable t = {};
  for (uint32_t mask = 0; mask < 256; ++mask) {
    uint64_t row = 0;
    int n = 0;
    for (int lane = 0; lane < 8; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      row |= uint64_t(expand ? n : lane) << 8 * (expand ? lane : n);
      ++n;
    }
    t.row[mask] = row;
  }
  return t;
}
constexpr LaneTable kCompress = lane_table(false), kExpand = lane_table(true);

struct Simd {
  static constexpr const char *name = "avx2";
  using F = __m256;
  using M = __m256;
  static constexpr bool fused = true; // fma rounds once
  static constexpr int N = 8;

  static F load(const float *p) { return _mm256_loadu_ps(p); }
  static F load(const float *p, int n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane));
  }
  static void store(float *p, F v) { _mm256_storeu_ps(p, v); }
  template <int Count> static void store_first(float *p, F v) {
    if (Count == N) store(p, v);
    else if (Count == 4) _mm_storeu_ps(p, _mm256_castps256_ps128(v));
    else if (Count == 2) _mm_storel_pi(reinterpret_cast<__m64 *>(p), _mm256_castps256_ps128(v));
    else _mm_store_ss(p, _mm256_castps256_ps128(v));
  }
  static F set1(float v) { return _mm256_set1_ps(v); }
  // The compiler must take v for changed.
  static void renew(F &v) { asm volatile("" : "+x"(v)); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F negate(F a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
  static F absmax(F a, F b) { return _mm256_max_ps(a, abs(b)); } // a >= 0
  static F copysign(F a, F s) {
    return _mm256_or_ps(a, _mm256_and_ps(s, _mm256_set1_ps(-0.0f)));
  }
  static F round(F a) { return _mm256_round_ps(a, 8); }
  static M ge(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
  static M eq(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  static M le(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
  static M both(M a, M b) { return _mm256_and_ps(a, b); }
  static M either(M a, M b) { return _mm256_or_ps(a, b); }
  static M differ(M a, M b) { return _mm256_xor_ps(a, b); }
  // b where not a.
  static M unless(M a, M b) { return _mm256_andnot_ps(a, b); }
  static bool any(M m) { return _mm256_movemask_ps(m) != 0; }
  static bool any(M a, M b) { return any(_mm256_or_ps(a, b)); }
  static uint32_t bits(M m) { return uint32_t(_mm256_movemask_ps(m)); }
  static F select(M m, F yes, F no) { return _mm256_blendv_ps(no, yes, m); }
  static F zero_unless(M m, F v) { return _mm256_and_ps(m, v); }
  static F add_if(M m, F a, F b) { return add(a, zero_unless(m, b)); } // a where not m
  static F max_bits(F a, F b) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
  }
  static F min_bits(F a, F b) {
    return _mm256_castsi256_ps(_mm256_min_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
  }
  static F next_up(F a) {
    const __m256i i = _mm256_castps_si256(a);
    return _mm256_min_ps(_mm256_castsi256_ps(_mm256_add_epi32(i, _mm256_set1_epi32(1))),
                         _mm256_set1_ps(__builtin_inff()));
  }
  static F next_down(F a) {
    const __m256i i = _mm256_castps_si256(a);
    return _mm256_castsi256_ps(
        _mm256_max_epi32(_mm256_sub_epi32(i, _mm256_set1_epi32(1)), _mm256_setzero_si256()));
  }
  // A denormal v counts as 2^-127 m.
  static void split(F v, F *e, F *m) {
    const __m256i i = _mm256_castps_si256(abs(v));
    *e = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(i, 23), _mm256_set1_epi32(127)));
    *m = _mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(i, _mm256_set1_epi32(0x7fffff)),
                                             _mm256_set1_epi32(0x3f800000)));
  }
  // z below -126 counts as -126: the terms that this keeps are far below every sum of use.
  static F parts(F z, F *fraction) {
    z = _mm256_max_ps(z, _mm256_set1_ps(-126.0f));
    const F whole = _mm256_floor_ps(z);
    *fraction = _mm256_sub_ps(z, whole);
    return whole;
  }
  static F scale_normal(F a, F whole) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a),
                                                _mm256_slli_epi32(_mm256_cvtps_epi32(whole), 23)));
  }
  static F scale(F a, F z) {
    const __m256i n = _mm256_cvtps_epi32(_mm256_floor_ps(
        _mm256_min_ps(_mm256_max_ps(z, _mm256_set1_ps(-280.0f)), _mm256_set1_ps(280.0f))));
    // Two exact steps and a last rounded one reach every exponent.
    const __m256i h = _mm256_srai_epi32(n, 2), rest = _mm256_sub_epi32(n, _mm256_slli_epi32(h, 1));
    const F s = power(h), q = power(_mm256_srai_epi32(rest, 1));
    const F last = power(_mm256_sub_epi32(rest, _mm256_srai_epi32(rest, 1)));
    return mul(mul(mul(mul(a, s), s), q), last);
  }
  // Writes N floats, the first of them as many as m has lanes: how many.
  static int compress(float *p, F v, M m) {
    const uint32_t b = bits(m);
    _mm256_storeu_ps(p, _mm256_permutevar8x32_ps(v, lanes(kCompress[b])));
    return __builtin_popcount(b);
  }
  static M nonzero(const uint8_t *p) {
    const __m128i b = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(p));
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_cvtepu8_epi32(b), _mm256_setzero_si256()));
  }
  static int expand_add(float *to, const float *p, M m) {
    const uint32_t b = bits(m);
    const F v = _mm256_permutevar8x32_ps(load(p), lanes(kExpand[b]));
    store(to, add(load(to), zero_unless(m, v)));
    return __builtin_popcount(b);
  }
  static float least(F v) {
    const __m128 h = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 q = _mm_min_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_min_ss(q, _mm_movehdup_ps(q)));
  }
  static void store_bytes(uint8_t *p, F v) {
    const __m256i i = _mm256_cvttps_epi32(v);
    const __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i *>(p), _mm_packus_epi16(h, h));
  }
  static uint64_t reaching(const uint8_t *w, const uint8_t *low, const uint8_t *high, uint8_t least) {
    const __m256i l = _mm256_set1_epi8(char(least));
    const auto half = [&](int at) {
      const auto load = [at](const uint8_t *p) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p + at));
      };
      const __m256i v = load(w);
      const __m256i reach = _mm256_max_epu8(_mm256_subs_epu8(load(high), v),
                                            _mm256_subs_epu8(v, load(low)));
      return uint32_t(_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(reach, l), reach)));
    };
    return half(0) | uint64_t(half(32)) << 32;
  }
  static int64_t places(uint32_t *to, uint32_t first, uint64_t bits) {
    uint32_t *next = to;
#pragma GCC unroll 8
    for (uint32_t k = 0; k < 64; k += 8) {
      const uint32_t part = uint32_t(bits >> k) & 0xff;
      const __m256i i = _mm256_add_epi32(lanes(kCompress[part]), _mm256_set1_epi32(int(first + k)));
      _mm256_storeu_si256(reinterpret_cast<__m256i *>(next), i);
      next += __builtin_popcount(part);
    }
    return next - to;
  }
  static void transpose(F *r) {
    F t[8];
    for (int i = 0; i < 8; i += 4) {
      const F a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
      const F c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
      const F d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
      t[i] = _mm256_shuffle_ps(a, c, 0x44);
      t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
      t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
      t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; ++i) {
      r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
      r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
  }

private:
  static __m256i lanes(uint64_t bytes) {
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(int64_t(bytes)));
  }
  static F power(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
};

} // namespace
} // namespace sortnet

#endif
