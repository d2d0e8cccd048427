#include "bundle/bundle_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <set>

#include "base/unique_fd.h"
#include "bundle/folder_tree.h"

namespace sterna::bundle {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kFolderMode = 0555;
// rename(2) of a folder to another parent changes its "..", which needs the right to write to it.
constexpr mode_t kMovableMode = 0755;
constexpr const char* kComposed = "composed";  // of each bundle a folder, with a folder for each layer

std::unexpected<Error> failed(std::string_view what) {
  return fail_errno(Component::kRegistry, what, errno);
}

std::unexpected<Error> failed(std::string_view what, const std::error_code& error) {
  return fail_errno(Component::kRegistry, what, error.value());
}

bool is_hash(std::string_view text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Status sync_folder(const fs::path& folder) {
  const UniqueFd file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file || ::fsync(file.get()) != 0) return failed("cannot sync a bundle");
  return {};
}

Status write_file(const fs::path& path, const File& file) {
  const UniqueFd out(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out) return failed("cannot write a bundle");
  std::string_view rest = file.content;
  while (!rest.empty()) {
    const ssize_t written = ::write(out.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("cannot write a bundle");
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  const mode_t mode = file.executable == Executable::kYes ? 0555 : 0444;
  if (::fchmod(out.get(), mode) != 0 || ::fsync(out.get()) != 0) return failed("cannot write a bundle");
  return {};
}

// Parents come before children in the set, so they are closed last when it is walked backwards.
Status close_folders(const fs::path& root, const std::set<std::string>& folders) {
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    const fs::path path = folder->empty() ? root : root / *folder;
    if (::chmod(path.c_str(), kFolderMode) != 0) return failed("cannot write a bundle");
    if (Status synced = sync_folder(path); !synced) return synced;
  }
  return {};
}

Status write_all(const fs::path& root, const Files& files) {
  std::set<std::string> folders = {""};
  for (const File& file : files) {
    for (std::size_t slash = file.path.find('/'); slash != std::string::npos;
         slash = file.path.find('/', slash + 1)) {
      const std::string folder = file.path.substr(0, slash);
      if (!folders.insert(folder).second) continue;
      if (::mkdir((root / folder).c_str(), 0700) != 0) return failed("cannot write a bundle");
    }
    if (Status done = write_file(root / file.path, file); !done) return done;
  }
  return close_folders(root, folders);
}

Result<File> read_file(const fs::directory_entry& entry, const fs::path& root) {
  std::error_code error;
  const fs::file_status status = entry.status(error);
  std::ifstream in(entry.path(), std::ios::binary);
  File file;
  file.path = entry.path().lexically_relative(root).string();
  file.content.assign(std::istreambuf_iterator<char>(in), {});
  if (error || in.bad() || !in.is_open())
    return fail(Code::kIo, Component::kRegistry, "io_error", "cannot read a bundle");
  const bool executable = (status.permissions() & fs::perms::owner_exec) != fs::perms::none;
  file.executable = executable ? Executable::kYes : Executable::kNo;
  return file;
}

}  // namespace

Result<std::unique_ptr<BundleStore>> BundleStore::open(const fs::path& root) {
  std::error_code error;
  fs::create_directories(root, error);
  if (error) return failed("cannot create the folder of the bundles", error);
  if (::chmod(root.c_str(), 0755) != 0) return failed("cannot open the folder of the bundles");
  for (const auto& entry : fs::directory_iterator(root, error)) {
    if (entry.path().filename().string().starts_with('.')) remove_tree(entry.path());
  }
  if (error) return failed("cannot read the folder of the bundles", error);
  return std::unique_ptr<BundleStore>(new BundleStore(root));
}

fs::path BundleStore::path_of(std::string_view hash) const {
  STERNA_ASSERT(is_hash(hash));
  return root_ / hash;
}

std::int64_t BundleStore::bytes_of(std::string_view hash) {
  const std::scoped_lock lock(mutex_);
  if (const auto known = bytes_.find(std::string(hash)); known != bytes_.end()) return known->second;
  std::error_code error;
  std::int64_t bytes = 0;
  for (fs::recursive_directory_iterator entry(path_of(hash), error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code no_file;
    if (entry->is_regular_file(no_file)) bytes += static_cast<std::int64_t>(entry->file_size(no_file));
  }
  if (error) return 0;
  bytes_.emplace(hash, bytes);
  return bytes;
}

Result<std::string> BundleStore::put(const Files& files, std::string_view space) {
  std::string hash = hash_of(files, space);
  const fs::path path = path_of(hash);
  std::error_code error;
  if (fs::exists(path, error)) return hash;
  std::string temporary = root_ / ".new-XXXXXX";
  if (::mkdtemp(temporary.data()) == nullptr) return failed("cannot write a bundle");
  Status written = write_all(temporary, files);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST) {
    written = failed("cannot write a bundle");
  }
  if (written) written = sync_folder(root_);
  if (fs::exists(temporary, error)) remove_tree(temporary);
  if (!written) return std::unexpected(written.error());
  return hash;
}

Result<Files> BundleStore::load(std::string_view hash) const {
  const fs::path root = path_of(hash);
  std::error_code error;
  Files files;
  for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->is_regular_file(error)) continue;
    Result<File> file = read_file(*entry, root);
    if (!file) return std::unexpected(file.error());
    files.push_back(std::move(*file));
  }
  if (error == std::errc::no_such_file_or_directory) {
    return fail(Code::kNotFound, Component::kRegistry, "bundle_not_found",
                "the code of this version is gone");
  }
  if (error) return failed("cannot read a bundle", error);
  std::ranges::sort(files, {}, &File::path);
  return files;
}

