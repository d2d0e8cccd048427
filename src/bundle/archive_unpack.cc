#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "bundle/archive.h"
#include "bundle/utf8_locale.h"
#include "bundle/zip_directory.h"

namespace sterna::bundle {
namespace {

// What may come of one part is known before the next one is read: gzip makes at most 1,032 bytes of one.
constexpr std::size_t kPartBytes = 16 << 10;
constexpr int kFiltersOfTarGz = 2;  // gzip, and the archive itself

using ArchivePtr = std::unique_ptr<archive, decltype(&archive_read_free)>;

std::unexpected<Error> told_by(archive* from) {
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
      const Result<std::size_t> entries = check_zip_directory(bytes_);
      if (!entries) return std::unexpected(entries.error());
      said_entries_ = *entries;
      archive_read_support_format_zip_seekable(archive_.get());
    } else {
      if (!bytes_.starts_with("\x1f\x8b")) return bad_archive("it is not gzip");
      archive_read_support_filter_gzip(archive_.get());
      archive_read_support_format_tar(archive_.get());
    }
    const int code = kind == ArchiveKind::kZip
                         ? archive_read_open_memory(archive_.get(), bytes_.data(), bytes_.size())
                         : archive_read_open(archive_.get(), this, nullptr, &Unpacker::next_part, nullptr);
    if (code != ARCHIVE_OK) return told_by(archive_.get());
    if (archive_filter_count(archive_.get()) > kFiltersOfTarGz) return bad_archive("it is gzip in gzip");
    return {};
  }

  Result<Files> run() {
    archive_entry* entry = nullptr;
    while (true) {
      const int code = archive_read_next_header(archive_.get(), &entry);
      if (stopped_ || code < ARCHIVE_WARN) return broken();
      if (code == ARCHIVE_EOF) return finish();
      ++entries_;
      if (Status taken = take(entry); !taken) return std::unexpected(taken.error());
    }
  }

 private:
  // Headers are read through within a single call of libarchive, however many there are and however long:
  // only from here they can be stopped.
  static la_ssize_t next_part(archive* to, void* self, const void** part) {
    auto& unpacker = *static_cast<Unpacker*>(self);
    const auto passed = static_cast<std::size_t>(std::max<la_int64_t>(archive_filter_bytes(to, 0), 0));
    unpacker.stopped_ = passed > unpacker.unpacked_ + kMaxHeaderBytes;
    if (unpacker.stopped_) return ARCHIVE_FATAL;
    const std::string_view next = unpacker.unread_.substr(0, kPartBytes);
    unpacker.unread_.remove_prefix(next.size());
    *part = next.data();
    return static_cast<la_ssize_t>(next.size());
  }

  // The filter may take the stop for the end of the archive, or for a damage.
  std::unexpected<Error> broken() {
    if (!stopped_) return told_by(archive_.get());
    return bad_archive(
        fmt::format("what it says about its files takes more than {} MB", kMaxHeaderBytes >> 20U));
  }

  // libarchive reads some damaged archives as empty ones.
  Result<Files> finish() {
    if (said_entries_.value_or(entries_) != entries_) return bad_archive("it is damaged");
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
      if (stopped_ || length < 0) return broken();
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
  std::string_view unread_ = bytes_;  // of a tar.gz
  bool stopped_ = false;              // its headers are too long
  ArchivePtr archive_;
  Collector collector_;
  std::size_t unpacked_ = 0;
  std::size_t entries_ = 0;
  std::optional<std::size_t> said_entries_;  // by the directory of a zip
};

}  // namespace

std::unexpected<Error> bad_archive(std::string_view why) {
  return fail(Code::kInvalid, Component::kRegistry, "bad_archive",
              fmt::format("the archive cannot be unpacked: {}", why));
}

Result<Files> unpack(std::string_view archive, ArchiveKind kind, std::size_t max_bytes) {
  const Utf8Locale utf8;
  Unpacker unpacker(archive, max_bytes);
  if (Status opened = unpacker.open(kind); !opened) return std::unexpected(opened.error());
  return unpacker.run();
}

}  // namespace sterna::bundle
