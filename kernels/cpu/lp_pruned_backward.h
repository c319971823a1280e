// Gradients of powers so high that few terms have a slope to speak of: |slope| >= 2^-30. The norm is known, hence what
// a difference must reach, and the bytes of prune.h find the inputs where one may.
//
// A task owns a block of inputs, that is columns of dx and dw, and walks all neurons and tiles. Where pruning pays, a
// lane is a sample: dx lies as the tiles do, and the sums over samples that dw takes are made of several inputs at a
// time. Elsewhere a lane is an input, as in lp_backward.h, and dx changes its layout. An element of dx takes the same
// operations in the same order either way, a slope below 2^-30 being exactly 0; hence it does not depend on the tile.
#ifndef SORTNET_CPU_LP_PRUNED_BACKWARD_H
#define SORTNET_CPU_LP_PRUNED_BACKWARD_H

#include <atomic>

#include "lp_slopes.h"

namespace sortnet {
namespace {

// What the outputs of a call give their slopes, by tile and neuron; everything is 0 where nothing is wanted.
struct SlopeFactors {
  float *inverse, *dy; // [tiles][outputs][kTileRows]: 1 / norm, and the gradient that arrives
  float *least;        // [tiles][outputs]: what a difference must reach to have a slope; infinite: none has,
                       // kNotFinite: all have, as a gradient is not finite
};
constexpr float kNotFinite = -1.0f;

// Sums over the lanes of vectors, as many at a time as there are lanes, subtracted from floats in the order they came.
struct LaneSums {
  float values[kLanes * kLanes];
  float *from[kLanes];
  int count = 0;

  void flush() {
    if (count > 0) flush(count);
  }
  void flush(int n) {
    F v[kLanes];
    for (int l = n; l < kLanes; ++l) Simd::store(values + l * kLanes, Simd::set1(0.0f));
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) v[l] = Simd::load(values + l * kLanes);
    Simd::transpose(v);
#pragma GCC unroll 4
    for (int half = kLanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
      for (int l = 0; l < half; ++l) v[l] = Simd::add(v[l], v[l + half]);
    }
    float sums[kLanes];
    Simd::store(sums, v[0]);
    for (int l = 0; l < n; ++l) *from[l] -= sums[l];
    count = 0;
  }
};

// The slopes of a pair at n inputs of a list, times dy, added to dx, and their sums over the samples to `sums` for dw.
template <class SlopeOf>
__attribute__((noinline)) void add_slopes(SlopeOf slope, const float *inverses, const float *gradients, const float *x,
                                          const float *w, const uint32_t *list, int64_t n, float *dx, float *dw,
                                          LaneSums &sums) {
  constexpr int V = kTileVectors;
  F inverse[V], dy[V];
  for (int v = 0; v < V; ++v) {
    inverse[v] = Simd::load(inverses + v * kLanes);
    dy[v] = Simd::load(gradients + v * kLanes);
  }
  int count = sums.count;
  for (int64_t j = 0; j < n; ++j) {
    const int64_t i = list[j];
    const F weight = Simd::set1(w[i]);
    F g[V];
    for (int v = 0; v < V; ++v) {
      g[v] = Simd::mul(Simd::sub(Simd::load(x + i * kTileRows + v * kLanes), weight), inverse[v]);
    }
    slope(g);
    F sum = Simd::mul(dy[0], g[0]);
    for (int v = 1; v < V; ++v) sum = Simd::fma(dy[v], g[v], sum);
    for (int v = 0; v < V; ++v) {
      float *const to = dx + i * kTileRows + v * kLanes;
      Simd::store(to, Simd::fma(dy[v], g[v], Simd::load(to)));
    }
    Simd::store(sums.values + count * kLanes, sum);
    sums.from[count] = dw + i;
    if (++count == kLanes) {
      sums.flush(kLanes);
      count = 0;
    }
  }
  sums.count = count;
}

// Writes the transpose of rows x columns floats; both multiples of kLanes.
inline void transpose_block(const float *from, int64_t stride, int64_t rows, int64_t columns, float *to,
                            int64_t to_stride) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    for (int64_t k = 0; k < columns; k += kLanes) {
      F v[kLanes];
      for (int l = 0; l < kLanes; ++l) v[l] = Simd::load(from + (r + l) * stride + k);
      Simd::transpose(v);
      for (int l = 0; l < kLanes; ++l) Simd::store(to + (k + l) * to_stride + r, v[l]);
    }
  }
}

// The columns of a task in the layout of slope_tile.
struct SlopeRows {
  float x[kTileRows * kInputBlock], dx[kTileRows * kInputBlock];
  float w[kNeurons * kInputBlock], dw[kNeurons * kInputBlock];
  float factors[kTileRows * 2 * kNeurons];
};

