// Zip and tar.gz, from strangers and for users. Everything is in memory; nothing touches the disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bundle/files.h"

namespace sterna::bundle {

enum class ArchiveKind : std::uint8_t { kZip, kTarGz };

// An archive may unpack to this many times its own size, once it is over kFreeUnpackedBytes: what goes beyond
// is a bomb.
inline constexpr std::size_t kMaxRatio = 200;
inline constexpr std::size_t kFreeUnpackedBytes = 16 << 20;
// What a tar.gz may unpack to that is no file's content: headers, names, attributes, padding.
inline constexpr std::size_t kMaxHeaderBytes = 32 << 20;

// To `max_bytes` at most. Fails with invalid: `bad_archive` (broken, encrypted, a bomb, gzip in gzip),
// `bad_bundle_path` (links and devices too), `bundle_too_large`.
Result<Files> unpack(std::string_view archive, ArchiveKind kind, std::size_t max_bytes);

// Invalid, `bad_archive`.
std::unexpected<Error> bad_archive(std::string_view why);

// The same files always give the same bytes.
Result<std::string> pack(const Files& files, ArchiveKind kind);

}  // namespace sterna::bundle
