// Order statistics by exact pruning, a lane per sample.
//
// A tile is kTileRows samples. If the tile's samples, or intervals, lie in [low_i, high_i] at input i, no term of them
// is larger than max(high_i - w_i, w_i - low_i): its bound. The inputs whose bound reaches a guess, what the
// same neuron needed in the tile before, are computed exactly. That gives a lower bound T of the order statistic
// that is wanted of every sample. If T is not below the guess, no other input can matter; else those
// whose bounds reach T are computed as well. The bounds are compared in bytes, 64 inputs at a time.
// How many inputs are left depends on the data, the result does not.
//
// Levels. Values are counted in steps of 1 / scale from the least of the block's inputs and weights, in
// float32: t(v) = (v - base) * scale + 1.5, off by less than e = 255 * 4 * 2^-24 < 2^-13. As bytes
//   high = trunc(t(high_i) + 1),  low = trunc(t(low_i) - 1),  w = trunc(t(w_i)),
// so that in steps high_i - w_i <= high - w + 2e and w_i - low_i <= w - low + 2e. An input is left out
// if both differences of bytes are below level(T) = floor(T scale + 1 - 2^-8); hence its real terms
// are below T - (2^-8 - 3e) / scale, which is below T (1 - 2^-17) as T scale < 255, and
// so are their float32 roundings: what is left out is strictly below T.
#ifndef SORTNET_CPU_PRUNE_H
#define SORTNET_CPU_PRUNE_H

#include "common.h"

