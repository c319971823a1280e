// What the kernels of every instruction set share: layout of packed weights, tiles, x's statistics.
// Included once by each of avx512.cpp, avx2.cpp and generic.cpp behind its Simd: everything is in an
// anonymous namespace, so that no code compiled for a newer processor is linked into an older one's path.
#ifndef SORTNET_CPU_COMMON_H
#define SORTNET_CPU_COMMON_H

#include <cfloat>
#include <cstring>
#include <type_traits>

#include "kernels.h"
#include "parallel.h"
#include "scalar.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace sortnet {
namespace {

using F = Simd::F;
using M = Simd::M;
constexpr int kLanes = Simd::N;
constexpr int kPair = 2;                  // vectors side by side in a tile
constexpr int kPanel = kPair * kLanes;    // neurons side by side
constexpr float kInfinity = __builtin_inff();

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
// Floats would become whole numbers.
template <class T> std::enable_if_t<std::is_floating_point<T>::value> smaller(T, T) = delete;
template <class T> std::enable_if_t<std::is_floating_point<T>::value> larger(T, T) = delete;
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
// NaN and infinity are not finite.
inline bool finite(float magnitude) { return magnitude <= FLT_MAX; }

// Carves arrays from a thread's scratch memory: first count, then take in the same order.
class Carver {
public:
  template <class T> void count(int64_t n) { bytes_ += size_t(round_up(n * int64_t(sizeof(T)), 64)); }
  // In a task, where running out of memory is an exception.
  void open_or_throw(ScratchSlot slot) { next_ = static_cast<char *>(scratch(slot, bytes_)); }
  bool open(ScratchSlot slot) {
    try {
      open_or_throw(slot);
    } catch (...) {
      return false;
    }
    return true;
  }
  template <class T> T *take(int64_t n) {
    T *p = reinterpret_cast<T *>(next_);
    next_ += round_up(n * int64_t(sizeof(T)), 64);
    return p;
  }

private:
  size_t bytes_ = 0;
  char *next_ = nullptr;
};

// Results below the normal range become zero while this lives: a denormal costs a hundred cycles.
class FlushToZero {
public:
#if defined(__SSE2__)
  FlushToZero() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8000); }
  ~FlushToZero() { _mm_setcsr(saved_); }

private:
  unsigned saved_;
#else
  FlushToZero() {}
  ~FlushToZero() {}
#endif
};

// ---- packed weights ----
// panels * kPanel floats: the largest |w| of each neuron (infinite or NaN if one is); then the
// panels, each [I][kPanel]: the weights of kPanel neurons side by side. Absent neurons are zero.

inline int64_t panels(int64_t outputs) { return ceil_div(outputs, kPanel); }

size_t packed_bytes(int64_t outputs, int64_t inputs) {
  return size_t(panels(outputs)) * size_t(inputs + 1) * kPanel * sizeof(float);
}

// Lays `count` <= Width rows of `columns` floats side by side: out[k * Width + r] = row r at the k-th
// kept column (kept null: all), and undefined values in one column more. Absent rows are zero.
// `largest`: the largest |value| of each row over all columns, infinite or NaN if one is.
template <int Width>
void interleave(const float *const *rows, int count, int64_t columns, const uint8_t *kept,
                   float *out, float *largest) {
  constexpr int vectors = Width > kLanes ? Width / kLanes : 1;
  constexpr int used = Width > kLanes ? kLanes : Width;
  for (int v = 0; v < vectors; ++v) {
    F top = Simd::set1(0.0f);
    float *to = out + v * kLanes;
    const int present = int(larger(0, smaller(kLanes, count - v * kLanes)));
    for (int64_t i = 0; i < columns; i += kLanes) {
      const int n = int(smaller(kLanes, columns - i));
      F t[kLanes];
      if (present == kLanes && n == kLanes) {
#pragma GCC unroll 16
        for (int l = 0; l < kLanes; ++l) t[l] = Simd::load(rows[v * kLanes + l] + i);
      } else {
        for (int l = 0; l < kLanes; ++l) {
          t[l] = l < present ? Simd::load(rows[v * kLanes + l] + i, n) : Simd::set1(0.0f);
        }
      }
      Simd::transpose(t);
      for (int l = 0; l < n; ++l) {
        top = Simd::max_bits(top, Simd::abs(t[l]));
        Simd::store_first<used>(to, t[l]);
        to += kept == nullptr || kept[i + l] != 0 ? Width : 0;
      }
    }
    float lane[kLanes];
    Simd::store(lane, top);
    for (int l = 0; l < kLanes && v * kLanes + l < Width; ++l) largest[v * kLanes + l] = lane[l];
  }
}

