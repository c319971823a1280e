// The maximum of the terms, and the input at which it is: p = inf forward, backward and interval bounds.
#ifndef SORTNET_CPU_LINF_H
#define SORTNET_CPU_LINF_H

#include "prune.h"

namespace sortnet {
namespace {

// Calls with fewer samples (of a group of masks) do not fill a tile.
constexpr int64_t kLeastPruned = kTileRows / 2;

inline F least_of(const F *v) {
  F least = v[0];
  for (int k = 1; k < kTileVectors; ++k) least = Simd::min(least, v[k]);
  return least;
}

struct LinfForward {
  static constexpr int together = 8 / kTileVectors;
  static constexpr int64_t outputs() { return 1; }
  const LpForward &c;

  bool prune(const TileView &t, const Pair &p) const {
    F top[kTileVectors];
    for (F &f : top) f = Simd::set1(0.0f);
    // Above, computing all the terms is as fast.
    const bool pays = prune_pair(t, p, t.kept_count * 2 / 5, [&](const uint32_t *list, int64_t n) {
      for (int64_t k = 0; k < n; ++k) {
        const int64_t i = list[k];
        const F v = Simd::set1(p.w[i]);
        const float *x = t.x + i * kTileRows;
#pragma GCC unroll 2
        for (int j = 0; j < kTileVectors; ++j) {
          top[j] = Simd::absmax(top[j], Simd::sub(Simd::load(x + j * kLanes), v));
        }
      }
      return Simd::least(least_of(top));
    });
    for (int j = 0; j < kTileVectors; ++j) Simd::store(p.out + j * kLanes, top[j]);
    return pays;
  }

  void all(const TileView &t, const Pair *pairs, int n) const {
    const float *w[together];
    for (int k = 0; k < together; ++k) w[k] = pairs[k < n ? k : 0].w;
    F top[together][kTileVectors];
#pragma GCC unroll 8
    for (int k = 0; k < together; ++k) {
      for (F &f : top[k]) f = Simd::set1(0.0f);
    }
    for (int64_t j = 0; j < t.kept_count; ++j) {
      const int64_t i = t.kept[j];
      F x[kTileVectors];
      for (int v = 0; v < kTileVectors; ++v) x[v] = Simd::load(t.x + i * kTileRows + v * kLanes);
#pragma GCC unroll 8
      for (int k = 0; k < together; ++k) {
        const F weight = Simd::set1(w[k][i]);
#pragma GCC unroll 2
        for (int v = 0; v < kTileVectors; ++v) top[k][v] = Simd::absmax(top[k][v], Simd::sub(x[v], weight));
      }
    }
    for (int k = 0; k < n; ++k) {
      for (int v = 0; v < kTileVectors; ++v) Simd::store(pairs[k].out + v * kLanes, top[k][v]);
    }
  }
  void store(const TileView &t, const int64_t *neurons, int64_t n, const float *out) const {
    store_tile(t, neurons, n, out, kTileRows, c.y, c.y_stride);
  }
  void slow(int64_t b, int64_t o) const { c.y[b * c.y_stride + o] = lp_one(c, b, o); }
  void clear(int64_t b, int64_t o, int64_t n) const {
    std::memset(c.y + b * c.y_stride + o, 0, size_t(n) * sizeof(float));
  }
};

bool linf_prunes(const sn_layer &l, const sn_masks &m) {
  return l.inputs >= kWord && samples_together(m, l.batch) >= kLeastPruned;
}

sn_status linf_forward(const LpForward &c) {
  return with_tiles(c.layer, c.masks, c.x, nullptr, c.x_stride, c.ex,
                    [&](const Tiles &t) {
                      return for_pairs(c.layer, c.masks, t, c.ex, LinfForward{c});
                    });
}

// ---- backward ----

// Where a term is the norm: its input, with the sign of the difference as the top bit.
constexpr uint32_t kNowhere = 0xffffffff;

struct LinfPlaces {
  static constexpr int together = 1;
  static constexpr int64_t outputs() { return 1; }
  const LpBackward &c;
  uint32_t *places; // [B, O]

  struct Search {
    F y[kTileVectors], at[kTileVectors];
    // The list backwards, so that the first input of several stays.
    void in(const TileView &t, const Pair &p, const uint32_t *list, int64_t n) {
      F found[kTileVectors];
      for (int v = 0; v < kTileVectors; ++v) found[v] = at[v];
      while (n-- > 0) {
        const uint32_t i = list[n];
        float bits;
        std::memcpy(&bits, &i, sizeof bits);
        const F w = Simd::set1(p.w[i]), place = Simd::set1(bits);
#pragma GCC unroll 2
        for (int v = 0; v < kTileVectors; ++v) {
          const F d = Simd::sub(Simd::load(t.x + int64_t(i) * kTileRows + v * kLanes), w);
          found[v] = Simd::select(Simd::eq(Simd::abs(d), y[v]), place, found[v]);
        }
      }
      for (int v = 0; v < kTileVectors; ++v) at[v] = found[v];
    }
  };