namespace sortnet {
namespace {

constexpr int kTileVectors = kPair;
constexpr int kTileRows = kTileVectors * kLanes;
constexpr int64_t kWord = 64;    // inputs whose bounds are compared together
constexpr int kBlock = 64;       // most neurons of a task
constexpr int64_t kFew = 32;     // inputs that tell whether a guess was too low
constexpr int kMostRetries = 6;
constexpr int64_t kMostPause = 16; // tiles
constexpr int kMargin = 4;       // levels: a guess this much lower is seldom too high

// The ends of a tile's values at each input.
struct Hull {
  float *low, *high; // [width]
};

// The samples of a call, a tile after the other; a tile never spans two groups of masks. Absent rows
// and those that are not finite (`odd`, a bit each) repeat a finite one. Vectors: of a tile's samples.
template <int Vectors> struct TilesOf {
  static constexpr int rows_of_one = Vectors * kLanes;
  static constexpr uint32_t all_odd = uint32_t((uint64_t(1) << rows_of_one) - 1);
  int64_t batch, inputs, width; // width: the inputs rounded up to whole words
  int64_t group, per_group, count;
  float *x;      // [count][inputs + 1][rows_of_one]
  float *u;      // the same of the upper ends of intervals; else x
  float *hulls;  // [count][2][width]
  float *ends;   // [count][2]: the least and largest of a hull
  uint32_t *odd; // [count]
  // The kept inputs of each group of masks; of one group, 0, where all are kept.
  bool all_kept;
  int64_t *kept_count; // [groups]
  uint32_t *kept;      // [groups][width]
  uint64_t *kept_bits; // [groups][width / kWord]: the same, a bit each

  int64_t kept_group(int64_t tile) const { return all_kept ? 0 : tile / per_group; }
  int64_t first(int64_t tile) const { return tile / per_group * group + tile % per_group * rows_of_one; }
  int64_t rows(int64_t tile) const {
    const int64_t end = smaller(batch, (tile / per_group + 1) * group);
    return smaller(rows_of_one, end - first(tile));
  }
  int64_t tile_floats() const { return round_up((inputs + 1) * rows_of_one, 16); }
  const float *x_of(int64_t tile) const { return x + tile * tile_floats(); }
  const float *u_of(int64_t tile) const { return u + tile * tile_floats(); }
  Hull hull(int64_t tile) const {
    float *at = hulls + tile * 2 * width;
    return {at, at + width};
  }
  float *ends_of(int64_t tile) const { return ends + tile * 2; }
};
using Tiles = TilesOf<kTileVectors>;

// The least of the rows of `low` and the largest of the rows of `high` at each input.
template <int Count>
void hull_of(const float *const *low, const float *const *high, int64_t inputs, int64_t width, Hull to,
             float *ends) {
  F least = Simd::set1(kInfinity), largest = Simd::set1(-kInfinity);
  int64_t i = 0;
  for (; i + kLanes <= inputs; i += kLanes) {
    F l = Simd::load(low[0] + i), h = Simd::load(high[0] + i);
    for (int r = 1; r < Count; ++r) {
      l = Simd::min(l, Simd::load(low[r] + i));
      h = Simd::max(h, Simd::load(high[r] + i));
    }
    Simd::store(to.low + i, l);
    Simd::store(to.high + i, h);
    least = Simd::min(least, l);
    largest = Simd::max(largest, h);
  }
  ends[0] = Simd::least(least);
  ends[1] = -Simd::least(Simd::sub(Simd::set1(0.0f), largest));
  for (; i < width; ++i) {
    float l = low[0][smaller(i, inputs - 1)], h = high[0][smaller(i, inputs - 1)];
    for (int r = 1; r < Count && i < inputs; ++r) {
      l = low[r][i] < l ? low[r][i] : l;
      h = high[r][i] > h ? high[r][i] : h;
    }
    to.low[i] = l;
    to.high[i] = h;
    ends[0] = l < ends[0] ? l : ends[0];
    ends[1] = h > ends[1] ? h : ends[1];
  }
}

bool ordered(const float *l, const float *u, int64_t n) {
  uint32_t all = Simd::bits(Simd::eq(Simd::set1(0.0f), Simd::set1(0.0f))), lanes = all;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) lanes &= Simd::bits(Simd::le(Simd::load(l + i), Simd::load(u + i)));
  bool rest = true;
  for (; i < n; ++i) rest = rest && l[i] <= u[i];
  return rest && lanes == all;
}

template <class Tiles> void lay_kept(const Tiles &to, int64_t group, const uint8_t *in) {
  uint32_t *const kept = to.kept + group * to.width;
  int64_t n = 0;
  for (int64_t k = 0; k < to.width / kWord; ++k) {
    uint64_t bits = 0;
    for (int64_t i = k * kWord; i < smaller(to.inputs, (k + 1) * kWord); ++i) {
      const bool is = in == nullptr || in[i] != 0;
      kept[n] = uint32_t(i);
      n += is;
      bits |= uint64_t(is) << (i % kWord);
    }
    to.kept_bits[group * (to.width / kWord) + k] = bits;
  }
  to.kept_count[group] = n;
}

// Lays out a tile of points (upper null) or of intervals.
template <int Vectors>
void lay_tile(const TilesOf<Vectors> &to, int64_t tile, const float *lower, const float *upper, int64_t stride) {
  constexpr int rows_of_one = TilesOf<Vectors>::rows_of_one;
  const int64_t rows = to.rows(tile), first = to.first(tile);
  to.odd[tile] = to.all_odd;
  if (rows <= 0) return;
  const bool interval = upper != nullptr;
  float largest[2][rows_of_one];
  const float *at[2][rows_of_one];
  for (int64_t r = 0; r < rows_of_one; ++r) {
    at[0][r] = lower + (first + smaller(r, rows - 1)) * stride;
    at[1][r] = interval ? upper + (first + smaller(r, rows - 1)) * stride : at[0][r];
  }
  float *const x = to.x + tile * to.tile_floats(), *const u = to.u + tile * to.tile_floats();
  const auto lay = [&] {
    interleave<rows_of_one>(at[0], rows_of_one, to.inputs, nullptr, x, largest[0]);
    if (interval) interleave<rows_of_one>(at[1], rows_of_one, to.inputs, nullptr, u, largest[1]);
  };
  lay();
  uint32_t odd = 0;
  int usual = -1;
  for (int r = 0; r < rows_of_one; ++r) {
    bool fine = finite(largest[0][r]);
    if (interval) fine = fine && finite(largest[1][r]) && ordered(at[0][r], at[1][r], to.inputs);
    if (fine) usual = r;
    else odd |= 1u << r;
  }
  to.odd[tile] = odd;
  if (usual < 0) return;
  if (odd != 0) {
    for (int r = 0; r < rows_of_one; ++r) {
      if (odd >> r & 1) {
        at[0][r] = at[0][usual];
        at[1][r] = at[1][usual];
      }
    }
    lay();
  }
  hull_of<rows_of_one>(at[0], at[1], to.inputs, to.width, to.hull(tile), to.ends_of(tile));
}

// Samples that share masks: the batch if there are none.
inline int64_t samples_together(const sn_masks &m, int64_t batch) {
  return m.in == nullptr && m.out == nullptr ? batch : smaller(m.group, batch);
}

// Runs body(tiles) with the samples laid out.
template <int Vectors = kTileVectors, class Body>
sn_status with_tiles(const sn_layer &l, const sn_masks &masks, const float *lower, const float *upper,
                     int64_t stride, const sn_executor *ex, const Body &body) {
  TilesOf<Vectors> t = {};
  t.batch = l.batch;
  t.inputs = l.inputs;
  t.width = round_up(l.inputs, kWord);
  t.group = larger(1, samples_together(masks, l.batch));
  t.per_group = ceil_div(t.group, t.rows_of_one);
  t.count = ceil_div(l.batch, t.group) * t.per_group;
  t.all_kept = masks.in == nullptr;
  const int64_t groups = t.all_kept ? 1 : ceil_div(l.batch, t.group);
  Carver shared;
  for (int k = 0; k < (upper != nullptr ? 2 : 1); ++k) shared.count<float>(t.count * t.tile_floats());
  shared.count<float>(t.count * 2 * t.width);
  shared.count<float>(t.count * 2);
  shared.count<uint32_t>(t.count);
  shared.count<int64_t>(groups);
  shared.count<uint32_t>(groups * t.width);
  shared.count<uint64_t>(groups * (t.width / kWord));
  if (!shared.open(ScratchSlot::shared)) return SN_OUT_OF_MEMORY;
  t.x = shared.take<float>(t.count * t.tile_floats());
  t.u = upper != nullptr ? shared.take<float>(t.count * t.tile_floats()) : t.x;
  t.hulls = shared.take<float>(t.count * 2 * t.width);
  t.ends = shared.take<float>(t.count * 2);
  t.odd = shared.take<uint32_t>(t.count);
  t.kept_count = shared.take<int64_t>(groups);
  t.kept = shared.take<uint32_t>(groups * t.width);
  t.kept_bits = shared.take<uint64_t>(groups * (t.width / kWord));
  const sn_status laid = parallel_for(l.batch * l.inputs < 65536 ? nullptr : ex, t.count, [&](int64_t k) {
    lay_tile(t, k, lower, upper, stride);
    if (k % t.per_group != 0 || (t.all_kept && k > 0)) return;
    lay_kept(t, k / t.per_group, mask_row(masks.in, k / t.per_group, l.inputs));
  });
  return laid != SN_OK ? laid : body(t);
}

// ---- levels ----

struct Levels {
  float base = 0.0f, scale = 0.0f; // scale 0: the values do not allow any

