#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <array>
#include <memory>

#include "bundle/archive.h"
#include "bundle/utf8_locale.h"

namespace sterna::bundle {
namespace {

using ArchivePtr = std::unique_ptr<archive, decltype(&archive_read_free)>;

std::unexpected<Error> bad_archive(std::string_view why) {
  return fail(Code::kInvalid, Component::kRegistry, "bad_archive",
              fmt::format("the archive cannot be unpacked: {}", why));
}

std::unexpected<Error> bad_archive(archive* from) {
  const char* text = archive_error_string(from);
  return bad_archive(text == nullptr ? "it is damaged" : text);
}

class Unpacker {
 public:
  Unpacker(std::string_view bytes, std::size_t max_bytes)
      : bytes_(bytes), archive_(archive_read_new(), &archive_read_free), collector_(max_bytes) {}

  Status open(ArchiveKind kind) {
    STERNA_ASSERT(archive_ != nullptr);
    if (kind == ArchiveKind::kZip) {
      // Only by the central directory, as every other reader does: no second opinion about what is inside.
      archive_read_support_format_zip_seekable(archive_.get());
    } else {
      if (!bytes_.starts_with("\x1f\x8b")) return bad_archive("it is not gzip");
      archive_read_support_filter_gzip(archive_.get());
      archive_read_support_format_tar(archive_.get());
    }
    if (archive_read_open_memory(archive_.get(), bytes_.data(), bytes_.size()) != ARCHIVE_OK) {
      return bad_archive(archive_.get());
    }
    return {};
  }

  Result<Files> run() {
    archive_entry* entry = nullptr;
    while (true) {
      const int code = archive_read_next_header(archive_.get(), &entry);
      if (code == ARCHIVE_EOF) return finish();
      if (code < ARCHIVE_WARN) return bad_archive(archive_.get());
      if (Status taken = take(entry); !taken) return std::unexpected(taken.error());
    }
  }

 private:
  // libarchive reads some damaged archives as empty ones.
  Result<Files> finish() {
    Result<Files> files = collector_.finish();
    if (files && files->empty()) return bad_archive("there is no file in it");
    return files;
  }

  Status take(archive_entry* entry) {
    const char* name = archive_entry_pathname_utf8(entry);
    if (name == nullptr) return bad_path("?", "a name that is not UTF-8");
    Result<std::string> path = clean_path(name);
    if (!path) return std::unexpected(path.error());
    if (archive_entry_hardlink(entry) != nullptr || archive_entry_filetype(entry) == AE_IFLNK) {
      return bad_path(name, "it is a link");
    }
    if (archive_entry_filetype(entry) == AE_IFDIR) {
      if (archive_entry_size(entry) != 0) return bad_path(name, "it is a folder with content");
      return collector_.add_folder(*path);
    }
    if (archive_entry_filetype(entry) != AE_IFREG) return bad_path(name, "it is a device, pipe or socket");
    Result<std::string> content = read_content();
    if (!content) return std::unexpected(content.error());
    const bool executable = (archive_entry_perm(entry) & 0100) != 0;
    return collector_.add(std::move(*path), std::move(*content),
                          executable ? Executable::kYes : Executable::kNo);
  }

  // Sizes in headers are not believed: what counts is what comes out.
  Result<std::string> read_content() {
    std::string content;
    std::array<char, 65536> part{};
    while (true) {
      const la_ssize_t length = archive_read_data(archive_.get(), part.data(), part.size());
      if (length < 0) return bad_archive(archive_.get());
      if (length == 0) return content;
      const auto bytes = static_cast<std::size_t>(length);
      if (Status room = collector_.reserve(bytes); !room) return std::unexpected(room.error());
      unpacked_ += bytes;
      if (unpacked_ > kFreeUnpackedBytes && unpacked_ / kMaxRatio > bytes_.size()) {
        return bad_archive(fmt::format("it unpacks to more than {} times its size", kMaxRatio));
      }
      content.append(part.data(), bytes);
    }
  }

  std::string_view bytes_;
  ArchivePtr archive_;
  Collector collector_;
  std::size_t unpacked_ = 0;
};

}  // namespace

Result<Files> unpack(std::string_view archive, ArchiveKind kind, std::size_t max_bytes) {
  const Utf8Locale utf8;
  Unpacker unpacker(archive, max_bytes);
  if (Status opened = unpacker.open(kind); !opened) return std::unexpected(opened.error());
  return unpacker.run();
}

}  // namespace sterna::bundle
