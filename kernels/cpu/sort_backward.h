// sn_sort_backward: the inputs of the K largest terms of each output, found by the candidates of sort.h
// and ranked; then rows of dx, dw and dcoef, of one owner each, which adds in order.
#ifndef SORTNET_CPU_SORT_BACKWARD_H
#define SORTNET_CPU_SORT_BACKWARD_H

#include "sort.h"

namespace sortnet {
namespace {

constexpr int64_t kPlaces = int64_t(1) << 22; // places at a time, as far as whole tiles allow

// insert() of sort.h that carries the place of each term along. Of equals the first inserted stays first.
template <int K> inline void insert(F *t, F *at, F v, F place) {
  M stays = Simd::ge(t[K - 1], v);
#pragma GCC unroll 16
  for (int k = K - 1; k > 0; --k) {
    const M before = Simd::ge(t[k - 1], v);
    t[k] = Simd::max(t[k], Simd::min(t[k - 1], v));
    at[k] = Simd::select(stays, at[k], Simd::select(before, place, at[k - 1]));
    stays = before;
  }
  t[0] = Simd::max(t[0], v);
  at[0] = Simd::select(stays, at[0], place);
}

// The K largest of what is inserted, in every lane, and their places.
template <int K> struct TopPlaces {
  F t[K], at[K];
  TopPlaces() {
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) t[k] = at[k] = Simd::set1(0.0f);
  }
  void store(float *terms, float *places) const {
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) {
      Simd::store(terms + k * kLanes, t[k]);
      Simd::store(places + k * kLanes, at[k]);
    }
  }
};

struct PlaceRoom {
  SortRoom sort;
  float *places;      // [kLanes][kRow]: of the candidates
  float *sorted;      // [kMaxSorted] vectors: of the largest
  const float *inputs; // the inputs 0, 1, ... as bits
};

// Of the terms of sample r of a tile and its v-th vector of neurons.
template <int K, int Rows>
__attribute__((noinline)) void places_of_terms(const Tile &t, int r, int v, const PlaceRoom &room) {
  TopPlaces<K> top;
  const float *x = t.x + r, *w = t.w + v * kLanes;
  for (int64_t i = 0; i < t.inputs; ++i, x += Rows, w += kPanel) {
    const F d = Simd::sub(Simd::set1(*x), Simd::load(w));
    insert<K>(top.t, top.at, Simd::abs(d), Simd::copysign(Simd::set1(room.inputs[i]), d));
  }
  top.store(room.sort.sorted, room.sorted);
}

// Of kLanes rows of n candidates each, a row per lane.
template <int K> __attribute__((noinline)) void places_of_rows(int64_t n, const PlaceRoom &room) {
  TopPlaces<K> top;
  for (int64_t i = 0; i < n; i += kLanes) {
    F v[kLanes], at[kLanes];
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) {
      v[l] = Simd::load(room.sort.candidates + l * kRow + i);
      at[l] = Simd::load(room.places + l * kRow + i);
    }
    Simd::transpose(v);
    Simd::transpose(at);
    const int used = int(smaller(kLanes, n - i));
    for (int l = 0; l < used; ++l) insert<K>(top.t, top.at, v[l], at[l]);
  }
  top.store(room.sort.sorted, room.sorted);
}

// The candidates of one output, as in sort.h, with their places: the input, and the sign of the difference
// as the top bit.
inline int64_t collect_places(const float *x, const float *w, int64_t inputs, int64_t length,
                              uint64_t segments, float least, const float *input, float *terms,
                              float *places) {
  const F bound = Simd::set1(least);
  int64_t n = 0;
  for (; segments != 0; segments &= segments - 1) {
    int64_t i = __builtin_ctzll(segments) * length;
    const int64_t end = smaller(inputs, i + length);
    for (; i < end; i += kLanes) {
      if (__builtin_expect(n > kRoom, 0)) return n;
      const int left = int(smaller(kLanes, end - i));
      const F d = Simd::sub(load_some(x + i, left), load_some(w + i, left));
      const F a = Simd::abs(d);
      const M reaches = Simd::ge(a, bound);
      Simd::compress(places + n, Simd::copysign(Simd::load(input + i), d), reaches);
      n += Simd::compress(terms + n, a, reaches);
    }
  }
  Simd::store(terms + n, Simd::set1(0.0f)); // what compress left there
  return n;
}

