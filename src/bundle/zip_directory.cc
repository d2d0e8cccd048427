#include "bundle/zip_directory.h"

#include <algorithm>
#include <cstdint>
#include <ranges>
#include <vector>

#include "bundle/archive.h"

namespace sterna::bundle {
namespace {

// The format: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.
constexpr std::string_view kLocalHeader = "PK\3\4";
constexpr std::string_view kDirectoryHeader = "PK\1\2";
constexpr std::string_view kEnd = "PK\5\6";
constexpr std::size_t kLocalHeaderBytes = 30;
constexpr std::size_t kDirectoryHeaderBytes = 46;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kMaxDescriptorBytes = 24;  // sizes that were not known before the content follow it
constexpr std::uint16_t kUnicodePath = 0x7075;   // Info-ZIP's: a name that counts instead of the other one
constexpr std::uint32_t kInZip64 = 0xFFFFFFFF;

// Nothing of the archive is believed: what is beyond its end is no number and no text.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

  std::string_view at(std::uint64_t offset, std::size_t count) const {
    return offset > bytes_.size() || count > bytes_.size() - offset ? std::string_view()
                                                                    : bytes_.substr(offset, count);
  }
  std::uint32_t number(std::uint64_t offset, std::size_t count) const {
    std::uint32_t value = 0;
    for (const char byte : std::views::reverse(at(offset, count))) {
      value = value << 8U | static_cast<unsigned char>(byte);
    }
    return value;
  }
  std::uint16_t two(std::uint64_t offset) const { return static_cast<std::uint16_t>(number(offset, 2)); }
  std::uint32_t four(std::uint64_t offset) const { return number(offset, 4); }

 private:
  std::string_view bytes_;
};

struct Names {
  std::string_view name;
  std::string_view unicode_path;
  bool operator==(const Names&) const = default;
};

Names names_of(std::string_view name, std::string_view extra) {
  Names names{.name = name, .unicode_path = {}};
  const Bytes fields(extra);
  for (std::size_t at = 0; at + 4 <= extra.size(); at += 4 + std::size_t{fields.two(at + 2)}) {
    if (fields.two(at) == kUnicodePath) names.unicode_path = fields.at(at + 4, fields.two(at + 2));
  }
  return names;
}

struct Span {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// From its local header to the end of its content.
Result<Span> check_entry(const Bytes& archive, std::uint64_t header, std::uint64_t base) {
  const Names names = names_of(
      archive.at(header + kDirectoryHeaderBytes, archive.two(header + 28)),
      archive.at(header + kDirectoryHeaderBytes + archive.two(header + 28), archive.two(header + 30)));
  const std::uint32_t packed = archive.four(header + 20);
  const std::uint32_t offset = archive.four(header + 42);
  if (packed == kInZip64 || offset == kInZip64)
    return bad_archive("it is a zip64, which is for more than 4 GB");
  const std::uint64_t local = base + offset;
  if (archive.at(local, kLocalHeader.size()) != kLocalHeader)
    return bad_archive("its directory leads to no entry");
  const std::uint16_t name_bytes = archive.two(local + 26);
  const std::uint16_t extra_bytes = archive.two(local + 28);
  const Names own = names_of(archive.at(local + kLocalHeaderBytes, name_bytes),
                             archive.at(local + kLocalHeaderBytes + name_bytes, extra_bytes));
  if (own != names || archive.two(local + 8) != archive.two(header + 10)) {
    return bad_path(own.name, "the directory of the zip says something else of it; pack the archive again");
  }
  return Span{.begin = local, .end = local + kLocalHeaderBytes + name_bytes + extra_bytes + packed};
}

Status check_gaps(std::vector<Span>& spans, std::uint64_t directory) {
  std::ranges::sort(spans, {}, &Span::begin);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const std::uint64_t next = i + 1 < spans.size() ? spans[i + 1].begin : directory;
    if (spans[i].end > next) return bad_archive("its entries overlap");
    if (next - spans[i].end > kMaxDescriptorBytes) {
      return bad_archive("it has entries that its directory does not have; pack it again");
    }
  }
  return {};
}

}  // namespace

Result<std::size_t> check_zip_directory(std::string_view archive) {
  const Bytes bytes(archive);
  const std::size_t end = archive.rfind(kEnd);
  if (end == std::string_view::npos || archive.size() - end < kEndBytes) {
    return bad_archive("it is no zip, or its end is missing");
  }
  const std::uint16_t count = bytes.two(end + 10);
  const std::uint32_t size = bytes.four(end + 12);
  const std::uint32_t offset = bytes.four(end + 16);
  if (count == 0xFFFF || offset == kInZip64) return bad_archive("it is a zip64, which is for more than 4 GB");
  // What stands before the first entry, as in archives that unpack themselves, is not counted in offsets.
  if (std::uint64_t{offset} + size > end) return bad_archive("its directory is not where it says");
  std::uint64_t header = end - size;
  const std::uint64_t base = header - offset;
  std::vector<Span> spans;
  while (header < end) {
    if (bytes.at(header, kDirectoryHeader.size()) != kDirectoryHeader ||
        end - header < kDirectoryHeaderBytes) {
      return bad_archive("its directory is damaged");
    }
    Result<Span> span = check_entry(bytes, header, base);
    if (!span) return std::unexpected(span.error());
    spans.push_back(*span);
    header +=
        kDirectoryHeaderBytes + bytes.two(header + 28) + bytes.two(header + 30) + bytes.two(header + 32);
  }
  if (header != end || spans.size() != count)
    return bad_archive("its directory has not as many entries as it says");
  if (Status told = check_gaps(spans, end - size); !told) return std::unexpected(told.error());
  return count;
}

}  // namespace sterna::bundle
