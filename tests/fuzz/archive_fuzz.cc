// Archives of code from strangers. The first byte chooses: zip, tar.gz, or a tar that is compressed here,
// which no fuzzer could do by chance.
#include <archive.h>
#include <archive_entry.h>

#include <string>

#include "bundle/archive.h"
#include "input.h"

namespace sterna::fuzz {
namespace {

std::string gzip(std::string_view bytes) {
  std::string out(bytes.size() + (std::size_t{16} << 10), '\0');
  std::size_t used = 0;
  archive* const writer = archive_write_new();
  archive_write_set_format_raw(writer);
  archive_write_add_filter_gzip(writer);
  archive_write_open_memory(writer, out.data(), out.size(), &used);
  archive_entry* const entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_write_header(writer, entry);
  archive_write_data(writer, bytes.data(), bytes.size());
  archive_entry_free(entry);
  archive_write_free(writer);
  out.resize(used);
  return out;
}

constexpr std::size_t kMaxCodeBytes = 256U << 20;

void check(const bundle::Files& files) {
  for (const bundle::File& file : files) {
    const auto clean = bundle::clean_path(file.path);
    must(clean && *clean == file.path && !file.path.empty(), "what is unpacked lies inside the folder");
  }
  for (const auto kind : {bundle::ArchiveKind::kZip, bundle::ArchiveKind::kTarGz}) {
    const auto packed = bundle::pack(files, kind);
    must(packed.has_value(), "what was unpacked can be packed");
    const auto again = bundle::unpack(*packed, kind, kMaxCodeBytes);
    must(again && *again == files, "what was packed unpacks to the same files");
  }
}

}  // namespace
}  // namespace sterna::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sterna;        // NOLINT(google-build-using-namespace): this program's own
  using namespace sterna::fuzz;  // NOLINT(google-build-using-namespace): this program's own
  std::string_view rest = text_of(data, size);
  const char kind = rest.empty() ? '\0' : rest.front();
  rest.remove_prefix(rest.empty() ? 0 : 1);
  const auto files = kind == 'z'   ? bundle::unpack(rest, bundle::ArchiveKind::kZip, kMaxCodeBytes)
                     : kind == 'g' ? bundle::unpack(rest, bundle::ArchiveKind::kTarGz, kMaxCodeBytes)
                                   : bundle::unpack(gzip(rest), bundle::ArchiveKind::kTarGz, kMaxCodeBytes);
  if (files) check(*files);
  return 0;
}