// The places of the outputs of RowCount samples from `sample` on and one panel from neuron o on.
template <int K, int RowCount>
void place_tile(const SortBackward &c, const Segments &seg, const Tile &tile, int64_t sample, int64_t o,
                const PlaceRoom &room, uint32_t *places) {
  const int64_t I = tile.inputs, O = c.layer.outputs, wanted = c.coef.count;
  constexpr int64_t stride = RowCount * kPair * kLanes;
  const bool bounded = seg.count >= wanted;
  if (bounded) segment_tops<RowCount, One<Distance>>(tile, RowCount, seg.length, room.sort.tops);
  for (int r = 0; r < RowCount; ++r) {
    const float *x = c.x + (sample + r) * c.x_stride;
    for (int v = 0; v < kPair; ++v) {
      const int64_t first = o + v * kLanes;
      const int here = int(smaller(kLanes, O - first));
      if (here <= 0) break;
      uint32_t crowded = 0;
      if (bounded) {
        const float *tops = room.sort.tops + (r * kPair + v) * kLanes;
        top_of_vectors<K>(tops, seg.count, stride, room.sort.sorted);
        const F bound = Simd::load(room.sort.sorted + (wanted - 1) * kLanes);
        uint64_t segments[kLanes] = {};
        float least[kLanes];
        Simd::store(least, bound);
        segments_at(tops, stride, seg.count, bound, segments);
        std::memset(room.sort.candidates, 0, size_t(kLanes * kRow) * sizeof(float));
        int64_t most = 0;
        for (int k = 0; k < here; ++k) {
          const int64_t n = collect_places(x, c.layer.w + (first + k) * c.layer.w_stride, I, seg.length,
                                           segments[k], least[k], room.inputs,
                                           room.sort.candidates + k * kRow, room.places + k * kRow);
          if (n > kRoom) crowded |= 1u << k;
          else most = larger(most, n);
        }
        places_of_rows<K>(most, room);
      } else {
        places_of_terms<K, RowCount>(tile, r, v, room);
      }
      // A term that is 0 has no slope, and looks like no term.
      const F last = Simd::load(room.sort.sorted + (wanted - 1) * kLanes);
      crowded |= Simd::bits(Simd::eq(last, Simd::set1(0.0f)));
      for (int l = 0; l < here; ++l) {
        uint32_t *to = places + ((sample + r) * O + first + l) * wanted;
        if (crowded >> l & 1) {
          sort_places_one(c, sample + r, first + l, to);
          continue;
        }
        for (int64_t k = 0; k < wanted; ++k) std::memcpy(to + k, room.sorted + k * kLanes + l, sizeof *to);
      }
    }
  }
}

template <int RowCount>
void place_tile_of(const SortBackward &c, const Segments &seg, const Tile &tile, int64_t sample, int64_t o,
                   const PlaceRoom &room, uint32_t *places) {
  if (c.coef.count <= 4) place_tile<4, RowCount>(c, seg, tile, sample, o, room, places);
  else if (c.coef.count <= 10) place_tile<10, RowCount>(c, seg, tile, sample, o, room, places);
  else place_tile<16, RowCount>(c, seg, tile, sample, o, room, places);
}

// The places of all outputs, [B, O, K].
sn_status find_places(const SortBackward &c, const float *inputs, uint32_t *places) {
  const sn_layer &l = c.layer;
  const int64_t B = l.batch, I = l.inputs, O = l.outputs, K = c.coef.count;
  if (K > kMaxSorted) {
    return parallel_for(c.ex, B, [&](int64_t b) {
      for (int64_t o = 0; o < O; ++o) sort_places_one(c, b, o, places + (b * O + o) * K);
    });
  }
  const Segments seg(I);
  const auto task = [&](const Samples &x, int64_t first, int64_t last, int64_t index) {
    const SortMemory memory(I, 1);
    float places_room[kLanes * kRow], sorted[kMaxSorted * kLanes];
    const PlaceRoom room = {memory.room, places_room, sorted, inputs};
    const Panel panel = panel_of(l, index, memory.weights);
    const int64_t o = index * kPanel;
    for (int64_t b = first; b < last;) {
      const int count = tile_rows(last - b, kSortRows);
      const float *samples = x.tiles + b * (I + 1);
      const Tile tile = {samples, samples, panel.w, I};
      switch (count) {
        case 8: place_tile_of<kSortRows>(c, seg, tile, b, o, room, places); break;
        case 4: place_tile_of<4>(c, seg, tile, b, o, room, places); break;
        default: place_tile_of<1>(c, seg, tile, b, o, room, places);
      }
      b += count;
    }
    const uint64_t bad = not_finite(panel.largest);
    for (int64_t b = first; b < last; ++b) {
      const uint64_t odd = finite(x.largest[b]) ? bad : ~uint64_t(0);
      for (int64_t k = 0; odd != 0 && k < smaller(kPanel, O - o); ++k) {
        if (odd >> k & 1) sort_places_one(c, b, o + k, places + (b * O + o + k) * K);
      }
    }
  };
  return for_samples(l, c.x, c.x_stride, c.ex, task);
}