  Levels() = default;
  Levels(float least, float largest) : base(least) {
    const float range = largest - least;
    if (range >= 0x1p-80f && range <= 0x1p120f) scale = 252.0f / range;
  }
  // Of n values, moved by `shift` steps; 0 from there on to `width`.
  void of(const float *from, int64_t n, int64_t width, float shift, uint8_t *to) const {
    const F b = Simd::set1(base), s = Simd::set1(scale), half = Simd::set1(1.5f + shift);
    const auto put = [&](const float *v, uint8_t *at) {
      Simd::store_bytes(at, Simd::add(Simd::mul(Simd::sub(Simd::load(v), b), s), half));
    };
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) put(from + i, to + i);
    if (i < n) {
      float last[kLanes];
      for (int l = 0; l < kLanes; ++l) last[l] = i + l < n ? from[i + l] : base;
      put(last, to + i);
    }
    std::memset(to + n, 0, size_t(width - n));
  }
  int level(float least) const {
    const float t = least * scale + (1.0f - 0x1p-8f);
    return t < 255.0f ? t > 0.0f ? int(t) : 0 : 255;
  }
};

// The least and largest of a row; false if a value is not finite.
bool range_of(const float *w, int64_t n, float *least, float *largest) {
  F low = Simd::set1(kInfinity), high = Simd::set1(-kInfinity), top = Simd::set1(0.0f);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const F v = Simd::load(w + i);
    low = Simd::min(low, v);
    high = Simd::max(high, v);
    top = Simd::max_bits(top, Simd::abs(v));
  }
  float lanes[3][kLanes];
  Simd::store(lanes[0], low);
  Simd::store(lanes[1], high);
  Simd::store(lanes[2], top);
  float l = kInfinity, h = -kInfinity;
  bool fine = true;
  for (int k = 0; k < kLanes; ++k) {
    l = lanes[0][k] < l ? lanes[0][k] : l;
    h = lanes[1][k] > h ? lanes[1][k] : h;
    fine = fine && finite(lanes[2][k]);
  }
  for (; i < n; ++i) {
    l = w[i] < l ? w[i] : l;
    h = w[i] > h ? w[i] : h;
    fine = fine && finite(w[i] < 0.0f ? -w[i] : w[i]);
  }
  *least = l;
  *largest = h;
  return fine;
}

