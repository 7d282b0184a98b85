#include "shuffler/native/aggregation/noise.h"

#include <cmath>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shuffler/native/aggregation/seeded_random.h"

namespace fcp {
namespace {

using ::testing::HasSubstr;

// Pearson's statistic of `draws` samples against probabilities proportional to `weight(n)`; what is
// beyond +-reach is one class. Divided by the degrees of freedom: 1 is expected.
template <typename Sample, typename Weight>
double ChiSquared(int draws, int reach, Sample sample, Weight weight) {
  std::map<int64_t, int> counts;
  for (int i = 0; i < draws; ++i) {
    const auto n = static_cast<int64_t>(sample());
    ++counts[std::abs(n) > reach ? reach + 1 : n];
  }
  double total = 0;
  for (int n = -1000; n <= 1000; ++n) total += weight(n);
  double statistic = 0, inside = 0;
  for (int n = -reach; n <= reach; ++n) {
    const double expected = draws * weight(n) / total;
    inside += expected;
    statistic += (counts[n] - expected) * (counts[n] - expected) / expected;
  }
  const double outside = draws - inside;
  statistic += (counts[reach + 1] - outside) * (counts[reach + 1] - outside) / outside;
  return statistic / (2 * reach + 1);
}

TEST(RandomSourceTest, BelowIsUniform) {
  SeededRandom random(1);
  std::map<uint64_t, int> counts;
  for (int i = 0; i < 70000; ++i) ++counts[random.Below(7)];
  ASSERT_EQ(counts.size(), 7u);
  for (const auto& [value, count] : counts) EXPECT_NEAR(count, 10000, 400);
  // Half of all words are redrawn here; below 2^63 + 1 both halves are as frequent.
  int upper = 0;
  for (int i = 0; i < 10000; ++i) upper += random.Below((uint64_t{1} << 63) + 1) >> 62 != 0;
  EXPECT_NEAR(upper, 5000, 250);
}

TEST(RandomSourceTest, TheSystemDoesNotRepeatItself) {
  SystemRandom a, b;
  std::map<uint64_t, int> seen;
  for (int i = 0; i < 1000; ++i) {
    ++seen[a.Next()];
    ++seen[b.Next()];
  }
  EXPECT_EQ(seen.size(), 2000u);
}

TEST(NoiseTest, LaplaceHasTheProbabilitiesOfItsDefinition) {
  SeededRandom random(2);
  for (const uint64_t scale : {1, 3, 10}) {
    const double statistic = ChiSquared(
        200000, static_cast<int>(5 * scale), [&] { return SampleDiscreteLaplace(scale, random); },
        [&](int n) { return std::exp(-std::abs(n) / static_cast<double>(scale)); });
    EXPECT_LT(statistic, 2) << scale;
  }
}

TEST(NoiseTest, GaussianHasTheProbabilitiesOfItsDefinition) {
  SeededRandom random(3);
  for (const uint64_t sigma : {1, 3, 10}) {
    const double statistic = ChiSquared(
        200000, static_cast<int>(3 * sigma), [&] { return SampleDiscreteGaussian(sigma, random); },
        [&](int n) { return std::exp(-0.5 * n * n / static_cast<double>(sigma * sigma)); });
    EXPECT_LT(statistic, 2) << sigma;
  }
}

TEST(NoiseTest, LargeScalesHaveTheRightSpread) {
  SeededRandom random(4);
  const uint64_t scale = uint64_t{12345} << 40;
  const auto unit = static_cast<double>(scale);
  double laplace = 0, gaussian = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double a = static_cast<double>(SampleDiscreteLaplace(scale, random)) / unit;
    const double b = static_cast<double>(SampleDiscreteGaussian(scale, random)) / unit;
    laplace += a * a / kDraws;
    gaussian += b * b / kDraws;
  }
  EXPECT_NEAR(laplace, 2, 0.06);
  EXPECT_NEAR(gaussian, 1, 0.02);
}

TEST(NoiseTest, SigmaIsTheLeastThatTheDefinitionAllows) {
  const auto tail = [](double x) { return 0.5 * std::erfc(x / std::sqrt(2)); };
  for (const double epsilon : {0.01, 0.5, 1.0, 5.0, 50.0, 1000.0}) {
    for (const double delta : {1e-12, 1e-6, 0.1}) {
      const double sigma = GaussianSigma(epsilon, delta);
      const auto spent = [&](double s) {
        const double a = tail(1 / (2 * s) + epsilon * s);
        return tail(epsilon * s - 1 / (2 * s)) - (a > 0 ? std::exp(epsilon + std::log(a)) : 0);
      };
      EXPECT_LE(spent(sigma), delta * (1 + 1e-9));
      EXPECT_GT(spent(sigma * (1 - 1e-6)), delta);
    }
  }
  // Balle and Wang's mechanism at epsilon 1, delta 1e-5; the classical formula says 4.84.
  EXPECT_NEAR(GaussianSigma(1, 1e-5), 3.7306, 1e-3);
}

NoiseMechanism Mechanism(double epsilon, double delta, const ContributionBounds& bounds,
                         int grid_exponent) {
  return *NoiseMechanism::Create(epsilon, delta, bounds, grid_exponent);
}

TEST(NoiseMechanismTest, IsTheOneThatVariesLess) {
  // Few groups: Laplace with 2 L0 Linf / epsilon. Many: Gaussian with 2 sqrt(L0) Linf.
  const NoiseMechanism few = Mechanism(1, 1e-10, {1, 3}, 0);
  EXPECT_FALSE(few.gaussian());
  EXPECT_NEAR(few.scale(), 6, 1e-4);
  const NoiseMechanism many = Mechanism(1, 1e-5, {1000, 3}, 0);
  EXPECT_TRUE(many.gaussian());
  EXPECT_NEAR(many.scale(), 2 * std::sqrt(1000) * 3 * GaussianSigma(1, 5e-6), 0.1);
  // Norms of the contribution take the place of what is beyond them.
  EXPECT_NEAR(Mechanism(1, 1e-10, {1000, 3, 5, 0}, 0).scale(), 10, 1e-4);
  EXPECT_NEAR(Mechanism(1, 1e-5, {1000, 3, 0, 5}, 0).scale(), 10 * GaussianSigma(1, 5e-6), 1e-3);
}

TEST(NoiseMechanismTest, TheThresholdHidesWhatOneContributionMakes) {
  const double delta = 1e-5;
  const NoiseMechanism laplace = Mechanism(1, delta, {1, 3}, 0);
  EXPECT_NEAR(laplace.threshold(), 3 - 6 * std::log(delta / 2), 0.01);
  const NoiseMechanism gaussian = Mechanism(1, delta, {1000, 3}, 0);
  const double beyond = (gaussian.threshold() - 3) / gaussian.scale();
  EXPECT_NEAR(std::erfc(beyond / std::sqrt(2)), delta / 2 / 2000, delta / 2000 * 1e-3);

  // With a delta that can be seen: the group of one contribution is shown that often at most.
  for (const ContributionBounds& bounds :
       {ContributionBounds{1, 3}, ContributionBounds{1000, 3, 0, 3}}) {
    SeededRandom random(5);
    const NoiseMechanism mechanism = Mechanism(1, 0.2, bounds, 0);
    int shown = 0;
    for (int i = 0; i < 50000; ++i) shown += mechanism.Apply(i % 2 ? 3 : -3, random).shown;
    const double share = 0.2 / (mechanism.gaussian() ? 2 : 1) / (2.0 * bounds.groups);
    EXPECT_LE(shown, 50000 * share + 4 * std::sqrt(50000 * share) + 1);
  }
}

TEST(NoiseMechanismTest, NoiseHasItsScaleOnEveryGrid) {
  for (const int grid_exponent : {-40, -3, 0, 1}) {
    SeededRandom random(6);
    const NoiseMechanism mechanism = Mechanism(2, 1e-6, {1, 3}, grid_exponent);
    ASSERT_FALSE(mechanism.gaussian());
    const double step = std::ldexp(1, grid_exponent);
    double mean = 0, squares = 0;
    constexpr int kDraws = 50000;
    const Int128 sum = static_cast<Int128>(1000 / step);
    for (int i = 0; i < kDraws; ++i) {
      const double noise = static_cast<double>(mechanism.Apply(sum, random).sum - sum) * step;
      mean += noise / kDraws;
      squares += noise * noise / kDraws;
    }
    EXPECT_NEAR(mean, 0, 0.1);
    // 2 b^2 for b = 3, and of rounding to the grid.
    EXPECT_NEAR(squares, 18 + step * step / 12, 0.6);
  }
}

TEST(NoiseMechanismTest, TheRatioOfNeighboursIsBounded) {
  // The definition itself: on integers, with sums that one contribution moves by two bounds.
  SeededRandom random(7);
  const double epsilon = 1;
  const NoiseMechanism mechanism = Mechanism(epsilon, 1e-6, {1, 1}, 0);
  std::map<int64_t, int> with, without;
  constexpr int kDraws = 400000;
  for (int i = 0; i < kDraws; ++i) {
    ++with[static_cast<int64_t>(mechanism.Apply(11, random).sum)];
    ++without[static_cast<int64_t>(mechanism.Apply(9, random).sum)];
  }
  for (int64_t n = 4; n <= 16; ++n) {
    ASSERT_GT(without[n], 1000);
    const double ratio = static_cast<double>(with[n]) / without[n];
    const double error = 5 / std::sqrt(std::min(with[n], without[n]));
    EXPECT_LT(std::abs(std::log(ratio)), epsilon + error) << n;
  }
}

TEST(NoiseMechanismTest, NoiseBeyondTheTypeIsRefused) {
  EXPECT_THAT(NoiseMechanism::Create(1e-9, 1e-6, {1 << 20, 1e9}, 0).status().message(),
              HasSubstr("epsilon is too small, or a bound too large"));
}

}  // namespace
}  // namespace fcp
