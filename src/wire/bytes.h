// Little-endian integers in byte strings, for the reader and writer of this folder.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace sterna::wire {

static_assert(std::endian::native == std::endian::little, "frames are written in memory order");

// The caller has checked that the bytes are there.
template <std::unsigned_integral T>
T load(std::string_view bytes, std::size_t offset = 0) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <std::unsigned_integral T>
void store(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// Answers the end of what is written.
inline char* write(char* to, std::string_view text) {
  return to + text.copy(to, text.size());
}

template <std::unsigned_integral T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  store(bytes, value);
  out.append(bytes, sizeof value);
}

// Cuts `bytes` off the front of `rest`, which has them.
inline std::string_view take(std::string_view& rest, std::size_t bytes) {
  const std::string_view taken = rest.substr(0, bytes);
  rest.remove_prefix(bytes);
  return taken;
}

// Appends `size` bytes, which `write` is given the place of.
template <class Write>
void append_written(std::string& out, std::size_t size, Write write) {
  const std::size_t at = out.size();
  // libstdc++ 12 names the new capacity as the size: it is not to be taken from there.
  out.resize_and_overwrite(at + size, [&](char* data, std::size_t) {
    write(data + at);
    return at + size;
  });
}

}  // namespace sterna::wire
