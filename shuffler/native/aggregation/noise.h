// Noise for differential privacy, without floating point in the samples.
//
// A textbook sampler transforms floating-point uniform numbers, and the bits of its results tell
// the noiseless value (Mironov, "On Significance of the Least Significant Bits For Differential
// Privacy", 2012). Here noise is an integer multiple of a grid, drawn exactly from a discrete
// distribution by comparisons of uniform integers, and the sums that it is added to lie on the same
// grid, exactly.
//
//   Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy", 2020 (the discrete
//   Laplace distribution; Bernoulli(exp(-x)); what privacy both give).
//   Karney, "Sampling exactly from the normal distribution", 2016 (the discrete Gaussian for an
//   integer standard deviation needs numbers of its size only).
#ifndef SHUFFLER_NATIVE_AGGREGATION_NOISE_H_
#define SHUFFLER_NATIVE_AGGREGATION_NOISE_H_

#include <cstdint>

#include "shuffler/native/common/random_source.h"
#include "shuffler/native/common/status.h"

namespace fcp {

using Int128 = __int128;

// An integer n with probability proportional to exp(-|n| / scale); `scale` is positive and below
// 2^56.
Int128 SampleDiscreteLaplace(uint64_t scale, RandomSource& random);

// An integer n with probability proportional to exp(-n^2 / (2 sigma^2)); `sigma` is positive and
// below 2^56.
Int128 SampleDiscreteGaussian(uint64_t sigma, RandomSource& random);

// The least standard deviation for which Gaussian noise makes a function of L2 sensitivity 1
// (epsilon, delta)-differentially private: Balle, Wang, "Improving the Gaussian Mechanism for
// Differential Privacy", 2018, theorem 8. Both arguments positive, delta below 1.
double GaussianSigma(double epsilon, double delta);

// How far a contribution can go. Bounds that are not positive do not hold.
struct ContributionBounds {
  int64_t groups = 0;     // L0: groups that it adds to; must be positive
  double value = 0;       // L-infinity: magnitude of what it adds to one group; must be positive
  double l1 = 0, l2 = 0;  // norms of what it adds to all groups
};

// How a sum for every group is made private: noise, and the least magnitude of a noisy sum with
// which a group is shown.
class NoiseMechanism {
 public:
  // (epsilon, delta)-differential privacy when one contribution is replaced by another. Laplace or
  // Gaussian noise, whichever varies less. Sums are multiples of 2^grid_exponent. INVALID_ARGUMENT
  // if the noise would be beyond 2^56 steps.
  static Result<NoiseMechanism> Create(double epsilon, double delta,
                                       const ContributionBounds& bounds, int grid_exponent);

  struct Noisy {
    Int128 sum;  // in steps of the grid
    bool shown;
  };
  // `sum` in steps of the grid, at most 2^64.
  Noisy Apply(Int128 sum, RandomSource& random) const;

  bool gaussian() const { return gaussian_; }
  // Scale of the Laplace noise or standard deviation of the Gaussian noise, and the threshold.
  double scale() const;
  double threshold() const;

 private:
  NoiseMechanism() = default;

  bool gaussian_ = false;
  // Noise is drawn on a finer grid, whose steps are 2^(grid_exponent_ - refinement_).
  int grid_exponent_ = 0;
  int refinement_ = 0;
  uint64_t scale_ = 0;    // in fine steps
  Int128 threshold_ = 0;  // in fine steps
};

}  // namespace fcp

#endif  // SHUFFLER_NATIVE_AGGREGATION_NOISE_H_
