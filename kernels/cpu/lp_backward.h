// sn_lp_backward. One lane per input: a task owns a block of inputs, that is columns of dx and dw, and
// walks all outputs and samples, so that nothing is summed across tasks and nothing is rearranged.
#ifndef SORTNET_CPU_LP_BACKWARD_H
#define SORTNET_CPU_LP_BACKWARD_H

#include "lp_forward.h"
#include "lp_pruned_backward.h"

namespace sortnet {
namespace {

sn_status lp_backward_finite(const LpBackward &c) {
  const sn_layer &l = c.layer;
  const int64_t B = l.batch, I = l.inputs, O = l.outputs;
  const int64_t group = larger(1, samples_together(c.masks, B));
  const int64_t groups = ceil_div(B, group);
  const Slopes slopes(c.p);

  // Neurons come in blocks, so that a block's weights and gradients stay in the cache for all groups.
  // For each group and block: its kept neurons, and the factors of the group's samples.
  const int64_t blocks = ceil_div(O, kNeuronBlock);
  constexpr int64_t row = 2 * kNeurons; // factors of a sample
  const int64_t block_factors = kNeuronBlock / kNeurons * group * row;
  Carver shared;
  shared.count<float>(groups * blocks * block_factors);
  shared.count<int32_t>(groups * blocks * kNeuronBlock);
  shared.count<int32_t>(groups * blocks);
  if (!shared.open(ScratchSlot::shared)) return SN_OUT_OF_MEMORY;
  float *const factors = shared.take<float>(groups * blocks * block_factors);
  int32_t *const neurons = shared.take<int32_t>(groups * blocks * kNeuronBlock);
  int32_t *const kept = shared.take<int32_t>(groups * blocks);
  std::atomic<bool> odd{false};
  sn_status status = parallel_for(
      B * O < 16384 ? nullptr : c.ex, groups * blocks, [&](int64_t task) {
        const int64_t g = task / blocks, o_first = task % blocks * kNeuronBlock;
        const int64_t samples = smaller(group, B - g * group);
        const uint8_t *out = mask_row(c.masks.out, g, O);
        int32_t *const list = neurons + task * kNeuronBlock;
        int32_t count = 0;
        for (int64_t o = o_first; o < smaller(O, o_first + kNeuronBlock); ++o) {
          list[count] = int32_t(o);
          count += out == nullptr || out[o] != 0;
        }
        kept[task] = count;
        bool any_odd = false;
        for (int64_t b = 0; b < samples; ++b) {
          const float *y = c.y + (g * group + b) * c.y_stride;
          const float *dy = c.dy + (g * group + b) * c.dy_stride;
          for (int32_t n = 0; n < round_up(count, kNeurons); ++n) {
            const float norm = n < count ? y[list[n]] : 0.0f;
            const bool is_odd = odd_norm(norm, c.p), use = norm != 0.0f && !is_odd;
            any_odd = any_odd || is_odd;
            float *f = factors + task * block_factors + (n / kNeurons * group + b) * row + n % kNeurons;
            f[0] = use ? 1.0f / norm : 0.0f;
            f[kNeurons] = use ? dy[list[n]] : 0.0f;
          }
        }
        if (any_odd) odd.store(true, std::memory_order_relaxed);
      });
  if (status != SN_OK) return status;

  status = parallel_for(c.ex, ceil_div(I, kInputBlock), [&](int64_t task) {
    const int64_t i = task * kInputBlock, width = smaller(kInputBlock, I - i);
    const size_t row_bytes = size_t(width) * sizeof(float);
    constexpr int64_t neuron_floats = kNeurons * kInputBlock + kLanes;
    const int64_t sample_floats = B * kInputBlock + kLanes;
    Carver memory;
    for (int k = 0; k < 2; ++k) memory.count<float>(sample_floats);
    for (int k = 0; k < 2; ++k) memory.count<float>(neuron_floats);
    // Where groups of masks read a block of weights again and again, columns of it lie together: rows apart by a
    // power of two would share few sets of the caches.
    const bool copied = groups > 1;
    for (int k = 0; k < 2; ++k) memory.count<float>(copied ? kNeuronBlock * kInputBlock : 0);
    memory.open_or_throw(ScratchSlot::task);
    float *const x = memory.take<float>(sample_floats), *const dx = memory.take<float>(sample_floats);
    float *const w = memory.take<float>(neuron_floats), *const dw = memory.take<float>(neuron_floats);
    float *const w_copy = memory.take<float>(copied ? kNeuronBlock * kInputBlock : 0);
    float *const dw_copy = memory.take<float>(copied ? kNeuronBlock * kInputBlock : 0);
    const auto kept_inputs = [&](int64_t g) {
      return c.masks.in == nullptr ? nullptr : c.masks.in + g * I + i;
    };
    for (int64_t b = 0; b < B; ++b) {
      float *const to = x + b * kInputBlock;
      const int64_t n = gather<1>({c.x + b * c.x_stride + i}, kept_inputs(b / group), width, {to});
      std::memset(to + n, 0, size_t(kInputBlock - n) * sizeof(float));
    }
    std::memset(dx, 0, size_t(B * kInputBlock) * sizeof(float));
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t o_first = block * kNeuronBlock, in_block = smaller(kNeuronBlock, O - o_first);
      const float *const w_block = copied ? w_copy : l.w + o_first * l.w_stride + i;
      float *const dw_block = copied || c.dw == nullptr ? dw_copy : c.dw + o_first * c.dw_stride + i;
      const int64_t w_step = copied ? kInputBlock : l.w_stride, dw_step = copied ? kInputBlock : c.dw_stride;
      for (int64_t k = 0; k < in_block; ++k) {
        if (copied) std::memcpy(w_copy + k * w_step, l.w + (o_first + k) * l.w_stride + i, row_bytes);
        if (c.dw != nullptr) std::memset(dw_block + k * dw_step, 0, row_bytes);
      }
      for (int64_t g = 0; g < groups; ++g) {
        const uint8_t *in = kept_inputs(g);
        const int64_t columns = round_up(count_kept(in, width), kLanes);
        const int64_t at = g * blocks + block, first = g * group;
        const int32_t *list = neurons + at * kNeuronBlock;
        for (int32_t n = 0; n < kept[at]; n += kNeurons) {
          const int count = int(smaller(kNeurons, kept[at] - n));
          const float *from[kNeurons];
          float *to[kNeurons];
          for (int k = 0; k < kNeurons; ++k) {
            from[k] = w_block + (list[n + (k < count ? k : 0)] - o_first) * w_step;
            to[k] = w + k * kInputBlock;
          }
          const int64_t present = gather(from, in, width, to);
          const size_t absent = size_t(columns - present) * sizeof(float);
          for (int k = 0; k < kNeurons; ++k) std::memset(to[k] + present, 0, absent);
          slopes({smaller(group, B - first), columns, x + first * kInputBlock,
                  dx + first * kInputBlock, w, dw,
                  factors + at * block_factors + n / kNeurons * group * row});
          if (c.dw == nullptr) continue;
          for (int k = 0; k < kNeurons; ++k) {
            from[k] = dw + k * kInputBlock;
            to[k] = dw_block + (list[n + (k < count ? k : 0)] - o_first) * dw_step;
          }
          if (count == kNeurons) scatter_add(from, in, width, to);
          else for (int k = 0; k < count; ++k) scatter_add<1>({from[k]}, in, width, {to[k]});
        }
      }
      for (int64_t k = 0; k < in_block && copied && c.dw != nullptr; ++k) {
        std::memcpy(c.dw + (o_first + k) * c.dw_stride + i, dw_copy + k * dw_step, row_bytes);
      }
    }
    for (int64_t b = 0; b < B && c.dx != nullptr; ++b) {
      float *to = c.dx + b * c.dx_stride + i;
      std::memset(to, 0, row_bytes);
      scatter_add<1>({dx + b * kInputBlock}, kept_inputs(b / group), width, {to});
    }
  });
  if (status != SN_OK || !odd.load()) return status;
  return backward_one_by_one(c, [&](int64_t b, int64_t o) { return odd_norm(c.y[b * c.y_stride + o], c.p); });
}

sn_status lp_backward(const LpBackward &c) {
  if (c.p == kInfinity) return linf_backward(c);
  return method_of(c.p) == Method::pruned ? lp_backward_pruned(c) : lp_backward_finite(c);
}

} // namespace
} // namespace sortnet

#endif