// ---- pairs of a neuron and a tile ----

// What the pairs of a tile share.
struct TileView {
  const float *x, *u;        // [inputs][kTileRows]
  const uint8_t *low, *high; // [width]
  const uint32_t *kept;      // the kept inputs
  int64_t kept_count;
  const uint64_t *kept_bits; // the same, a bit each
  uint64_t *rest;            // room for the bits of a pair
  int64_t words;
  Levels levels;
  uint32_t *list;      // room for the inputs that are left
  int64_t first, rows; // its samples
};

struct Pair {
  const float *w;       // [inputs]
  const uint8_t *level; // [width]
  int *guess;           // a level
  int64_t neuron;
  float *out;
};

// The inputs of a pair that are not done and may reach a level, ascending, to t.list: how many. They are
// done then.
inline int64_t take(const TileView &t, const Pair &p, int level) {
  uint32_t *to = t.list;
  for (int64_t k = 0; k < t.words; ++k) {
    const int64_t i = k * kWord;
    uint64_t bits = t.rest[k] & Simd::reaching(p.level + i, t.low + i, t.high + i, uint8_t(level));
    t.rest[k] ^= bits;
    to += Simd::places(to, uint32_t(i), bits);
  }
  return to - t.list;
}

// Computes the inputs of a pair that may matter: use(list, n) takes some and returns a lower bound of
// the wanted order statistic of all samples; of `few` it tells whether the guess was too low. False: too many may matter, and some have been used.
template <class Use>
bool prune_pair(const TileView &t, const Pair &p, int64_t most, const Use &use, int64_t few = kFew) {
  std::memcpy(t.rest, t.kept_bits, size_t(t.words) * sizeof(uint64_t));
  int level = *p.guess > 2 * kMargin ? *p.guess - kMargin : *p.guess;
  int reached = 0;
  int retries = 0;
  bool partly = false; // not all inputs at `level` were used
  for (int64_t left = most;;) {
    int64_t n = take(t, p, level);
    if (n > left) {
      // Unless the guess was too low, this pair is not worth it: a few inputs, some times, tell.
      if (++retries > kMostRetries) return false;
      for (int64_t k = few; k < n; ++k) {
        t.rest[t.list[k] / kWord] |= uint64_t(1) << (t.list[k] % kWord);
      }
      partly = n > few;
      n = smaller(n, few);
    }
    left -= n;
    if (n > 0) reached = t.levels.level(use(t.list, n));
    if (reached >= level && !partly) {
      *p.guess = reached;
      return true;
    }
    if (partly && reached <= level) return false;
    level = reached > 0 ? reached : level / 2;
    if (level == 0) return false;
    partly = false;
  }
}