  // The norms to search for; returns the least. Where there is none, nothing is found.
  float start(const TileView &t, const Pair &p, Search *s) const {
    float y[kTileRows] = {}, none, nan = __builtin_nanf("");
    std::memcpy(&none, &kNowhere, sizeof none);
    for (int64_t r = 0; r < t.rows; ++r) y[r] = c.y[(t.first + r) * c.y_stride + p.neuron];
    F least = Simd::set1(kInfinity);
    for (int v = 0; v < kTileVectors; ++v) {
      const F norm = Simd::load(y + v * kLanes);
      const M is = Simd::ge(norm, Simd::set1(0x1p-149f));
      s->y[v] = Simd::select(is, norm, Simd::set1(nan));
      s->at[v] = Simd::set1(none);
      least = Simd::min(least, Simd::select(is, norm, Simd::set1(kInfinity)));
    }
    return Simd::least(least);
  }
  // The places, with the signs.
  static void finish(const TileView &t, const Pair &p, const Search &s) {
    for (int v = 0; v < kTileVectors; ++v) Simd::store(p.out + v * kLanes, s.at[v]);
    for (int64_t r = 0; r < t.rows; ++r) {
      uint32_t place;
      std::memcpy(&place, p.out + r, sizeof place);
      if (place == kNowhere) continue;
      place |= uint32_t(t.x[int64_t(place) * kTileRows + r] < p.w[place]) << 31;
      std::memcpy(p.out + r, &place, sizeof place);
    }
  }
  bool prune(const TileView &t, const Pair &p) const {
    Search s;
    const int level = t.levels.level(start(t, p, &s));
    if (level == 0) return false;
    std::memcpy(t.rest, t.kept_bits, size_t(t.words) * sizeof(uint64_t));
    const int64_t n = take(t, p, level);
    if (n > t.kept_count / 2) return false;
    s.in(t, p, t.list, n);
    finish(t, p, s);
    return true;
  }
  void all(const TileView &t, const Pair *p, int) const {
    Search s;
    start(t, *p, &s);
    s.in(t, *p, t.kept, t.kept_count);
    finish(t, *p, s);
  }
  void store(const TileView &t, const int64_t *neurons, int64_t n, const float *out) const {
    for (int64_t r = 0; r < t.rows; ++r) {
      uint32_t *row = places + (t.first + r) * c.layer.outputs;
      for (int64_t k = 0; k < n; ++k) std::memcpy(row + neurons[k], out + k * kTileRows + r, sizeof *row);
    }
  }
  void slow(int64_t b, int64_t o) const {
    const int64_t I = c.layer.inputs;
    const float y = c.y[b * c.y_stride + o];
    const float *x = c.x + b * c.x_stride, *w = c.layer.w + o * c.layer.w_stride;
    const uint8_t *in = mask_row(c.masks.in, b / c.masks.group, I);
    uint32_t &place = places[b * c.layer.outputs + o];
    place = kNowhere;
    for (int64_t i = 0; i < I && y > 0.0f; ++i) {
      const float d = x[i] - w[i];
      if ((d < 0.0f ? -d : d) == y && (in == nullptr || in[i] != 0)) {
        place = uint32_t(i) | uint32_t(d < 0.0f) << 31;
        return;
      }
    }
  }
  void clear(int64_t b, int64_t o, int64_t n) const {
    std::memset(places + b * c.layer.outputs + o, 0xff, size_t(n) * sizeof(uint32_t)); // kNowhere
  }
};

// One input per output has a slope. Rows of dx and of dw have one owner each, which adds in order.
sn_status linf_backward(const LpBackward &c) {
  const sn_layer &l = c.layer;
  const int64_t B = l.batch, I = l.inputs, O = l.outputs;
  Carver memory;
  memory.count<uint32_t>(B * O);
  if (!memory.open(ScratchSlot::call)) return SN_OUT_OF_MEMORY;
  uint32_t *const places = memory.take<uint32_t>(B * O);
  const LinfPlaces op = {c, places};
  sn_status status = with_tiles(l, c.masks, c.x, nullptr, c.x_stride, c.ex,
                                [&](const Tiles &t) { return for_pairs(l, c.masks, t, c.ex, op); });
  const auto slope = [&](int64_t b, int64_t o, uint32_t place) {
    uint32_t bits; // no branch on a sign that is as good as random
    std::memcpy(&bits, c.dy + b * c.dy_stride + o, sizeof bits);
    bits ^= place & 0x80000000u;
    float signed_dy;
    std::memcpy(&signed_dy, &bits, sizeof bits);
    return signed_dy;
  };
  constexpr uint32_t input = 0x7fffffff;
  constexpr int64_t kRows = 8;
  if (status == SN_OK && c.dx != nullptr) {
    status = parallel_for(c.ex, ceil_div(B, kRows), [&](int64_t task) {
      for (int64_t b = task * kRows; b < smaller(B, (task + 1) * kRows); ++b) {
        float *dx = c.dx + b * c.dx_stride;
        std::memset(dx, 0, size_t(I) * sizeof(float));
        for (int64_t o = 0; o < O; ++o) {
          const uint32_t place = places[b * O + o];
          if (place != kNowhere) dx[place & input] += slope(b, o, place);
        }
      }
    });
  }
  if (status == SN_OK && c.dw != nullptr) {
    status = parallel_for(c.ex, ceil_div(O, kRows), [&](int64_t task) {
      const int64_t first = task * kRows, last = smaller(O, first + kRows);
      for (int64_t o = first; o < last; ++o) std::memset(c.dw + o * c.dw_stride, 0, size_t(I) * sizeof(float));
      for (int64_t b = 0; b < B; ++b) {
        for (int64_t o = first; o < last; ++o) {
          const uint32_t place = places[b * O + o];
          if (place != kNowhere) c.dw[o * c.dw_stride + (place & input)] -= slope(b, o, place);
        }
      }
    });
  }
  return status;
}

// ---- bounds ----

// A largest farthest term, rounded up by what a difference may err. Nothing is rounded where it is 0.
inline F farthest_up(F far) {
  const F zero = Simd::set1(0.0f);
  return Simd::select(Simd::eq(far, zero), zero, Simd::next_up(far));
}

// The least and largest maximum of the terms over the intervals of a sample. An input whose farthest
// term is below the largest nearest term changes neither of them: one pruning serves both.
struct LinfBounds {
  static constexpr int together = kLanes > 8 ? 8 : 2; // more would not stay in registers
  static constexpr int64_t outputs() { return 2; }
  const Bounds &c;