void pack_panel(const sn_layer &l, int64_t panel, float *out, float *largest) {
  const float *rows[kPanel];
  const int count = int(smaller(kPanel, l.outputs - panel * kPanel));
  for (int k = 0; k < count; ++k) rows[k] = l.w + (panel * kPanel + k) * l.w_stride;
  interleave<kPanel>(rows, count, l.inputs, nullptr, out, largest);
}

void pack(const float *w, int64_t w_stride, int64_t outputs, int64_t inputs, float *packed) {
  const sn_layer layer = {w, w_stride, nullptr, 0, inputs, outputs};
  const int64_t n = panels(outputs);
  for (int64_t p = 0; p < n; ++p) {
    pack_panel(layer, p, packed + (n + p * inputs) * kPanel, packed + p * kPanel);
  }
}

struct Panel {
  const float *w;       // [I][kPanel]
  const float *largest; // [kPanel]
};

// A panel of the layer: the packed one, or rearranged now into `room`, (I + 1) * kPanel floats.
Panel panel_of(const sn_layer &l, int64_t panel, float *room) {
  if (l.packed != nullptr) {
    const float *packed = static_cast<const float *>(l.packed);
    return {packed + (panels(l.outputs) + panel * l.inputs) * kPanel, packed + panel * kPanel};
  }
  pack_panel(l, panel, room + kPanel, room);
  return {room + kPanel, room};
}

// Neurons whose weights are not finite, a bit each.
uint64_t not_finite(const float *largest) {
  uint64_t bits = 0;
  for (int k = 0; k < kPanel; ++k) bits |= uint64_t(!finite(largest[k])) << k;
  return bits;
}

// Rows of the batch that one task handles, so that there are tasks enough for the threads and a
// rearranged panel serves many rows. Depends on sizes only.
int64_t rows_per_task(int64_t batch, int64_t panel_count) {
  const int64_t chunks = larger(1, ceil_div(16, panel_count));
  return round_up(larger(ceil_div(batch, chunks), smaller(batch, 32)), 8);
}

// ---- kept inputs ----

// Copies the kept of n floats (kept null: all) of each row densely; may write kLanes floats beyond. How many.
template <int Rows>
int64_t gather(const float *const (&from)[Rows], const uint8_t *kept, int64_t n, float *const (&to)[Rows]) {
  if (kept == nullptr) {
    for (int r = 0; r < Rows && n > 0; ++r) std::memcpy(to[r], from[r], size_t(n) * sizeof(float));
    return n;
  }
  int64_t count = 0, i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const M m = Simd::nonzero(kept + i);
    int here = 0;
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) here = Simd::compress(to[r] + count, Simd::load(from[r] + i), m);
    count += here;
  }
  for (; i < n; ++i) {
    for (int r = 0; r < Rows; ++r) to[r][count] = from[r][i];
    count += kept[i] != 0;
  }
  return count;
}

// Adds what `gather` would have made of n floats to the kept ones among them.
template <int Rows>
void scatter_add(const float *const (&from)[Rows], const uint8_t *kept, int64_t n, float *const (&to)[Rows]) {
  if (kept == nullptr) {
    for (int r = 0; r < Rows; ++r) {
      for (int64_t i = 0; i < n; ++i) to[r][i] += from[r][i];
    }
    return;
  }
  int64_t count = 0, i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const M m = Simd::nonzero(kept + i);
    int here = 0;
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) here = Simd::expand_add(to[r] + i, from[r] + count, m);
    count += here;
  }
  for (; i < n; ++i) {
    if (kept[i] == 0) continue;
    for (int r = 0; r < Rows; ++r) to[r][i] += from[r][count];
    ++count;
  }
}

int64_t count_kept(const uint8_t *mask, int64_t n) {
  if (mask == nullptr) return n;
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += mask[i] != 0;
  return count;
}

// The row of group g in a mask of n columns; null: all kept.
inline const uint8_t *mask_row(const uint8_t *mask, int64_t g, int64_t n) {
  return mask == nullptr ? nullptr : mask + g * n;
}

// ---- samples ----

