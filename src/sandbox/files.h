// Small files of the kernel: read whole, write whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sterna::sandbox {

// Writes `value` with one write to an existing file. Answers errno, 0 when well.
int write_file(const std::string& path, std::string_view value);

// At most `max_bytes`; nullopt when it cannot be read or is longer.
std::optional<std::string> read_file(const std::string& path, std::size_t max_bytes = std::size_t{64} * 1024);

// The number after `key` in "key number" lines; 0 when it is not there.
std::uint64_t counter_in(std::string_view text, std::string_view key);
// The same in a file.
std::uint64_t read_counter(const std::string& path, std::string_view key);

// Pieces between `separator`, empty ones left out.
std::vector<std::string_view> split(std::string_view text, char separator);

bool is_directory(const std::string& path);

}  // namespace sterna::sandbox