// A task: the inputs first .. first + width - 1.
class PrunedSlopes {
public:
  PrunedSlopes(const LpBackward &call, const Tiles &t, const SlopeFactors &f, const Slopes &s, int64_t task)
      : c(call), tiles(t), factors(f), slopes(s), first(task * kInputBlock),
        width(smaller(kInputBlock, call.layer.inputs - first)), words(ceil_div(width, kWord)) {
    Carver memory;
    memory.count<float>(tiles.count * kInputBlock * kTileRows);
    memory.count<float>(kNeuronBlock * kInputBlock);
    memory.count<uint8_t>((kNeuronBlock + 2) * kInputBlock);
    memory.count<uint32_t>(kInputBlock + kWord);
    memory.count<SlopeRows>(1);
    memory.open_or_throw(ScratchSlot::task);
    dx = memory.take<float>(tiles.count * kInputBlock * kTileRows);
    unwanted = memory.take<float>(kNeuronBlock * kInputBlock);
    levels_of_w = memory.take<uint8_t>((kNeuronBlock + 2) * kInputBlock);
    list = memory.take<uint32_t>(kInputBlock + kWord);
    rows = memory.take<SlopeRows>(1);
    std::memset(levels_of_w, 0, size_t((kNeuronBlock + 2) * kInputBlock));
    std::memset(dx, 0, size_t(tiles.count * kInputBlock * kTileRows) * sizeof(float));
    for (int64_t t = 0; t < tiles.count; ++t) {
      if (tiles.rows(t) <= 0 || tiles.odd[t] == Tiles::all_odd) continue;
      const Hull h = tiles.hull(t);
      for (int64_t i = first; i < first + width; ++i) {
        least = h.low[i] < least ? h.low[i] : least;
        largest = h.high[i] > largest ? h.high[i] : largest;
      }
    }
  }

  void run() {
    for (int64_t o = 0; o < c.layer.outputs; o += kNeuronBlock) {
      block(o, smaller(kNeuronBlock, c.layer.outputs - o));
    }
    for (int64_t t = 0; t < tiles.count && c.dx != nullptr; ++t) {
      if (tiles.rows(t) <= 0) continue;
      transpose_block(dx + t * kInputBlock * kTileRows, kTileRows, kInputBlock, kTileRows, rows->dx, kInputBlock);
      for (int64_t r = 0; r < tiles.rows(t); ++r) {
        std::memcpy(c.dx + (tiles.first(t) + r) * c.dx_stride + first, rows->dx + r * kInputBlock,
                    size_t(width) * sizeof(float));
      }
    }
  }

private:
  const LpBackward &c;
  const Tiles &tiles;
  const SlopeFactors &factors;
  const Slopes &slopes;
  const int64_t first, width, words;
  float least = kInfinity, largest = -kInfinity; // of the samples
  float *dx;       // [tiles][kInputBlock][kTileRows]
  float *unwanted; // in the place of dw
  uint8_t *levels_of_w;
  uint32_t *list;
  SlopeRows *rows;
  LaneSums sums;

  const float *w(int64_t o) const { return c.layer.w + o * c.layer.w_stride + first; }
  float *dw(int64_t o, int64_t block_first) const {
    return c.dw != nullptr ? c.dw + o * c.dw_stride + first : unwanted + (o - block_first) * kInputBlock;
  }

  // All tiles and `count` neurons.
  void block(int64_t o, int64_t count) {
    float low = least, high = largest;
    for (int64_t k = 0; k < count; ++k) {
      std::memset(dw(o + k, o), 0, size_t(width) * sizeof(float));
      float l, h;
      if (!range_of(w(o + k), width, &l, &h)) continue;
      low = l < low ? l : low;
      high = h > high ? h : high;
    }
    const Levels levels(low, high);
    if (levels.scale != 0.0f) {
      for (int64_t k = 0; k < count; ++k) {
        levels.of(w(o + k), width, words * kWord, 0.0f, levels_of_w + k * kInputBlock);
      }
    }
    // Where pruning failed, the next tile to try it is twice as far each time.
    int64_t pause = 0, next_try = 0;
    for (int64_t t = 0; t < tiles.count; ++t) {
      if (tiles.rows(t) <= 0 || tiles.odd[t] == Tiles::all_odd) continue;
      const bool tries = levels.scale != 0.0f && t >= next_try;
      const bool failed = !tile(t, o, count, levels, tries, pause > 0);
      if (!tries) continue;
      pause = failed ? smaller(kMostPause, larger(1, 2 * pause)) : 0;
      next_try = t + larger(1, pause);
    }
    sums.flush();
  }

