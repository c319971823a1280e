// The largest terms by exact pruning (prune.h), a lane per sample: the inputs whose bounds reach the last order
// statistic that counts are computed and go through Top (top.h). Of intervals the nearest terms tell which inputs
// matter: an input whose farthest term is below the last nearest one is among neither.
#ifndef SORTNET_CPU_SORT_PRUNED_H
#define SORTNET_CPU_SORT_PRUNED_H

#include "prune.h"
#include "sort.h"

namespace sortnet {
namespace {

// Vectors of samples of a tile. Of fewer samples more inputs can be left out, but they are sought more often: the
// more an input costs, the fewer pay. As measured.
constexpr int kSumVectors = kLanes == 16 ? 1 : 2, kBoundVectors = kLanes >= 8 ? 1 : 2;
constexpr int64_t kFewSorted = 64; // as kFew: ten of them, not one, must be large
// From that many pairs of a tile on a panel of them, sorted by segments, is faster than all terms through Top.
constexpr int kLeastPanel = kPanel / 2;

bool sort_prunes(const sn_layer &l, const Segments &seg, int64_t count, int vectors) {
  return l.inputs >= 2 * kWord && l.batch >= vectors * kLanes / 2 && seg.count >= count;
}

// Sums: what becomes of an output's terms. outputs: its values; vectors: of a tile; of_lanes(sorted, coefficients, out,
// step) puts those of a vector of outputs at out, out + step, ... and returns the outputs, a bit each, that it cannot
// compute; one(sample, neuron, out, step) puts there those of one output, write(sample, neuron) where they belong:
// y(j), of y_stride().
template <int K, class Terms, class Sums> struct SortPruned {
  static constexpr int together = kPanel;
  static constexpr int64_t outputs() { return Sums::outputs; }
  static constexpr int kinds = Terms::count, vectors = Sums::vectors, samples = vectors * kLanes;
  const Sums &sums;
  const sn_layer &layer;
  const sn_coefficients &coef;
  const Segments &seg;

  // Kinds of vectors of one neuron and kLanes samples.
  using Sorted = float[kinds * kMaxSorted * kLanes];

  __attribute__((noinline)) static void take_listed(const TileView &t, const float *weights, const uint32_t *list,
                                                    int64_t n, int v, float *sorted) {
    for (int kind = 0; kind < kinds; ++kind, sorted += kMaxSorted * kLanes) {
      Top<K> top(sorted);
      top.take(n, [&](int64_t k) {
        const int64_t i = list[k], at = i * samples + v * kLanes;
        F a[kinds];
        Terms::of(Terms::load_row(t.x, t.u, at, kLanes), Simd::set1(weights[i]), a);
        return Terms::size(a[kind]);
      });
      top.store(sorted);
    }
  }

  void finish(const TileView &t, const Pair &p, const Sorted *sorted) const {
    const CoefficientsOfOne own = {coef.data + p.neuron * coef.stride};
    for (int v = 0; v < vectors; ++v) {
      uint32_t again = sums.of_lanes(sorted[v], own, p.out + v * kLanes, samples);
      for (; again != 0; again &= again - 1) {
        const int64_t r = v * kLanes + __builtin_ctz(again);
        if (r < samples && r < t.rows) sums.one(t.first + r, p.neuron, p.out + r, samples);
      }
    }
  }

  bool prune(const TileView &t, const Pair &p) const {
    Sorted sorted[vectors];
    std::memset(sorted, 0, sizeof sorted);
    // Above, all terms by segments are as fast.
    const bool pays = prune_pair(t, p, t.kept_count / 2, [&](const uint32_t *list, int64_t n) {
      F least = Simd::set1(kInfinity);
      for (int v = 0; v < vectors; ++v) {
        take_listed(t, p.w, list, n, v, sorted[v]);
        least = Simd::min(least, Simd::load(sorted[v] + (coef.count - 1) * kLanes));
      }
      return Simd::least(least);
    }, kFewSorted);
    if (pays) finish(t, p, sorted);
    return pays;
  }

  void all(const TileView &t, const Pair *pairs, int n) const {
    if (n >= kLeastPanel) return by_segments(t, pairs, n);
    for (int k = 0; k < n; ++k) {
      Sorted sorted[vectors];
      std::memset(sorted, 0, sizeof sorted);
      for (int v = 0; v < vectors; ++v) take_listed(t, pairs[k].w, t.kept, t.kept_count, v, sorted[v]);
      finish(t, pairs[k], sorted);
    }
  }
  // A lane per neuron, as where nothing is pruned.
  void by_segments(const TileView &t, const Pair *pairs, int n) const {
    const int64_t I = layer.inputs;
    const SortMemory memory(I, kinds, ScratchSlot::part);
    Rows rows = sums.rows();
    for (int k = 0; k < n; ++k) rows.add(layer, pairs[k].neuron);
    float largest[kPanel];
    interleave<kPanel>(rows.w, n, I, nullptr, memory.weights, largest);
    constexpr int step = kSortRows < samples ? kSortRows : samples;
    for (int64_t r0 = 0; r0 < t.rows; r0 += step) {
      const Tile tile = {t.x + r0, t.u + r0, memory.weights, I};
      const Rows part = rows.of_tile(t.first + r0, smaller(step, t.rows - r0));
      const auto store = [&](int r, int v, const float *sorted, uint32_t crowded) {
        const int64_t first = v * kLanes, here = smaller(kLanes, n - first);
        float values[Sums::outputs * kLanes];
        crowded |= sums.of_lanes(sorted, CoefficientsOfMany{coef, part.neurons + first, here}, values, kLanes);
        for (int64_t k = 0; k < here; ++k) {
          float *const out = pairs[first + k].out + r0 + r;
          for (int64_t j = 0; j < Sums::outputs; ++j) out[j * samples] = values[j * kLanes + k];
          if (crowded >> k & 1) sums.one(t.first + r0 + r, part.neurons[first + k], out, samples);
        }
      };
      sort_tile<K, step, Terms>(part, seg, tile, samples, coef.count, memory.room, store);
    }
  }
  void store(const TileView &t, const int64_t *neurons, int64_t n, const float *out) const {
    for (int64_t j = 0; j < Sums::outputs; ++j) {
      store_tile(t, neurons, n, out + j * samples, Sums::outputs * samples, sums.y(j), sums.y_stride());
    }
  }
  void slow(int64_t b, int64_t o) const { sums.write(b, o); }
  void clear(int64_t, int64_t, int64_t) const {}
};

// The sums of the terms of points, or of the upper ends of intervals where there are any.
template <class Terms, class Sums>
sn_status sort_pruned(const Sums &sums, const sn_layer &l, const sn_coefficients &coef, const Segments &seg,
                      const float *lower, const float *upper, int64_t stride, const sn_executor *ex) {
  const sn_masks none = {nullptr, nullptr, 1};
  return with_tiles<Sums::vectors>(l, none, lower, upper, stride, ex, [&](const auto &tiles) {
    const auto run = [&](const auto &op) { return for_pairs(l, none, tiles, ex, op); };
    if (coef.count <= 4) return run(SortPruned<4, Terms, Sums>{sums, l, coef, seg});
    if (coef.count <= 10) return run(SortPruned<10, Terms, Sums>{sums, l, coef, seg});
    return run(SortPruned<16, Terms, Sums>{sums, l, coef, seg});
  });
}

struct SortedSums {
  static constexpr int64_t outputs = 1;
  static constexpr int vectors = kSumVectors;
  const SortForward &c;
  Rows rows() const { return {c.x, c.x, c.x_stride}; }
  template <class Coef> uint32_t of_lanes(const float *sorted, const Coef &coef, float *out, int64_t) const {
    Simd::store(out, weighted_sum(sorted, c.coef.count, coef));
    return 0;
  }
  void one(int64_t b, int64_t o, float *out, int64_t) const { *out = sort_one(c, b, o); }
  float *y(int64_t) const { return c.y; }
  int64_t y_stride() const { return c.y_stride; }
  void write(int64_t b, int64_t o) const { c.y[b * c.y_stride + o] = sort_one(c, b, o); }
};

sn_status sort_forward(const SortForward &c) {
  const sn_layer &l = c.layer;
  const int64_t K = c.coef.count;
  if (K == 0 || K > kMaxSorted) {
    return parallel_for(c.ex, l.batch, [&](int64_t b) {
      for (int64_t o = 0; o < l.outputs; ++o) c.y[b * c.y_stride + o] = sort_one(c, b, o);
    });
  }
  const Segments seg(l.inputs);
  if (!sort_prunes(l, seg, K, kSumVectors)) return sort_forward_by_segments(c, seg);
  return sort_pruned<One<Distance>>(SortedSums{c}, l, c.coef, seg, c.x, nullptr, c.x_stride, c.ex);
}

} // namespace
} // namespace sortnet

#endif