  struct Ends {
    F nearest[kTileVectors], farthest[kTileVectors];
    void start() {
      for (int v = 0; v < kTileVectors; ++v) nearest[v] = farthest[v] = Simd::set1(0.0f);
    }
    void take(int v, F l, F u, F w) {
      F a[2];
      NearestAndFarthest::of({l, u}, w, a);
      nearest[v] = NearestAndFarthest::larger(nearest[v], a[0]);
      farthest[v] = NearestAndFarthest::larger(farthest[v], a[1]);
    }
    void put(float *out) const {
      for (int v = 0; v < kTileVectors; ++v) {
        Simd::store(out + v * kLanes, Simd::next_down(nearest[v]));
        Simd::store(out + kTileRows + v * kLanes, farthest_up(farthest[v]));
      }
    }
  };

  bool prune(const TileView &t, const Pair &p) const {
    Ends ends;
    ends.start();
    const bool pays = prune_pair(t, p, t.kept_count * 3 / 5, [&](const uint32_t *list, int64_t n) {
      Ends e = ends;
      for (int64_t k = 0; k < n; ++k) {
        const int64_t i = list[k];
        const F w = Simd::set1(p.w[i]);
        const float *l = t.x + i * kTileRows, *u = t.u + i * kTileRows;
#pragma GCC unroll 2
        for (int v = 0; v < kTileVectors; ++v) {
          e.take(v, Simd::load(l + v * kLanes), Simd::load(u + v * kLanes), w);
        }
      }
      ends = e;
      return Simd::least(least_of(e.nearest));
    });
    ends.put(p.out);
    return pays;
  }

  void all(const TileView &t, const Pair *pairs, int n) const {
    const float *w[together];
    for (int k = 0; k < together; ++k) w[k] = pairs[k < n ? k : 0].w;
    Ends ends[together];
#pragma GCC unroll 8
    for (int k = 0; k < together; ++k) ends[k].start();
    for (int64_t i = 0; i < c.layer.inputs; ++i) {
      const float *l = t.x + i * kTileRows, *u = t.u + i * kTileRows;
      F low[kTileVectors], high[kTileVectors];
      for (int v = 0; v < kTileVectors; ++v) {
        low[v] = Simd::load(l + v * kLanes);
        high[v] = Simd::load(u + v * kLanes);
      }
#pragma GCC unroll 8
      for (int k = 0; k < together; ++k) {
        const F weight = Simd::set1(w[k][i]);
#pragma GCC unroll 2
        for (int v = 0; v < kTileVectors; ++v) ends[k].take(v, low[v], high[v], weight);
      }
    }
    for (int k = 0; k < n; ++k) ends[k].put(pairs[k].out);
  }
  void store(const TileView &t, const int64_t *neurons, int64_t n, const float *out) const {
    store_tile(t, neurons, n, out, 2 * kTileRows, c.y_lower, c.y_stride);
    store_tile(t, neurons, n, out + kTileRows, 2 * kTileRows, c.y_upper, c.y_stride);
  }
  void slow(int64_t b, int64_t o) const { lp_bounds_one(c, b, o); }
  void clear(int64_t, int64_t, int64_t) const {}
};

sn_status linf_bounds(const Bounds &c, const sn_masks &none) {
  return with_tiles(c.layer, none, c.lower, c.upper, c.x_stride, c.ex, [&](const Tiles &t) {
    return for_pairs(c.layer, none, t, c.ex, LinfBounds{c});
  });
}

} // namespace
} // namespace sortnet

#endif
