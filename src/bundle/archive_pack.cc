#include <archive.h>
#include <archive_entry.h>

#include <memory>

#include "bundle/archive.h"
#include "bundle/utf8_locale.h"

namespace sterna::bundle {
namespace {

using ArchivePtr = std::unique_ptr<archive, decltype(&archive_write_free)>;
using EntryPtr = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

constexpr time_t kFixedTime = 315532800;  // 1980-01-01, the oldest that zip can say

la_ssize_t append(archive* /*to*/, void* out, const void* bytes, std::size_t length) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), length);
  return static_cast<la_ssize_t>(length);
}

std::unexpected<Error> pack_failed(archive* to) {
  const char* text = archive_error_string(to);
  return fail(Code::kInternal, Component::kRegistry, "pack_failed",
              text == nullptr ? "the archive writer failed" : text);
}

bool set_up(archive* to, ArchiveKind kind) {
  if (kind == ArchiveKind::kZip) {
    return archive_write_set_format_zip(to) == ARCHIVE_OK &&
           archive_write_set_options(to, "hdrcharset=UTF-8") == ARCHIVE_OK;
  }
  return archive_write_set_format_pax_restricted(to) == ARCHIVE_OK &&
         archive_write_add_filter_gzip(to) == ARCHIVE_OK &&
         archive_write_set_options(to, "gzip:!timestamp") == ARCHIVE_OK;
}

bool write_file(archive* to, const File& file) {
  const EntryPtr entry(archive_entry_new(), &archive_entry_free);
  STERNA_ASSERT(entry != nullptr);
  archive_entry_set_pathname_utf8(entry.get(), file.path.c_str());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), file.executable == Executable::kYes ? 0755 : 0644);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.content.size()));
  archive_entry_set_mtime(entry.get(), kFixedTime, 0);
  return archive_write_header(to, entry.get()) == ARCHIVE_OK &&
         archive_write_data(to, file.content.data(), file.content.size()) ==
             static_cast<la_ssize_t>(file.content.size());
}

}  // namespace

Result<std::string> pack(const Files& files, ArchiveKind kind) {
  const Utf8Locale utf8;
  std::string bytes;  // outlives the writer, which may still flush into it
  const ArchivePtr to(archive_write_new(), &archive_write_free);
  STERNA_ASSERT(to != nullptr);
  if (!set_up(to.get(), kind) ||
      archive_write_set_bytes_in_last_block(to.get(), 1) != ARCHIVE_OK ||  // else it is filled with zeros
      archive_write_open2(to.get(), &bytes, nullptr, &append, nullptr, nullptr) != ARCHIVE_OK) {
    return pack_failed(to.get());
  }
  for (const File& file : files) {
    if (!write_file(to.get(), file)) return pack_failed(to.get());
  }
  if (archive_write_close(to.get()) != ARCHIVE_OK) return pack_failed(to.get());
  return bytes;
}

}  // namespace sterna::bundle