// Out of the way at once; a worker that has it mounted keeps its files until it ends or they are gone.
Status BundleStore::remove_folder(const fs::path& folder, const std::string& name) {
  const fs::path gone = root_ / (".gone-" + name);
  if (::chmod(folder.c_str(), kMovableMode) != 0 && errno != ENOENT) return failed("cannot remove a bundle");
  if (::rename(folder.c_str(), gone.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return failed("cannot remove a bundle");
  }
  remove_tree(gone);
  return {};
}

Status BundleStore::remove(std::string_view hash) {
  const std::string name(hash);
  {
    const std::scoped_lock lock(mutex_);
    bytes_.erase(name);
  }
  if (Status removed = remove_folder(path_of(hash), name); !removed) return removed;
  return remove_folder(root_ / kComposed / name, name + "-composed");
}

fs::path BundleStore::composed_path(std::string_view hash, std::string_view layer) const {
  STERNA_ASSERT(is_hash(hash) && !layer.empty() && !layer.contains('/') && !layer.contains('.'));
  return root_ / kComposed / hash / layer;
}

Status BundleStore::compose(std::string_view hash, std::string_view layer, const fs::path& layer_files) {
  const fs::path path = composed_path(hash, layer);
  std::error_code error;
  if (fs::exists(path, error)) return {};
  std::string temporary = root_ / ".new-XXXXXX";
  if (::mkdtemp(temporary.data()) == nullptr) return failed("cannot compose a bundle");
  Status done = link_tree(path_of(hash), temporary);
  if (done) done = link_tree(layer_files, temporary);
  if (done && ::chmod(temporary.c_str(), kMovableMode) != 0) done = failed("cannot compose a bundle");
  if (done) done = sync_file_system(temporary);
  if (done) fs::create_directories(path.parent_path(), error);
  if (done && error) done = failed("cannot compose a bundle", error);
  if (done && ::rename(temporary.c_str(), path.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST) {
    done = failed("cannot compose a bundle");
  }
  if (done && ::chmod(path.c_str(), kFolderMode) != 0 && errno != ENOENT)
    done = failed("cannot compose a bundle");
  if (done) done = sync_folder(path.parent_path());
  if (done) done = sync_folder(root_ / kComposed);
  if (fs::exists(temporary, error)) remove_tree(temporary);
  // It may have been removed meanwhile.
  if (fs::exists(path_of(hash), error)) return done;
  if (Status removed = remove(hash); !removed) return removed;
  return fail(Code::kNotFound, Component::kRegistry, "bundle_not_found", "the code of this version is gone");
}

Status BundleStore::sweep(const std::vector<std::string>& used) {
  const std::set<std::string> keep(used.begin(), used.end());
  std::vector<std::string> unused;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root_, error)) {
    const std::string name = entry.path().filename().string();
    if (is_hash(name) && !keep.contains(name)) unused.push_back(name);
  }
  if (error) return failed("cannot read the folder of the bundles", error);
  for (const std::string& hash : unused) {
    if (Status removed = remove(hash); !removed) return removed;
  }
  return {};
}

Status BundleStore::sweep_composed(const std::vector<std::pair<std::string, std::string>>& used) {
  const std::set<std::pair<std::string, std::string>> keep(used.begin(), used.end());
  std::vector<std::pair<std::string, std::string>> unused;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(root_ / kComposed, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry.depth() == 0) continue;
    entry.disable_recursion_pending();
    const fs::path& path = entry->path();
    std::pair<std::string, std::string> name(path.parent_path().filename(), path.filename());
    if (!keep.contains(name)) unused.push_back(std::move(name));
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return failed("cannot read the folder of the bundles", error);
  for (const auto& [hash, layer] : unused) {
    if (Status removed = remove_folder(root_ / kComposed / hash / layer, fmt::format("{}-{}", hash, layer));
        !removed)
      return removed;
  }
  return {};
}

}  // namespace sterna::bundle
