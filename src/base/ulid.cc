#include "base/ulid.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

namespace sterna {
namespace {
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

constexpr auto kHexPairs = [] {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> pairs{};
  for (std::size_t byte = 0; byte < pairs.size(); ++byte) pairs[byte] = {kHex[byte >> 4], kHex[byte & 15]};
  return pairs;
}();
}  // namespace

UlidGenerator::UlidGenerator(const Clock& clock) : clock_(clock) {
  const ssize_t got = ::getrandom(state_.data(), sizeof state_, 0);
  STERNA_ASSERT(got == static_cast<ssize_t>(sizeof state_));
  state_[0] |= 1;  // xorshift must not start at zero
}

// xorshift128+: ids must not collide, they are no secrets.
std::uint64_t UlidGenerator::random() {
  std::uint64_t x = state_[0];
  const std::uint64_t y = state_[1];
  state_[0] = y;
  x ^= x << 23;
  state_[1] = x ^ y ^ (x >> 17) ^ (y >> 26);
  return state_[1] + y;
}

void UlidGenerator::write(char* out) {
  const auto now_ms = static_cast<std::uint64_t>(clock_.wall().time_since_epoch().count());
  if (now_ms > last_ms_) {
    last_ms_ = now_ms;
    high_ = static_cast<std::uint16_t>(random() & 0x7fff);  // room above to count up
    low_ = random();
  } else if (++low_ == 0) {
    ++high_;
  }
  for (std::size_t i = 0; i < 10; ++i) out[i] = kAlphabet[(last_ms_ >> (45 - 5 * i)) & 31];
  unsigned __int128 bits = (static_cast<unsigned __int128>(high_) << 64) | low_;
  for (std::size_t i = 0; i < 16; ++i) {
    out[25 - i] = kAlphabet[static_cast<std::size_t>(bits & 31)];
    bits >>= 5;
  }
}

std::string UlidGenerator::next() {
  std::string text(kUlidLength, '0');
  write(text.data());
  return text;
}

Traceparent UlidGenerator::traceparent() {
  constexpr std::array<std::size_t, 3> kParts{3, 19, 36};  // where they begin; two are one id
  Traceparent text;
  std::string_view("00-................................-................-01").copy(text.data(), text.size());
  for (const std::size_t part : kParts) {
    std::uint64_t bits = random() | 1;  // ids of zeros are not allowed
    for (std::size_t i = 0; i < 16; i += 2, bits >>= 8) {
      const std::array<char, 2>& digits = kHexPairs[bits & 0xff];
      text[part + i] = digits[0];
      text[part + i + 1] = digits[1];
    }
  }
  return text;
}

bool is_ulid(std::string_view text) {
  return text.size() == kUlidLength && text[0] <= '7' &&
         std::ranges::all_of(text, [](char c) { return kAlphabet.find(c) != std::string_view::npos; });
}

}  // namespace sterna
