// sn_sort_forward for few order statistics, by two passes.
//
// First, a lane per neuron, the largest term of each of at least K disjoint segments of the inputs:
// the K-th largest of these is a lower bound of a_(K). Then, a lane per input, the terms at or above
// the bound are collected from the segments that have any: about K of them. Only those are sorted.
#ifndef SORTNET_CPU_SORT_H
#define SORTNET_CPU_SORT_H

#include "top.h"

namespace sortnet {
namespace {

constexpr int kMaxSorted = 16;    // more order statistics than that are sorted one output at a time
constexpr int64_t kSegment = 16;  // inputs of a segment, a multiple of the lanes; longer for many
constexpr int64_t kMaxSegments = 64;
constexpr int kSortRows = kLanes == 16 ? 8 : 4;

// The largest terms of each segment, [segments][Rows * kPair][Terms::count] vectors. From an input of the tile to
// the next are `step` floats, Rows or more.
template <int Rows, class Terms>
__attribute__((noinline)) void segment_tops(const Tile &t, int64_t step, int64_t length, float *tops) {
  constexpr int K = Terms::count;
  constexpr int part = Rows >= 2 * K ? Rows / K : 1; // whose terms stay in registers
  for (int64_t begin = 0; begin < t.inputs; begin += length) {
    const int64_t end = smaller(t.inputs, begin + length);
    for (int first = 0; first < Rows; first += part) {
      F acc[part][kPair][K];
#pragma GCC unroll 16
      for (int r = 0; r < part; ++r) {
        for (int v = 0; v < kPair; ++v) {
          for (int k = 0; k < K; ++k) acc[r][v][k] = Simd::set1(0.0f);
        }
      }
      const float *x = t.x + begin * step + first, *u = t.u + begin * step + first;
      const float *w = t.w + begin * kPanel;
#pragma GCC unroll 2
      for (int64_t i = begin; i < end; ++i, x += step, u += step, w += kPanel) {
        const F wi[kPair] = {Simd::load(w), Simd::load(w + kLanes)};
#pragma GCC unroll 16
        for (int r = 0; r < part; ++r) {
          const auto operand = Terms::load(x, u, r);
#pragma GCC unroll 2
          for (int v = 0; v < kPair; ++v) {
            F a[K];
            Terms::of(operand, wi[v], a);
#pragma GCC unroll 2
            for (int k = 0; k < K; ++k) acc[r][v][k] = Terms::larger(acc[r][v][k], a[k]);
          }
        }
      }
#pragma GCC unroll 16
      for (int r = 0; r < part; ++r) {
        for (int v = 0; v < kPair; ++v) {
          for (int k = 0; k < K; ++k, tops += kLanes) Simd::store(tops, acc[r][v][k]);
        }
      }
    }
  }
}

constexpr int64_t kRoom = 48;                // candidates per output in the usual case
constexpr int64_t kRow = kRoom + 2 * kLanes; // floats of an output's candidates

// The candidates of one output: for each kind k of terms those >= least[k], from the segments whose bit is set, to
// rows[k]. n[k]: their number; if it exceeds kRoom, rows[k] lacks some.
template <class Terms>
inline void collect(const float *x, const float *u, const float *w, int64_t inputs, int64_t length,
                    uint64_t segments, const float *least, float *const *rows, int64_t *n) {
  constexpr int K = Terms::count;
  F bound[K];
  for (int k = 0; k < K; ++k) {
    bound[k] = Simd::set1(least[k]);
    n[k] = 0;
  }
  for (; segments != 0; segments &= segments - 1) {
    int64_t i = __builtin_ctzll(segments) * length;
    const int64_t end = smaller(inputs, i + length);
    for (; i < end; i += kLanes) {
      const int left = int(smaller(kLanes, end - i));
      F a[K];
      Terms::of(Terms::load_row(x, u, i, left), load_some(w + i, left), a);
#pragma GCC unroll 2
      for (int k = 0; k < K; ++k) {
        const F size = Terms::size(a[k]);
        n[k] += Simd::compress(rows[k] + smaller(n[k], kRoom), size, Simd::ge(size, bound[k]));
      }
    }
  }
}

// The sum of coef(k) t_k; t: vectors in memory.
template <class Coef> F weighted_sum(const float *t, int64_t count, const Coef &coef) {
  F y = Simd::set1(0.0f);
  for (int64_t k = count - 1; k >= 0; --k) {
    // No fused multiply-add: the sum is defined with a rounding of every product.
    const F term = Simd::mul(coef(k), Simd::load(t + k * kLanes));
    y = k == count - 1 ? term : Simd::add(y, term);
  }
  return y;
}

// coef_k, k from 0, of a vector of neurons: of `count` from neurons[0] on.
struct CoefficientsOfMany {
  const sn_coefficients &coef;
  const int64_t *neurons;
  int64_t count;
  F operator()(int64_t k) const {
    if (coef.stride == 0) return Simd::set1(coef.data[k]);
    float lane[kLanes] = {};
    for (int64_t l = 0; l < count; ++l) lane[l] = coef.data[neurons[l] * coef.stride + k];
    return Simd::load(lane);
  }
};

// Of one neuron in all lanes.
struct CoefficientsOfOne {
  const float *data;
  F operator()(int64_t k) const { return Simd::set1(data[k]); }
};

// Each step keeps its list in registers, hence the copies.
template <int K>
__attribute__((noinline)) void top_of_vectors(const float *v, int64_t n, int64_t stride, float *to) {
  Top<K> top;
  top.take(n, [&](int64_t i) { return Simd::load(v + i * stride); });
  top.store(to);
}

// Of each kind of terms of sample r of a tile and its v-th vector of neurons.
template <int K, class Terms>
__attribute__((noinline)) void top_of_terms(const Tile &t, int64_t step, int r, int v, float *to) {
  for (int k = 0; k < Terms::count; ++k, to += kMaxSorted * kLanes) {
    Top<K> top;
    const float *x = t.x + r, *u = t.u + r, *w = t.w + v * kLanes;
    for (int64_t i = 0; i < t.inputs; ++i, x += step, u += step, w += kPanel) {
      F a[Terms::count];
      Terms::of(Terms::load(x, u, 0), Simd::load(w), a);
      insert<K>(top.t, Terms::size(a[k]));
    }
    top.store(to);
  }
}

// Of kLanes rows of n candidates each, a row per lane.
template <int K>
__attribute__((noinline)) void top_of_rows(const float *rows, int64_t n, float *to) {
  Top<K> top;
  for (int64_t i = 0; i < n; i += kLanes) {
    F v[kLanes];
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) v[l] = Simd::load(rows + l * kRow + i);
    Simd::transpose(v);
    top.take(smaller(kLanes, n - i), [&](int64_t l) { return v[l]; });
  }
  top.store(to);
}

// How a call divides the inputs.
struct Segments {
  int64_t length, count;
  explicit Segments(int64_t inputs)
      : length(larger(kSegment, round_up(ceil_div(inputs, kMaxSegments), kLanes))),
        count(ceil_div(inputs, length)) {}
};

struct SortRoom {
  float *tops;       // [kMaxSegments][kSortRows * kPair][kinds] vectors
  float *candidates; // [kinds][kLanes][kRow]
  float *sorted;     // [kinds][kMaxSorted] vectors
};

// Adds for each lane the segments, a bit each, whose top in this lane is at least `bound`.
void segments_at(const float *tops, int64_t stride, int64_t count, F bound, uint64_t *segments) {
  float least[kLanes];
  Simd::store(least, bound);
  for (int64_t s = 0; s < count; s += kLanes) {
    F v[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      v[l] = s + l < count ? Simd::load(tops + (s + l) * stride) : Simd::set1(-1.0f);
    }
    Simd::transpose(v);
    for (int l = 0; l < kLanes; ++l) {
      segments[l] |= uint64_t(Simd::bits(Simd::ge(v[l], Simd::set1(least[l])))) << s;
    }
  }
}

// The rows of samples and weights behind a tile.
struct Rows {
  const float *x, *u; // of its first sample
  int64_t x_stride, samples;
  int64_t neurons[kPanel], count; // of the panel
  const float *w[kPanel];