// The neurons of a task.
struct Block {
  const sn_layer &layer;
  const int64_t first, count, width, words;
  bool odd[kBlock]; // not finite
  Levels levels;
  uint8_t *level;             // [count][width]
  uint8_t *low, *high;        // [width], of the tile
  uint64_t *rest;             // [words]
  uint32_t *list;             // [width + kWord]
  int guess[kBlock], last_guess = 160;
  float *out; // [count][floats]

  Block(const sn_layer &l, int64_t first_neuron, int64_t n, int64_t row, int64_t floats)
      : layer(l), first(first_neuron), count(n), width(row), words(row / kWord) {
    Carver memory;
    memory.count<uint8_t>((count + 2) * width);
    memory.count<uint64_t>(words);
    memory.count<uint32_t>(width + kWord);
    memory.count<float>(count * floats);
    memory.open_or_throw(ScratchSlot::task);
    level = memory.take<uint8_t>((count + 2) * width);
    low = level + count * width;
    high = low + width;
    rest = memory.take<uint64_t>(words);
    list = memory.take<uint32_t>(width + kWord);
    out = memory.take<float>(count * floats);
    for (int &g : guess) g = 0;
  }

  const float *w(int64_t k) const { return layer.w + (first + k) * layer.w_stride; }

  // Levels that hold the weights and the tiles first .. last-1.
  template <class Tiles> void measure(const Tiles &tiles, int64_t first_tile, int64_t last_tile) {
    float least = kInfinity, largest = -kInfinity;
    const auto include = [&](float l, float h) {
      least = l < least ? l : least;
      largest = h > largest ? h : largest;
    };
    for (int64_t k = 0; k < count; ++k) {
      float l, h;
      odd[k] = !range_of(w(k), layer.inputs, &l, &h);
      if (!odd[k]) include(l, h);
    }
    for (int64_t t = first_tile; t < last_tile; ++t) {
      if (tiles.odd[t] == tiles.all_odd) continue;
      const float *ends = tiles.ends_of(t);
      include(ends[0], ends[1]);
    }
    levels = Levels(least, largest);
    if (levels.scale == 0.0f) return;
    for (int64_t k = 0; k < count; ++k) {
      if (!odd[k]) levels.of(w(k), layer.inputs, width, 0.0f, level + k * width);
    }
  }
};