// Adds the slopes of output (b, o) times `sign` to a row.
inline void add_slopes(const SortBackward &c, int64_t b, int64_t o, const uint32_t *places, uint32_t sign,
                       float *row) {
  const float dy = c.dy[b * c.dy_stride + o];
  const float *coef = c.coef.data + o * c.coef.stride;
  for (int64_t k = 0; k < c.coef.count; ++k) {
    if ((places[k] & kNoSlope) != 0) continue;
    const float product = dy * coef[k];
    uint32_t bits; // no branch on a sign that is as good as random
    std::memcpy(&bits, &product, sizeof bits);
    bits ^= (places[k] ^ sign) & kNegative;
    float slope;
    std::memcpy(&slope, &bits, sizeof slope);
    row[places[k] & kPlaceInput] += slope;
  }
}

// The gradients of some samples, added to dw and dcoef.
sn_status add_gradients(const SortBackward &c, const uint32_t *places) {
  const int64_t B = c.layer.batch, I = c.layer.inputs, O = c.layer.outputs, K = c.coef.count;
  constexpr int64_t kRows = 8; // of a task
  sn_status status = SN_OK;
  if (c.dx != nullptr) {
    status = parallel_for(c.ex, ceil_div(B, kRows), [&](int64_t task) {
      for (int64_t b = task * kRows; b < smaller(B, (task + 1) * kRows); ++b) {
        float *row = c.dx + b * c.dx_stride;
        std::memset(row, 0, size_t(I) * sizeof(float));
        for (int64_t o = 0; o < O; ++o) add_slopes(c, b, o, places + (b * O + o) * K, 0, row);
      }
    });
  }
  if (status != SN_OK || (c.dw == nullptr && c.dcoef == nullptr)) return status;
  return parallel_for(c.ex, ceil_div(O, kRows), [&](int64_t task) {
    for (int64_t b = 0; b < B; ++b) {
      for (int64_t o = task * kRows; o < smaller(O, (task + 1) * kRows); ++o) {
        const uint32_t *at = places + (b * O + o) * K;
        if (c.dw != nullptr) add_slopes(c, b, o, at, kNegative, c.dw + o * c.dw_stride);
        if (c.dcoef == nullptr) continue;
        const float *x = c.x + b * c.x_stride, *w = c.layer.w + o * c.layer.w_stride;
        for (int64_t k = 0; k < K; ++k) {
          const float d = x[at[k] & kPlaceInput] - w[at[k] & kPlaceInput];
          c.dcoef[o * K + k] += c.dy[b * c.dy_stride + o] * (d != d ? kInfinity : d < 0.0f ? -d : d);
        }
      }
    }
  });
}

sn_status sort_backward(const SortBackward &c) {
  const int64_t B = c.layer.batch, I = c.layer.inputs, O = c.layer.outputs, K = c.coef.count;
  if (I > int64_t(kPlaceInput)) return SN_UNSUPPORTED;
  // Whole tiles of samples at a time.
  const int64_t rows = smaller(B, larger(kPlaces / larger(1, O * K), K <= kMaxSorted ? 32 : 1));
  Carver memory;
  memory.count<uint32_t>(rows * O * K);
  memory.count<uint32_t>(round_up(I, kLanes));
  if (!memory.open(ScratchSlot::call)) return SN_OUT_OF_MEMORY;
  uint32_t *const places = memory.take<uint32_t>(rows * O * K);
  float *const inputs = memory.take<float>(round_up(I, kLanes));
  for (int64_t i = 0; i < round_up(I, kLanes); ++i) {
    const uint32_t bits = uint32_t(i);
    std::memcpy(inputs + i, &bits, sizeof bits);
  }
  for (int64_t o = 0; o < O; ++o) {
    if (c.dw != nullptr) std::memset(c.dw + o * c.dw_stride, 0, size_t(I) * sizeof(float));
    if (c.dcoef != nullptr) std::memset(c.dcoef + o * K, 0, size_t(K) * sizeof(float));
  }
  sn_status status = SN_OK;
  for (int64_t first = 0; first < B && status == SN_OK; first += rows) {
    SortBackward part = c;
    part.layer.batch = smaller(rows, B - first);
    part.x += first * c.x_stride;
    part.dy += first * c.dy_stride;
    if (c.dx != nullptr) part.dx += first * c.dx_stride;
    status = K == 0 ? SN_OK : find_places(part, inputs, places);
    if (status == SN_OK) status = add_gradients(part, places);
  }
  return status;
}

} // namespace
} // namespace sortnet

#endif