  Rows(const float *lower, const float *upper, int64_t stride)
      : x(lower), u(upper), x_stride(stride), samples(0), count(0) {}
  void add(const sn_layer &l, int64_t neuron) {
    neurons[count] = neuron;
    w[count++] = l.w + neuron * l.w_stride;
  }
  // Those of a panel of the layer.
  void add_panel(const sn_layer &l, int64_t index) {
    for (int64_t o = index * kPanel; o < smaller(l.outputs, (index + 1) * kPanel); ++o) add(l, o);
  }
  Rows of_tile(int64_t first, int64_t rows) const {
    Rows r = *this;
    r.x += first * x_stride;
    r.u += first * x_stride;
    r.samples = rows;
    return r;
  }
};

// The `wanted` <= K largest terms of each kind of the outputs of a tile of RowCount samples, of which rows.samples
// are there. Handed to store(r, v, sorted, crowded) for each sample and vector of neurons: kMaxSorted vectors for
// each kind, of which `wanted` are set, and a bit for each output that had too many candidates to be sorted here.
template <int K, int RowCount, class Terms, class Store>
void sort_tile(const Rows &rows, const Segments &seg, const Tile &tile, int64_t step, int64_t wanted,
               const SortRoom &room, const Store &store) {
  constexpr int kinds = Terms::count;
  constexpr int64_t stride = RowCount * kPair * kinds * kLanes;
  const int64_t I = tile.inputs;
  // With fewer segments than order statistics there is no bound: all terms are inserted.
  const bool bounded = seg.count >= wanted;
  if (bounded) segment_tops<RowCount, Terms>(tile, step, seg.length, room.tops);
  for (int r = 0; r < int(rows.samples); ++r) {
    const float *x = rows.x + r * rows.x_stride;
    const float *u = rows.u + r * rows.x_stride;
    for (int v = 0; v < kPair; ++v) {
      const int first = v * kLanes, here = int(smaller(kLanes, rows.count - first));
      if (here <= 0) break;
      uint32_t crowded = 0;
      if (!bounded) {
        top_of_terms<K, Terms>(tile, step, r, v, room.sorted);
        store(r, v, room.sorted, crowded);
        continue;
      }
      uint64_t segments[kLanes] = {};
      float least[kLanes][kinds];
      for (int k = 0; k < kinds; ++k) {
        const float *tops = room.tops + ((r * kPair + v) * kinds + k) * kLanes;
        top_of_vectors<K>(tops, seg.count, stride, room.sorted);
        const F bound = Simd::load(room.sorted + (wanted - 1) * kLanes);
        segments_at(tops, stride, seg.count, bound, segments);
        float lane[kLanes];
        Simd::store(lane, bound);
        for (int l = 0; l < kLanes; ++l) least[l][k] = lane[l];
      }
      int64_t found[kLanes][kinds] = {}, most[kinds] = {};
      for (int l = 0; l < here; ++l) {
        float *to[kinds];
        for (int k = 0; k < kinds; ++k) to[k] = room.candidates + (k * kLanes + l) * kRow;
        collect<Terms>(x, u, rows.w[first + l], I, seg.length, segments[l], least[l], to, found[l]);
        for (int k = 0; k < kinds; ++k) {
          if (found[l][k] > kRoom) {
            crowded |= 1u << l;
            found[l][k] = 0;
          }
          most[k] = larger(most[k], found[l][k]);
        }
      }
      for (int k = 0; k < kinds; ++k) {
        float *const candidates = room.candidates + k * kLanes * kRow;
        for (int l = 0; l < kLanes; ++l) {
          for (int64_t i = found[l][k]; i < most[k]; i += kLanes) {
            Simd::store(candidates + l * kRow + i, Simd::set1(0.0f));
          }
        }
        top_of_rows<K>(candidates, most[k], room.sorted + k * kMaxSorted * kLanes);
      }
      store(r, v, room.sorted, crowded);
    }
  }
}

template <class Terms, int RowCount, class Store>
void sort_tile_of(const Rows &rows, const Segments &seg, const Tile &tile, int64_t wanted,
                  const SortRoom &room, const Store &store) {
  if (wanted <= 4) sort_tile<4, RowCount, Terms>(rows, seg, tile, RowCount, wanted, room, store);
  else if (wanted <= 10) sort_tile<10, RowCount, Terms>(rows, seg, tile, RowCount, wanted, room, store);
  else sort_tile<16, RowCount, Terms>(rows, seg, tile, RowCount, wanted, room, store);
}

// A tile of rows.samples samples.
template <class Terms, class Store>
void sort_tile_of(const Rows &rows, const Segments &seg, const Tile &tile, int64_t wanted,
                  const SortRoom &room, const Store &store) {
  switch (rows.samples) {
    case 8: // tiles of 8 where kSortRows is 8
      return sort_tile_of<Terms, kSortRows>(rows, seg, tile, wanted, room, store);
    case 4: return sort_tile_of<Terms, 4>(rows, seg, tile, wanted, room, store);
    default: return sort_tile_of<Terms, 1>(rows, seg, tile, wanted, room, store);
  }
}

// Scratch of a task: a panel's weights and the room to sort.
struct SortMemory {
  float *weights;
  SortRoom room;
  SortMemory(int64_t inputs, int kinds, ScratchSlot slot = ScratchSlot::task) {
    Carver memory;
    memory.count<float>((inputs + 2) * kPanel);
    memory.count<float>(kinds * kMaxSegments * kSortRows * kPanel);
    memory.count<float>(kinds * kLanes * kRow);
    memory.count<float>(kinds * kMaxSorted * kLanes);
    memory.open_or_throw(slot);
    weights = memory.take<float>((inputs + 2) * kPanel);
    room.tops = memory.take<float>(kinds * kMaxSegments * kSortRows * kPanel);
    room.candidates = memory.take<float>(kinds * kLanes * kRow);
    room.sorted = memory.take<float>(kinds * kMaxSorted * kLanes);
  }
};

// Runs task(samples, first, last, panel index) for blocks of samples, interleaved, and panels.
template <class Task>
sn_status for_samples(const sn_layer &l, const float *from, int64_t stride, const sn_executor *ex,
                      const Task &task) {
  const int64_t B = l.batch, I = l.inputs;
  Carver shared;
  shared.count<float>(B * (I + 1));
  shared.count<float>(B);
  if (!shared.open(ScratchSlot::shared)) return SN_OUT_OF_MEMORY;
  const Samples x = {shared.take<float>(B * (I + 1)), shared.take<float>(B)};
  const int64_t rows = rows_per_task(B, panels(l.outputs)), parts = ceil_div(B, rows);
  const sn_status laid = parallel_for(B * I < 65536 ? nullptr : ex, ceil_div(B, 32), [&](int64_t t) {
    interleave_samples(from, stride, I, nullptr, I, t * 32, smaller(B, t * 32 + 32), kSortRows, x);
  });
  if (laid != SN_OK) return laid;
  return parallel_for(ex, panels(l.outputs) * parts, [&](int64_t t) {
    const int64_t first = t % parts * rows;
    task(x, first, smaller(B, first + rows), t / parts);
  });
}

// Every term of every output.
sn_status sort_forward_by_segments(const SortForward &c, const Segments &seg) {
  const sn_layer &l = c.layer;
  const int64_t I = l.inputs, O = l.outputs, K = c.coef.count;
  const auto task = [&](const Samples &x, int64_t first, int64_t last, int64_t index) {
    const int64_t o = index * kPanel;
    const SortMemory memory(I, 1);
    const Panel panel = panel_of(l, index, memory.weights);
    Rows operands(c.x, c.x, c.x_stride);
    operands.add_panel(l, index);
    for (int64_t b = first; b < last;) {
      const int count = tile_rows(last - b, kSortRows);
      const float *samples = x.tiles + b * (I + 1);
      const auto store = [&](int r, int v, const float *sorted, uint32_t crowded) {
        const int64_t *const neurons = operands.neurons + v * kLanes;
        const int64_t here = smaller(kLanes, operands.count - v * kLanes);
        float values[kLanes], *y = c.y + (b + r) * c.y_stride + neurons[0];
        Simd::store(values, weighted_sum(sorted, K, CoefficientsOfMany{c.coef, neurons, here}));
        std::memcpy(y, values, size_t(here) * sizeof(float));
        for (; crowded != 0; crowded &= crowded - 1) {
          const int k = __builtin_ctz(crowded);
          y[k] = sort_one(c, b + r, neurons[k]);
        }
      };
      sort_tile_of<One<Distance>>(operands.of_tile(b, count), seg, {samples, samples, panel.w, I}, K,
                                  memory.room, store);
      b += count;
    }
    const uint64_t bad = not_finite(panel.largest);
    for (int64_t b = first; b < last; ++b) {
      const uint64_t odd = finite(x.largest[b]) ? bad : ~uint64_t(0);
      for (int64_t k = 0; odd != 0 && k < smaller(kPanel, O - o); ++k) {
        if (odd >> k & 1) c.y[b * c.y_stride + o + k] = sort_one(c, b, o + k);
      }
    }
  };
  return for_samples(l, c.x, c.x_stride, c.ex, task);
}

} // namespace
} // namespace sortnet

#endif