  // False: pruning does not help.
  bool tile(int64_t t, int64_t o, int64_t count, const Levels &levels, bool tries, bool once) {
    uint8_t *const low = levels_of_w + kNeuronBlock * kInputBlock, *const high = low + kInputBlock;
    if (tries) {
      levels.of(tiles.hull(t).low + first, width, words * kWord, -1.0f, low);
      levels.of(tiles.hull(t).high + first, width, words * kWord, 1.0f, high);
    }
    const uint64_t *const kept = tiles.kept_bits + tiles.kept_group(t) * (tiles.width / kWord) + first / kWord;
    int64_t present = 0;
    for (int64_t k = 0; k < words; ++k) present += __builtin_popcountll(kept[k]);
    uint64_t rest[kInputBlock / kWord];
    const TileView view = {nullptr, nullptr, low, high, nullptr, 0, nullptr, rest, words, levels, list, 0, 0};
    int failed = !tries ? 2 : once ? 1 : 0;
    int64_t waiting[kNeurons];
    int n_waiting = 0;
    bool by_rows = false;
    const auto leave_rows = [&] {
      if (n_waiting > 0) add_rows(t, o, waiting, n_waiting);
      n_waiting = 0;
      if (by_rows) {
        transpose_block(rows->dx, kInputBlock, kTileRows, kInputBlock, dx + t * kInputBlock * kTileRows, kTileRows);
      }
      by_rows = false;
    };
    for (int64_t k = 0; k < count; ++k) {
      const float reach = factors.least[t * c.layer.outputs + o + k];
      if (reach == kInfinity) continue;
      if (failed < 2 || reach == kNotFinite) {
        leave_rows(); // there a dropped input would get what is not finite
        const int level = tries && reach != kNotFinite ? levels.level(reach) : 0;
        std::memcpy(rest, kept, size_t(words) * sizeof(uint64_t));
        const Pair pair = {w(o + k), levels_of_w + k * kInputBlock, nullptr, o + k, nullptr};
        const int64_t n = take(view, pair, level);
        if (reach != kNotFinite) failed = level > 0 && n <= present * 3 / 4 ? 0 : failed + 1;
        add(t, o + k, o, n);
        continue;
      }
      if (!by_rows) to_rows(t, kept);
      by_rows = true;
      waiting[n_waiting++] = o + k;
      if (n_waiting < kNeurons) continue;
      add_rows(t, o, waiting, n_waiting);
      n_waiting = 0;
    }
    leave_rows();
    return failed < 2;
  }

  // The slopes of a pair at the inputs of the list.
  void add(int64_t t, int64_t o, int64_t block_first, int64_t n) {
    const int64_t at = (t * c.layer.outputs + o) * kTileRows;
    const FlushToZero mode;
    slopes.with_slope([&](const auto &slope) {
      add_slopes(slope, factors.inverse + at, factors.dy + at, tiles.x_of(t) + first * kTileRows, w(o), list, n,
                 dx + t * kInputBlock * kTileRows, dw(o, block_first), sums);
    });
  }

  // A lane per input: dropped and absent inputs are NaN, which has no slope.
  void to_rows(int64_t t, const uint64_t *kept) {
    transpose_block(dx + t * kInputBlock * kTileRows, kTileRows, kInputBlock, kTileRows, rows->dx, kInputBlock);
    const int64_t here = tiles.rows(t);
    for (int64_t r = 0; r < here; ++r) {
      float *const to = rows->x + r * kInputBlock;
      std::memcpy(to, c.x + (tiles.first(t) + r) * c.x_stride + first, size_t(width) * sizeof(float));
      for (int64_t i = 0; i < kInputBlock; ++i) {
        if (i >= width || (kept[i / kWord] >> (i % kWord) & 1) == 0) to[i] = __builtin_nanf("");
      }
    }
  }

  void add_rows(int64_t t, int64_t o, const int64_t *neurons, int n) {
    sums.flush();
    const int64_t here = tiles.rows(t);
    const size_t bytes = size_t(width) * sizeof(float);
    for (int k = 0; k < kNeurons; ++k) {
      const int64_t at = (t * c.layer.outputs + neurons[k < n ? k : 0]) * kTileRows;
      std::memcpy(rows->w + k * kInputBlock, w(neurons[k < n ? k : 0]), bytes);
      std::memset(rows->w + k * kInputBlock + width, 0, size_t(kInputBlock - width) * sizeof(float));
      for (int64_t r = 0; r < here; ++r) {
        float *const f = rows->factors + r * 2 * kNeurons;
        f[k] = k < n ? factors.inverse[at + r] : 0.0f;
        f[kNeurons + k] = k < n ? factors.dy[at + r] : 0.0f;
      }
    }
    slopes({here, round_up(width, kLanes), rows->x, rows->dx, rows->w, rows->dw, rows->factors});
    for (int k = 0; k < n; ++k) {
      float *const to = dw(neurons[k], o);
      for (int64_t i = 0; i < width; ++i) to[i] += rows->dw[k * kInputBlock + i];
    }
  }
};

