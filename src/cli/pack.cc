#include "cli/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>

#include "api/base64.h"
#include "api/utf8.h"
#include "cli/api_client.h"

namespace sterna::cli {
namespace {

namespace fs = std::filesystem;

bool is_skipped(const fs::path& path) {
  const std::string name = path.filename();
  return name.starts_with('.') || name == "__pycache__" || name == "function.toml" ||
         path.extension() == ".pyc";
}

// What `python3 -m venv` makes: links into this machine's Python, of no use on another.
bool is_python_environment(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / "pyvenv.cfg", error);
}

bool is_executable(fs::perms perms) {
  return (perms & fs::perms::owner_exec) != fs::perms::none;
}

class Collector {
 public:
  explicit Collector(const fs::path& folder) : folder_(folder) {}

  Status visit(const fs::directory_entry& entry) {
    if (!entry.is_regular_file() || entry.is_symlink()) {
      return bad_usage(
          fmt::format("{} is a link or a special file; put the file itself there", entry.path().native()));
    }
    if (files_.size() == kMaxFiles) return too_many();
    const fs::path inside = fs::relative(entry.path(), folder_);
    if (!api::is_utf8(inside.generic_string())) {
      return bad_usage(fmt::format("a file below {} has a name that is not UTF-8: rename it",
                                   entry.path().parent_path().native()));
    }
    auto content = read_file(entry.path(), kMaxCodeBytes - bytes_);
    if (!content) return std::unexpected(content.error());
    bytes_ += content->size();
    ++files_below_[*inside.begin()];
    files_.push_back(
        {inside.generic_string(), std::move(*content), is_executable(entry.status().permissions())});
    return {};
  }

  std::vector<PackedFile> take() {
    std::ranges::sort(files_, {}, &PackedFile::path);
    return std::move(files_);
  }

 private:
  Status too_many() const {
    const auto largest =
        std::ranges::max_element(files_below_, {}, [](const auto& below) { return below.second; });
    return bad_usage(
        fmt::format("{} holds more than {} files, {} of them in {}: deploy a folder without what "
                    "the function does not need; the build installs what package.json and "
                    "requirements.txt name",
                    folder_.native(), kMaxFiles, largest->second, largest->first.native()));
  }

  const fs::path& folder_;
  std::vector<PackedFile> files_;
  std::map<fs::path, std::size_t> files_below_;  // by the first part of their paths
  std::size_t bytes_ = 0;
};

struct FreeArchive {
  void operator()(archive* writer) const { archive_write_free(writer); }
};
struct FreeEntry {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

la_ssize_t append_bytes(archive*, void* out, const void* bytes, std::size_t count) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), count);
  return static_cast<la_ssize_t>(count);
}

bool write_entry(archive* writer, const PackedFile& file) {
  const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
  archive_entry_set_pathname(entry.get(), file.path.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.content.size()));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), file.executable ? 0755 : 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);
  return archive_write_header(writer, entry.get()) == ARCHIVE_OK &&
         archive_write_data(writer, file.content.data(), file.content.size()) ==
             static_cast<la_ssize_t>(file.content.size());
}

}  // namespace

Result<std::vector<PackedFile>> collect_files(const fs::path& folder) {
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  if (error) return bad_usage(fmt::format("cannot read {}: {}", folder.native(), error.message()));
  Collector collector(folder);
  for (const auto end = fs::end(entries); entries != end; entries.increment(error)) {
    const bool is_folder = entries->is_directory() && !entries->is_symlink();
    if (is_skipped(entries->path()) || (is_folder && is_python_environment(entries->path()))) {
      if (is_folder) entries.disable_recursion_pending();
    } else if (!is_folder) {
      if (auto visited = collector.visit(*entries); !visited) return std::unexpected(visited.error());
    }
  }
  if (error) return bad_usage(fmt::format("cannot read {}: {}", folder.native(), error.message()));
  auto files = collector.take();
  if (files.empty()) return bad_usage(fmt::format("{} holds no files to deploy", folder.native()));
  return files;
}

std::size_t total_bytes(const std::vector<PackedFile>& files) {
  std::size_t bytes = 0;
  for (const auto& file : files) bytes += file.content.size();
  return bytes;
}

api::Json files_json(const std::vector<PackedFile>& files) {
  api::Json out = api::Json::object();
  for (const auto& file : files) out[file.path] = api::base64_encode(file.content);
  return out;
}

Result<std::string> pack_tar_gz(const std::vector<PackedFile>& files) {
  std::string out;
  // GNU's format keeps the bytes of names as they are; pax would need a UTF-8 locale to write them.
  const std::unique_ptr<archive, FreeArchive> writer(archive_write_new());
  bool good = archive_write_set_format_gnutar(writer.get()) == ARCHIVE_OK &&
              archive_write_add_filter_gzip(writer.get()) == ARCHIVE_OK &&
              archive_write_set_options(writer.get(), "gzip:!timestamp") == ARCHIVE_OK &&
              archive_write_open(writer.get(), &out, nullptr, append_bytes, nullptr) == ARCHIVE_OK;
  for (const auto& file : files) good = good && write_entry(writer.get(), file);
  good = good && archive_write_close(writer.get()) == ARCHIVE_OK;
  if (!good) {
    const char* why = archive_error_string(writer.get());
    return fail(Code::kInternal, Component::kGateway, "pack_failed",
                fmt::format("cannot pack the files: {}", why == nullptr ? "unknown error" : why));
  }
  return out;
}

Result<std::string> read_file(const fs::path& file, std::size_t max_bytes) {
  const auto cannot_read = [&] {
    return bad_usage(fmt::format("cannot read {}: {}", file.native(), std::strerror(errno)));
  };
  std::ifstream in(file, std::ios::binary);
  if (!in) return cannot_read();
  std::string content;
  // To the end, and not as long as it says: it may be a pipe.
  std::array<char, 64U << 10> part{};
  while (in.read(part.data(), part.size()), in.gcount() > 0) {
    content.append(part.data(), static_cast<std::size_t>(in.gcount()));
    if (content.size() > max_bytes) {
      return bad_usage(
          fmt::format("{} is too large: at most {} bytes of code in all", file.native(), kMaxCodeBytes));
    }
  }
  if (in.bad()) return cannot_read();  // a folder, say
  return content;
}

}  // namespace sterna::cli