// Rows of the next tile when `left` are left and tiles have at most `most` (8 or 4).
inline int tile_rows(int64_t left, int most) {
  return left >= 8 && most >= 8 ? 8 : left >= 4 && most >= 4 ? 4 : 1;
}

// The samples in the order that tiles read them: the tile that starts at sample b has its rows
// interleaved from tiles + b * (columns + 1) on.
struct Samples {
  float *tiles;
  float *largest; // of each sample; infinite or NaN if one of its values is
};

template <int Rows>
void interleave_rows(const float *x, int64_t stride, int64_t width, const uint8_t *kept, float *out,
                     float *largest) {
  const float *rows[Rows];
  for (int r = 0; r < Rows; ++r) rows[r] = x + r * stride;
  interleave<Rows>(rows, Rows, width, kept, out, largest);
}

// Lays out the samples first .. last-1, `columns` inputs kept out of `width`.
void interleave_samples(const float *x, int64_t stride, int64_t width, const uint8_t *kept,
                        int64_t columns, int64_t first, int64_t last, int most, const Samples &to) {
  for (int64_t b = first; b < last;) {
    const int rows = tile_rows(last - b, most);
    const float *from = x + b * stride;
    float *out = to.tiles + b * (columns + 1);
    switch (rows) {
      case 8: interleave_rows<8>(from, stride, width, kept, out, to.largest + b); break;
      case 4: interleave_rows<4>(from, stride, width, kept, out, to.largest + b); break;
      default: interleave_rows<1>(from, stride, width, kept, out, to.largest + b);
    }
    b += rows;
  }
}

// ---- terms ----
// What a neuron takes of an input, from the values x[r] and, for an interval, u[r] of sample r.

// n floats, n >= kLanes: all; absent ones are zero.
inline F load_some(const float *p, int n) { return n >= kLanes ? Simd::load(p) : Simd::load(p, n); }

struct Distance { // x - w; its magnitude is the term
  struct Operand {
    F x;
  };
  static Operand load(const float *x, const float *, int r) { return {Simd::set1(x[r])}; }
  static Operand load_row(const float *x, const float *, int64_t i, int n) {
    return {load_some(x + i, n)};
  }
  static F of(Operand o, F w) { return Simd::sub(o.x, w); }
};

struct Interval {
  struct Operand {
    F l, u;
  };
  static Operand load(const float *l, const float *u, int r) {
    return {Simd::set1(l[r]), Simd::set1(u[r])};
  }
  static Operand load_row(const float *l, const float *u, int64_t i, int n) {
    return {load_some(l + i, n), load_some(u + i, n)};
  }
};

struct Farthest : Interval { // max |x - w| over [l, u]
  static F of(Operand o, F w) { return Simd::max(Simd::sub(w, o.l), Simd::sub(o.u, w)); }
};

struct Nearest : Interval { // min |x - w| over [l, u]
  static F of(Operand o, F w) {
    return Simd::max(Simd::max(Simd::sub(o.l, w), Simd::sub(w, o.u)), Simd::set1(0.0f));
  }
};

// Kinds of terms that are taken of the same inputs: `of` makes values of them, whose sizes are the terms.

template <class Term> struct One : Term {
  static constexpr int count = 1;
  static void of(typename Term::Operand o, F w, F *a) { a[0] = Term::of(o, w); }
  static F size(F a) { return Simd::abs(a); }
  static F larger(F size, F a) { return Simd::absmax(size, a); }
};

struct NearestAndFarthest : Interval {
  static constexpr int count = 2;
  static void of(Operand o, F w, F *a) {
    // Not both are negative: the larger is the farthest, and the nearest minus the smaller.
    const F below = Simd::sub(w, o.l), above = Simd::sub(o.u, w);
    a[0] = Simd::negate(Simd::min_bits(below, above)); // negative inside the interval: no term
    a[1] = Simd::max_bits(below, above);
  }
  static F size(F a) { return a; }
  static F larger(F size, F a) { return Simd::max_bits(size, a); }
};

// A tile: Rows samples (their upper ends u for intervals) and a panel, all interleaved. Slot
// r * kPair + v belongs to sample r and the v-th vector of neurons.
struct Tile {
  const float *x; // [inputs][Rows]
  const float *u; // [inputs][Rows]
  const float *w; // [inputs][kPanel]
  int64_t inputs;
};

} // namespace
} // namespace sortnet

#endif