// What is computed one by one: outputs of odd norms, and of samples and neurons that are not finite.
template <class Odd> sn_status backward_one_by_one(const LpBackward &c, const Odd &odd) {
  return parallel_for(nullptr, c.layer.batch, [&](int64_t b) {
    const uint8_t *out = mask_row(c.masks.out, b / c.masks.group, c.layer.outputs);
    for (int64_t o = 0; o < c.layer.outputs; ++o) {
      if ((out == nullptr || out[o] != 0) && odd(b, o)) lp_backward_one(c, b, o);
    }
  });
}

sn_status lp_backward_pruned(const LpBackward &c) {
  const sn_layer &l = c.layer;
  const int64_t O = l.outputs;
  const Slopes slopes(c.p);
  return with_tiles(l, c.masks, c.x, nullptr, c.x_stride, c.ex, [&](const Tiles &tiles) {
    Carver memory;
    for (int k = 0; k < 2; ++k) memory.count<float>(tiles.count * O * kTileRows);
    memory.count<float>(tiles.count * O);
    memory.count<uint8_t>(O);
    if (!memory.open(ScratchSlot::call)) return sn_status(SN_OUT_OF_MEMORY);
    SlopeFactors f;
    f.inverse = memory.take<float>(tiles.count * O * kTileRows);
    f.dy = memory.take<float>(tiles.count * O * kTileRows);
    f.least = memory.take<float>(tiles.count * O);
    uint8_t *const odd_neuron = memory.take<uint8_t>(O);
    sn_status status = parallel_for(O * l.inputs < 65536 ? nullptr : c.ex, ceil_div(O, 32), [&](int64_t task) {
      float low, high;
      for (int64_t o = task * 32; o < smaller(O, task * 32 + 32); ++o) {
        odd_neuron[o] = !range_of(l.w + o * l.w_stride, l.inputs, &low, &high);
      }
    });
    if (status != SN_OK) return status;
    std::atomic<bool> any_odd{false};
    const auto is_odd = [&](int64_t tile, int64_t r, int64_t o, float y) {
      return y != 0.0f && (odd_norm(y, c.p) || odd_neuron[o] != 0 || (tiles.odd[tile] >> r & 1) != 0);
    };
    status = parallel_for(l.batch * O < 16384 ? nullptr : c.ex, tiles.count, [&](int64_t t) {
      const uint8_t *out = mask_row(c.masks.out, t / tiles.per_group, O);
      const int64_t first = tiles.first(t), rows = tiles.rows(t);
      bool odd = false;
      for (int64_t o = 0; o < O; ++o) {
        float *const inverse = f.inverse + (t * O + o) * kTileRows, *const dy = f.dy + (t * O + o) * kTileRows;
        float &least = f.least[t * O + o];
        least = kInfinity;
        for (int64_t r = 0; r < kTileRows; ++r) {
          inverse[r] = dy[r] = 0.0f;
          if (r >= rows || (out != nullptr && out[o] == 0)) continue;
          const float y = c.y[(first + r) * c.y_stride + o], gradient = c.dy[(first + r) * c.dy_stride + o];
          const bool one_by_one = is_odd(t, r, o, y);
          odd = odd || one_by_one;
          if (one_by_one || y == 0.0f || gradient == 0.0f) continue;
          inverse[r] = 1.0f / y;
          dy[r] = gradient;
          // A ratio errs by three roundings.
          const bool fine = finite(gradient < 0.0f ? -gradient : gradient);
          const float reach = fine ? y * (slopes.least * (1.0f - 0x1p-20f)) : kNotFinite;
          least = reach < least ? reach : least;
        }
      }
      if (odd) any_odd.store(true, std::memory_order_relaxed);
    });
    if (status != SN_OK) return status;
    status = parallel_for(c.ex, ceil_div(l.inputs, kInputBlock),
                          [&](int64_t task) { PrunedSlopes(c, tiles, f, slopes, task).run(); });
    if (status != SN_OK || !any_odd.load()) return status;
    return backward_one_by_one(c, [&](int64_t b, int64_t o) {
      const int64_t tile = b / tiles.group * tiles.per_group + b % tiles.group / kTileRows;
      return is_odd(tile, b % tiles.group % kTileRows, o, c.y[b * c.y_stride + o]);
    });
  });
}

} // namespace
} // namespace sortnet

#endif
