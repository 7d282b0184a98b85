#include "shuffler/native/aggregation/noise.h"

#include <algorithm>
#include <cmath>

namespace fcp {
namespace {

// True with probability exp(-x), where `trial()` is true with probability x, 0 <= x <= 1 (Canonne
// et al., algorithm 1, after von Neumann).
template <typename Trial>
bool BernoulliExp(Trial trial, RandomSource& random) {
  uint64_t k = 1;
  while (trial() && random.Below(k) == 0) ++k;
  return k % 2 == 1;
}

bool Always() { return true; }

// The magnitude and a sign; none for a zero with a minus, so that zero does not count twice.
bool Sign(Int128* magnitude, RandomSource& random) {
  if (random.Next() >> 63 == 0) return true;
  *magnitude = -*magnitude;
  return *magnitude != 0;
}

// Privacy is computed in floating point, whose error, and that of sums of squares over up to 2^31
// rows of a contribution, stays below this. Noise grows by so little.
constexpr double kSlack = 1 + 0x1p-20;

// Fine steps that the scale of the noise has at least, so that rounding it up costs nothing.
constexpr int kScaleBits = 20;
constexpr int kMaxScaleBits = 56;
constexpr int kMaxRefinement = 30;

// Probability that a standard normal variable is above x.
double NormalTail(double x) { return std::erfc(x * M_SQRT1_2) / 2; }

// The least x for which `enough(x)`, a function that turns from false to true, up to its last bits.
template <typename Predicate>
double Least(double at_least, Predicate enough) {
  double low = at_least, high = std::max(at_least, 0x1p-60);
  while (!enough(high)) {
    low = high;
    high *= 2;
  }
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (enough(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace

Int128 SampleDiscreteLaplace(uint64_t scale, RandomSource& random) {
  // Canonne et al., algorithm 2 with s = 1.
  while (true) {
    const uint64_t rest = random.Below(scale);
    if (!BernoulliExp([&] { return random.Below(scale) < rest; }, random)) continue;
    Int128 value = rest;
    while (BernoulliExp(Always, random)) value += scale;
    if (Sign(&value, random)) return value;
  }
}

Int128 SampleDiscreteGaussian(uint64_t sigma, RandomSource& random) {
  // Karney, algorithm D, for the magnitude (k + x) sigma with x = rest / sigma: k has probability
  // exp(-k^2/2), which leaves exp(-k x) exp(-x^2/2).
  const auto half = [&] { return random.Below(2) == 0; };
  while (true) {
    uint64_t k = 0;
    while (BernoulliExp(half, random)) ++k;
    bool taken = true;
    for (uint64_t i = 0; taken && k > 0 && i < k * (k - 1); ++i) taken = BernoulliExp(half, random);
    if (!taken) continue;
    const uint64_t rest = random.Below(sigma);
    const auto x = [&] { return random.Below(sigma) < rest; };
    for (uint64_t i = 0; taken && i < k; ++i) taken = BernoulliExp(x, random);
    if (!taken || !BernoulliExp([&] { return x() && x() && half(); }, random)) continue;
    Int128 value = static_cast<Int128>(k) * sigma + rest;
    if (Sign(&value, random)) return value;
  }
}

double GaussianSigma(double epsilon, double delta) {
  return Least(0, [&](double sigma) {
    const double shift = epsilon * sigma;
    // exp(epsilon) may be beyond all bounds where the tail that it stretches is zero.
    const double tail = NormalTail(1 / (2 * sigma) + shift);
    const double stretched = tail > 0 ? std::exp(epsilon + std::log(tail)) : 0;
    return NormalTail(shift - 1 / (2 * sigma)) - stretched <= delta;
  });
}

Result<NoiseMechanism> NoiseMechanism::Create(double epsilon, double delta,
                                              const ContributionBounds& bounds, int grid_exponent) {
  // Two contributions may add with opposite signs to the same groups.
  const auto groups = static_cast<double>(bounds.groups);
  double l1 = 2 * groups * bounds.value;
  if (bounds.l1 > 0) l1 = std::min(l1, 2 * bounds.l1);
  double l2 = 2 * std::sqrt(groups) * bounds.value;
  if (bounds.l2 > 0) l2 = std::min(l2, 2 * bounds.l2);
  // Of the groups that only one of two data sets has, at most so many.
  const double new_groups = 2 * groups;

  // Half of delta pays for Gaussian noise, which Laplace noise does not need, and the rest for
  // groups that are shown though one contribution alone makes them: each with this probability.
  const double laplace_scale = kSlack * l1 / epsilon;
  const double gaussian_scale = kSlack * l2 * GaussianSigma(epsilon, delta / 2);
  NoiseMechanism mechanism;
  mechanism.gaussian_ = gaussian_scale * gaussian_scale < 2 * laplace_scale * laplace_scale;
  const double scale = mechanism.gaussian_ ? gaussian_scale : laplace_scale;
  const double shown =
      -std::expm1(std::log1p(mechanism.gaussian_ ? -delta / 2 : -delta) / new_groups);

  const int scale_exponent = std::ilogb(scale);
  mechanism.grid_exponent_ = grid_exponent;
  mechanism.refinement_ =
      std::clamp(grid_exponent - scale_exponent + kScaleBits, 0, kMaxRefinement);
  const int fine_exponent = grid_exponent - mechanism.refinement_;
  if (!std::isfinite(scale) || scale_exponent - fine_exponent >= kMaxScaleBits) {
    return InvalidArgument(
        "differential privacy: noise of scale " + std::to_string(scale) +
        " is beyond the type that it is added to; epsilon is too small, or a bound too large");
  }
  mechanism.scale_ = static_cast<uint64_t>(std::ceil(std::ldexp(scale, -fine_exponent)));

  // What one contribution makes is at most the bound of a value, and noise exceeds its distance to
  // the threshold, in either direction, with the probability `shown` at most. One fine step more:
  // the tail of the discrete distribution is below that of the continuous one a step nearer.
  const double beyond = mechanism.gaussian_
                            ? Least(0, [&](double x) { return 2 * NormalTail(x) <= shown; })
                            : -std::log(shown);
  mechanism.threshold_ =
      static_cast<Int128>(std::ceil(std::ldexp(kSlack * bounds.value, -fine_exponent))) +
      static_cast<Int128>(std::ceil(kSlack * beyond * static_cast<double>(mechanism.scale_))) + 1;
  return mechanism;
}

NoiseMechanism::Noisy NoiseMechanism::Apply(Int128 sum, RandomSource& random) const {
  const Int128 noise =
      gaussian_ ? SampleDiscreteGaussian(scale_, random) : SampleDiscreteLaplace(scale_, random);
  const Int128 fine = sum * (Int128{1} << refinement_) + noise;
  const bool shown = (fine < 0 ? -fine : fine) >= threshold_;
  const Int128 half = refinement_ > 0 ? Int128{1} << (refinement_ - 1) : 0;
  return {(fine + half) >> refinement_, shown};
}

double NoiseMechanism::scale() const {
  return std::ldexp(static_cast<double>(scale_), grid_exponent_ - refinement_);
}

double NoiseMechanism::threshold() const {
  return std::ldexp(static_cast<double>(threshold_), grid_exponent_ - refinement_);
}

}  // namespace fcp