// Hands every pair of a kept, finite neuron and a tile to the operation: to op.prune(tile, pair) or, where
// that returns false because pruning does not help, to op.all(tile, pairs, n) for n <= Op::together
// pairs. Their outputs, op.outputs() floats for each sample, go to op.store(tile, neurons, n, out).
// Then op.slow(sample, neuron) for what is not finite. Before, where neurons may be dropped, op.clear(sample, first
// neuron, count) for what all of them are if they are.
template <class Tiles, class Op>
sn_status for_pairs(const sn_layer &l, const sn_masks &masks, const Tiles &tiles, const sn_executor *ex,
                    const Op &op) {
  const int64_t I = l.inputs, O = l.outputs, floats = op.outputs() * tiles.rows_of_one;
  if (tiles.count == 0 || O == 0) return SN_OK;
  // A block's weights stay in the second cache.
  const int64_t least = larger(8, Op::together), most = smaller(kBlock, 65536 / larger(I, 1) / 8 * 8);
  const int64_t size = larger(least, most), blocks = ceil_div(O, size);
  // Tiles of a task: enough for what is made once per neuron to pay, if that leaves enough tasks.
  const int64_t span = smaller(tiles.count, larger(4, ceil_div(tiles.count * blocks, 16)));
  const int64_t parts = ceil_div(tiles.count, span);
  return parallel_for(ex, blocks * parts, [&](int64_t task) {
    const int64_t o = task / parts * size, t_first = task % parts * span;
    const int64_t t_last = smaller(tiles.count, t_first + span);
    Block block(l, o, smaller(size, O - o), tiles.width, floats);
    block.measure(tiles, t_first, t_last);
    int64_t neurons[kBlock];
    // Where pruning failed, the next tile to try it, with one pair, is twice as far each time.
    int64_t pause = 0, next_try = t_first;
    for (int64_t t = t_first; t < t_last; ++t) {
      const int64_t rows = tiles.rows(t), group = tiles.kept_group(t);
      if (rows <= 0) continue;
      const uint8_t *out = mask_row(masks.out, t / tiles.per_group, O);
      for (int64_t r = 0; out != nullptr && r < rows; ++r) op.clear(tiles.first(t) + r, o, block.count);
      if (tiles.odd[t] != tiles.all_odd) {
        const bool tries = block.levels.scale != 0.0f && t >= next_try;
        if (tries) {
          const Hull h = tiles.hull(t);
          block.levels.of(h.low, I, tiles.width, -1.0f, block.low);
          block.levels.of(h.high, I, tiles.width, 1.0f, block.high);
        }
        const TileView tile = {tiles.x_of(t), tiles.u_of(t), block.low, block.high,
                               tiles.kept + group * tiles.width, tiles.kept_count[group],
                               tiles.kept_bits + group * block.words, block.rest, block.words,
                               block.levels, block.list, tiles.first(t), rows};
        Pair hard[Op::together];
        int waiting = 0, failed = !tries ? 2 : pause > 0 ? 1 : 0;
        int64_t n = 0;
        for (int64_t k = 0; k < block.count; ++k) {
          if (block.odd[k] || (out != nullptr && out[o + k] == 0)) continue;
          int &guess = block.guess[k];
          if (guess == 0) guess = block.last_guess;
          const Pair pair = {block.w(k), block.level + k * block.width, &guess, o + k,
                             block.out + n * floats};
          neurons[n++] = o + k;
          if (failed < 2 && op.prune(tile, pair)) {
            failed = 0;
            block.last_guess = guess;
            continue;
          }
          ++failed;
          hard[waiting++] = pair;
          if (waiting == Op::together) {
            op.all(tile, hard, waiting);
            waiting = 0;
          }
        }
        if (waiting > 0) op.all(tile, hard, waiting);
        if (tries) {
          pause = failed < 2 ? 0 : smaller(kMostPause, larger(1, 2 * pause));
          next_try = t + larger(1, pause);
        }
        op.store(tile, neurons, n, block.out);
      }
      for (int64_t k = 0; k < block.count; ++k) {
        const bool dropped = out != nullptr && out[o + k] == 0;
        if (dropped || (!block.odd[k] && tiles.odd[t] == 0)) continue;
        for (int64_t r = 0; r < rows; ++r) {
          if (block.odd[k] || (tiles.odd[t] >> r & 1) != 0) op.slow(tiles.first(t) + r, o + k);
        }
      }
    }
  });
}

// Writes outputs of a tile to rows of y: those of a neuron `step` floats after those of the one before.
void store_tile(const TileView &t, const int64_t *neurons, int64_t n, const float *out, int64_t step,
                float *y, int64_t stride) {
  for (int64_t r = 0; r < t.rows; ++r) {
    float *row = y + (t.first + r) * stride;
    for (int64_t k = 0; k < n; ++k) row[neurons[k]] = out[k * step + r];
  }
}

} // namespace
} // namespace sortnet

#endif
