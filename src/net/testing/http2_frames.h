// HTTP/2 frames as a client sends them, with heads as RFC 7541 writes them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sterna::net::testing {

enum FrameType : std::uint8_t {
  kData,
  kHeaders,
  kResetStream = 3,
  kSettings,
  kGoAway = 7,
  kWindowUpdate,
  kContinuation = 9
};
inline constexpr std::uint8_t kEndStream = 1;
inline constexpr std::uint8_t kEndHeaders = 4;
inline constexpr std::uint32_t kEnhanceYourCalm = 11;
inline constexpr std::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
// The same, and streams have no window.
inline constexpr std::string_view kPrefaceWithoutWindow(
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\6\4\0\0\0\0\0\0\4\0\0\0\0", 39);
inline constexpr std::string_view kGetHead("\x82\x86\x84\1\1a", 6);
inline constexpr std::string_view kPostHead("\x83\x86\x84\1\1a", 6);
inline constexpr std::size_t kLargeField = 4000;
inline constexpr char kLargeFieldAgain = '\xbe';  // names the last one that was added to the table

inline std::string number(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

inline std::string frame(FrameType type, int flags, std::uint32_t stream, std::string_view payload) {
  return number(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) + number(stream, 4) +
         std::string(payload);
}

// Adds a field of that size to the table.
inline std::string large_field() {
  const std::size_t rest = kLargeField - 127;  // a length in a prefix of seven bits, and what is left of it
  return std::string("\x40\1a\x7f") + static_cast<char>(rest % 128 | 128) + static_cast<char>(rest / 128) +
         std::string(kLargeField, 'v');
}

// Whether a frame of that kind came, with that number behind `skipped` bytes of its payload.
inline bool has_frame(std::string_view text, FrameType type, std::size_t skipped, std::uint32_t value) {
  constexpr std::size_t kFrameHead = 9;
  while (text.size() >= kFrameHead) {
    std::size_t length = 0;
    for (const char c : text.substr(0, 3)) length = length << 8 | static_cast<unsigned char>(c);
    const std::string_view payload = text.substr(kFrameHead, length);
    if (text[3] == static_cast<char>(type) &&
        payload.substr(std::min(skipped, payload.size())) == number(value, 4))
      return true;
    text.remove_prefix(std::min(text.size(), kFrameHead + length));
  }
  return false;
}

}  // namespace sterna::net::testing
