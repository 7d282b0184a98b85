#include "shuffler/native/checkpoint/crc32c.h"

#include <cpuid.h>
#include <nmmintrin.h>

#include <array>
#include <cstring>

namespace fcp {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reversed: the lowest bit is the first of the text

// The checksum of `crc`'s text followed by a zero bit.
constexpr uint32_t ShiftBit(uint32_t crc) { return (crc >> 1) ^ (crc & 1 ? kPolynomial : 0); }

// A linear function of 32 bits, which is what appending zeros to a text is to its checksum.
using Matrix = std::array<uint32_t, 32>;  // the images of the single bits

constexpr uint32_t Apply(const Matrix& matrix, uint32_t vector) {
  uint32_t image = 0;
  for (size_t bit = 0; bit < 32; ++bit) {
    if (vector >> bit & 1) image ^= matrix[bit];
  }
  return image;
}

// Tables for eight bytes in one step: tables[k][b] is the checksum of byte b followed by k zero
// bytes.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = ShiftBit(crc);
    tables[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (size_t k = 1; k < 8; ++k) {
      const uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

// The processor's instruction takes one word a cycle but three cycles for each, so three stretches
// of this many bytes are taken side by side.
constexpr size_t kStretch = 4096;
constexpr int kLog2StretchBits = 15;

// shift[k][b]: what byte k of a checksum, if it is b, becomes when kStretch zero bytes follow.
using ShiftTables = std::array<std::array<uint32_t, 256>, 4>;

constexpr ShiftTables MakeShiftTables() {
  Matrix matrix{};
  for (size_t bit = 0; bit < 32; ++bit) matrix[bit] = ShiftBit(uint32_t{1} << bit);
  for (int i = 0; i < kLog2StretchBits; ++i) {
    Matrix square{};
    for (size_t bit = 0; bit < 32; ++bit) square[bit] = Apply(matrix, matrix[bit]);
    matrix = square;
  }
  ShiftTables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (size_t k = 0; k < 4; ++k) tables[k][byte] = Apply(matrix, byte << (8 * k));
  }
  return tables;
}

constexpr ShiftTables kShift = MakeShiftTables();

uint32_t AppendZeroStretch(uint32_t crc) {
  return kShift[0][crc & 0xff] ^ kShift[1][crc >> 8 & 0xff] ^ kShift[2][crc >> 16 & 0xff] ^
         kShift[3][crc >> 24];
}

uint64_t LoadWord(const char* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

__attribute__((target("sse4.2"))) uint32_t ExtendByInstruction(uint32_t crc,
                                                               std::string_view bytes) {
  const char* p = bytes.data();
  size_t n = bytes.size();
  uint64_t a = ~crc;
  for (; n >= 3 * kStretch; p += 3 * kStretch, n -= 3 * kStretch) {
    uint64_t b = 0, c = 0;
    for (size_t i = 0; i < kStretch; i += 8) {
      a = _mm_crc32_u64(a, LoadWord(p + i));
      b = _mm_crc32_u64(b, LoadWord(p + kStretch + i));
      c = _mm_crc32_u64(c, LoadWord(p + 2 * kStretch + i));
    }
    a = AppendZeroStretch(static_cast<uint32_t>(a)) ^ b;
    a = AppendZeroStretch(static_cast<uint32_t>(a)) ^ c;
  }
  for (; n >= 8; p += 8, n -= 8) a = _mm_crc32_u64(a, LoadWord(p));
  auto rest = static_cast<uint32_t>(a);
  for (; n > 0; ++p, --n) rest = _mm_crc32_u8(rest, static_cast<uint8_t>(*p));
  return ~rest;
}

bool HasInstruction() {
  unsigned int eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_SSE4_2) != 0;
}

}  // namespace

uint32_t ExtendCrc32cByTables(uint32_t crc, std::string_view bytes) {
  crc = ~crc;
  const char* p = bytes.data();
  size_t n = bytes.size();
  for (; n >= 8; p += 8, n -= 8) {
    const uint64_t word = LoadWord(p) ^ crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][(word >> (8 * i)) & 0xff];
  }
  for (; n > 0; ++p, --n) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint8_t>(*p)) & 0xff];
  return ~crc;
}

uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
  static const bool has_instruction = HasInstruction();
  return has_instruction ? ExtendByInstruction(crc, bytes) : ExtendCrc32cByTables(crc, bytes);
}

}  // namespace fcp
